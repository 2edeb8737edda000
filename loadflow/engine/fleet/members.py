"""Who makes which shard, as the coordinator knows it: values, and decisions about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from loadflow.engine.base.counted import counted
from loadflow.engine.base.disk import FULL
from loadflow.engine.fleet.shipping import Incoming
from loadflow.engine.process.messages import Message
from loadflow.engine.records.health import Health
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.workers import WorkerRecord, WorkerState

__all__ = ["Member", "Rules", "Share", "counts_of", "flow_run_of", "is_of_machine", "names_of", "too_few"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds. `degraded`: go on with fewer shards than there are, if one at least has an agent. `delivery_s`: for all hits of an agent to
    arrive, once its load is over."""

    startup_s: float
    lost_s: float
    degraded: bool
    delivery_s: float


class Held(StrEnum):
    """How a shard stands."""

    OPEN = "open"  # no agent makes it
    MADE = "made"  # an agent makes it
    OVER = "over"  # made, or given up


@dataclass(slots=True)
class Member:
    """One agent's time with a shard: an epoch. `logs`: the numbers of its loops' logs in the run folder, whose places are in `ready` and
    `done`, and, of what it says of itself, `rows` on its disk and passes that have `begun`."""

    agent: str
    host: str
    number: int
    epoch: int
    logs: tuple[int, ...]
    incoming: Incoming
    heard_s: float
    further_s: float
    asked_s: float
    from_s: int = 0
    cores: int = 1
    flow_run: str = ""
    state: WorkerState = WorkerState.JOINED
    phase: str = "loading"
    delivering_s: float = 0.0  # since when
    folder: str = ""  # where it keeps what it records
    ready: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    left: bool = False
    armed_ns: int = 0
    way_s: float = 0.0
    clock_error_s: float = 0.0
    recorded_s: float = 0.0
    ended_s: float | None = None
    message: str = ""
    health: dict[int, Health] = field(default_factory=dict)
    passes: dict[int, Passes] = field(default_factory=dict)
    waiting: list[Message | None] = field(default_factory=list)  # what was said of rows that are not here yet
    rows: tuple[int, ...] = ()
    begun: tuple[int, ...] = ()
    undelivered: int = 0

    @property
    def is_live(self) -> bool:
        return self.state in (WorkerState.JOINED, WorkerState.RUNNING)

    @property
    def is_ready(self) -> bool:
        return len(self.ready) == len(self.logs)

    def silence(self, now_s: float, rules: Rules) -> str:
        """Why it is taken for lost; "" while it is there. What delivers nothing at the end, though it speaks, is lost too."""
        if now_s - self.heard_s > rules.lost_s:
            return f"nothing was heard of it for {now_s - self.heard_s:.1f} s{self._kept('what it recorded is')}"
        if self.phase == "delivering" and now_s - self.further_s > rules.lost_s:
            return f"it delivered nothing for {now_s - self.further_s:.1f} s{self._kept()}"
        if self.phase == "delivering" and now_s - self.delivering_s > rules.delivery_s:
            return f"its hits did not arrive within {rules.delivery_s:g} s (delivery_timeout){self._kept()}"
        return ""

    def _kept(self, what: str = "they are") -> str:
        return f"; {what} in {self.folder} there" if self.folder else ""

    def record(self) -> WorkerRecord:
        return WorkerRecord(
            self.logs[0],
            self.agent,
            self.host,
            self.state,
            None if self.ended_s is None else round(self.ended_s, 3),
            round(self.recorded_s, 3),
            round(self.clock_error_s * 1e3, 3),
            self.message,
            loops=len(self.logs),
            from_s=self.from_s,
            share=self.number,
            epoch=self.epoch,
            flow_run=self.flow_run,
            undelivered=self.undelivered,
        )


@dataclass(slots=True)
class Share:
    """A shard: one engine process's part of the load, of which an agent makes all or the rest. `epoch`: the last that was given away."""

    number: int
    logs: tuple[int, ...]
    held: Held = Held.OPEN
    epoch: int = 0
    member: Member | None = None
    since_s: float = 0.0  # when it became open


def flow_run_of(asked: Mapping[str, object]) -> str:
    """The id of the flow run that an agent says it is; "" for none, and where it is not an id."""
    text = str(asked.get("flow_run", ""))
    return text if re.fullmatch(r"[0-9a-f-]{36}", text) else ""


def counts_of(asked: Mapping[str, object], key: str) -> tuple[int, ...]:
    """What an agent says of each of its loops; () where it says nothing, or nothing that could be counted.

    >>> counts_of({"rows": [3, 0]}, "rows"), counts_of({"rows": [-1]}, "rows"), counts_of({}, "rows")
    ((3, 0), (), ())
    """
    given = asked.get(key)
    counts = given if isinstance(given, list) else []
    return tuple(counts) if all(type(one) is int and one >= 0 for one in counts) else ()


def names_of(members: Iterable[Member]) -> str:
    return ", ".join(f"{member.agent} on {member.host}" for member in members) or "none"


def too_few(there: list[Member], expected: int, rules: Rules) -> str:
    """Why the load can't begin with those who are there; "" when it can."""
    if len(there) >= (1 if rules.degraded else expected):
        return ""
    return (
        f"{len(there)} of {counted(expected, 'share')} had an agent within {rules.startup_s:g} s ({names_of(there)}); "
        "start more with `loadflow agent`, or raise worker_startup_timeout"
        + ("" if rules.degraded or not there else ", or set worker_startup_policy to degraded")
    )


def is_of_machine(why: str) -> bool:
    """What the machine or a person ended may go on elsewhere; what else can't be made there can't be made anywhere."""
    return any(words in why for words in ("was killed by", *FULL.values()))
