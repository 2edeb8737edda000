"""Messages that were sent and have no answer yet: who answers which, how long it took, and which never were answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadflow.engine.protocols.running.seam import HitFailure, Watch
from loadflow.engine.records.outcome import Outcome

__all__ = ["Correlations"]

MOST = 10_000  # of one user; each has a timer
# calls a function after some seconds; what it returns stops it
After = Callable[[float, Callable[[], None]], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class _Sent:
    name: str
    start_ns: int
    stop_timer: Callable[[], None]


class Correlations:
    """One user's. Each message that is expected ends as one observed hit, whatever happens."""

    def __init__(self, method: str, watch: Watch, after: After) -> None:
        self._method = method
        self._watch = watch
        self._after = after
        self._sent: dict[str, _Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def expect(self, key: str, name: str, timeout_s: float) -> None:
        """Start waiting for `key`. Raises HitFailure if the key is already waited for, or too many keys are."""
        if key in self._sent:
            raise HitFailure(Outcome.TEMPLATE, f"{key!r} is still waited for; give each message a value of its own, e.g. ${{uuid()}}")
        if len(self._sent) >= MOST:
            raise HitFailure(Outcome.TOO_LARGE, f"{MOST:,} messages of this user have no answer yet")

        def late() -> None:
            self._end(key, 0, (Outcome.TIMEOUT, f"no answer within {timeout_s:g} s"))

        self._sent[key] = _Sent(name, self._watch.now_ns(), self._after(timeout_s, late))
        self._watch.awaits(1)

    def answered(self, key: str, received_bytes: int) -> bool:
        """Whether a user waited for it."""
        if key not in self._sent:
            return False
        self._end(key, received_bytes, None)
        return True

    def forget(self, key: str) -> None:
        """It was not sent after all."""
        sent = self._sent.pop(key, None)
        if sent is not None:
            sent.stop_timer()
            self._watch.awaits(-1)

    def fail_all(self, failure: tuple[Outcome, str]) -> None:
        for key in list(self._sent):
            self._end(key, 0, failure)

    def _end(self, key: str, received_bytes: int, failure: tuple[Outcome, str] | None) -> None:
        sent = self._sent.pop(key)
        sent.stop_timer()
        self._watch.awaits(-1)
        self._watch.observed(self._method, sent.name, sent.start_ns, self._watch.now_ns(), received_bytes, failure)
