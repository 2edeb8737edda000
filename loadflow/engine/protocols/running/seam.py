"""The seam for a protocol: what a virtual user needs to speak one. A new protocol is its steps in a script, and its client.

A protocol compiles a step once per plan (`prepare`), gives each virtual user a client (`new_client`), and names its library's
errors once (`errors`, first match wins, so subclasses come before their bases). The step loop, templates, conditions, retries,
assertions, extracts and records are the same for all and know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.timings import HitTimings
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler

__all__ = ["Client", "HitFailure", "PreparedStep", "Reply", "Traffic", "UserContext", "UserProtocol", "Watch"]


class HitFailure(Exception):
    """A hit failed in a way the protocol itself knows. Data, not an error: the step loop turns it into a row."""

    def __init__(self, outcome: Outcome, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.reply = reply


@dataclass(slots=True)
class Traffic:
    """Bytes of the hit under way, as they cross the wire (inside of TLS), and where its time went: a failed one has something of both."""

    sent_bytes: int = 0
    received_bytes: int = 0
    timings: HitTimings = field(default_factory=HitTimings)
    on_event: Callable[[int, int], None] | None = None  # is told of each event of a stream: its tokens and bytes
    lacks: tuple[Outcome, str] | None = None  # what an answer that is right lacks all the same


class Reply(Protocol):
    """What came back; assertions and extracts read it. Sizes in bytes, as they crossed the wire where that is known."""

    status: int  # 0: the protocol has none
    sent_bytes: int
    received_bytes: int

    def text(self) -> str: ...

    def json(self) -> Any:
        """Raises ValueError when the body is not JSON."""
        ...

    def header(self, name: str) -> str | None: ...

    def header_lines(self, name: str) -> list[str]:
        """The values of all fields of this name, each as it came."""
        ...

    def sample(self) -> JsonObject:
        """Status, headers and body as JSON, not redacted and not cut."""
        ...


class Watch(Protocol):
    """Records what happened to a user outside of its steps, e.g. a message that came by itself."""

    def now_ns(self) -> int:
        """The clock of `observed`."""
        ...

    def observed(
        self, method: str, name: str, start_ns: int, end_ns: int, received_bytes: int, failure: tuple[Outcome, str] | None = None
    ) -> None:
        """A hit of its own; `failure` None: it succeeded."""
        ...

    def awaits(self, more: int) -> None:
        """The number of further observed hits that are due (fewer, if negative). At the end of the load the drain waits for them, too."""
        ...


@dataclass(frozen=True, slots=True)
class UserContext:
    """What a client may know of its user. `kept` is what all clients of the user share, such as cookies."""

    plan: Plan
    number: int  # no two users of a run have the same
    watch: Watch
    kept: dict[str, Any] = field(default_factory=dict)


class Client(Protocol):
    """One virtual user's connections and cookies."""

    def perform(self, request: Any) -> Reply:
        """Send one rendered request and wait for the whole answer. Raises HitFailure, or a library's own error."""
        ...

    def close(self) -> None: ...


class PreparedStep(Protocol):
    """One step, compiled. `name` and `method` are what its hits are called; `name` None: `render_name` gives it per hit.

    `place` is whom it asks, a URL or host:port, as far as that is known before the load.
    """

    method: str
    name: str | None
    place: str

    def render(self, scope: Scope) -> object:
        """The request of this hit. Raises MissingValue when a placeholder has no value."""
        ...

    def render_name(self, scope: Scope) -> str: ...

    def sample(self, request: Any) -> JsonObject:
        """A rendered request as JSON, not redacted and not cut."""
        ...


@dataclass(frozen=True, slots=True)
class UserProtocol:
    """One value of `user_detail_dict.user`.

    `prepare` compiles a step, its templates by the given compiler. `fails` gives the default failure of a reply,
    or None: it is asked only where the step has no status assertion. `traffic` counts a client's last hit; None: it does not count.
    `gather` finds what `prepare` needs beside a step, where a step is not known before the load (as load/build.py does for those that are).
    `at_once` gives so many clients of a client's user, itself first, for steps that are sent at once; None: there can be one at a time.
    `pass_ends` is called between a client's passes, and behind `on_start`; None: nothing of them ends.
    """

    user: str
    prepare: Callable[[StepJson, Plan, Compiler], PreparedStep]
    new_client: Callable[[UserContext], Client]
    errors: Sequence[tuple[type[BaseException], Outcome]]
    fails: Callable[[Any], tuple[Outcome, str] | None]
    traffic: Callable[[Any], Traffic] | None = None
    at_once: Callable[[Any, int], Sequence[Client]] | None = None
    gather: Callable[[StepJson, Plan, Compiler, dict[str, str]], None] | None = None
    pass_ends: Callable[[Any], None] | None = None

    def outcome_of(self, error: BaseException) -> Outcome:
        for kind, outcome in self.errors:
            if isinstance(error, kind):
                return outcome
        return Outcome.ENGINE
