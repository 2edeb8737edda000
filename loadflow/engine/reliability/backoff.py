"""How long to wait before trying again: the one formula of steps and of `run_with_retry`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays grow by `factor` from `base_s` and never pass `max_s`.

    `jitter` is the share of a delay that is drawn at random, downwards, so that the cap holds and those who failed together
    do not come back together, at the cap neither; more than 1 counts as 1.
    """

    base_s: float = 0.1
    max_s: float = 5.0
    factor: float = 2.0
    jitter: float = 0.25

    def delay_s(self, retry: int, draw: float) -> float:
        """Before the `retry`-th retry, counted from 1; `draw` is uniform in [0, 1).

        >>> [Backoff(jitter=0).delay_s(retry, 0.0) for retry in (1, 2, 3, 50)]
        [0.1, 0.2, 0.4, 5.0]
        """
        try:
            grown_s = self.base_s * float(self.factor) ** (retry - 1)
        except OverflowError:
            grown_s = self.max_s if self.base_s else 0.0
        return min(self.max_s, grown_s) * (1 - min(1.0, self.jitter) * draw)
