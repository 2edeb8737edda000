"""What one LD_start_test will do, as values: all that the engine process needs to know, and nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.conditioner import NetworkConditioner
from loadflow.engine.plan.connections import Connections
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.plan.pace import Pace, peak_per_s
from loadflow.engine.plan.shape import Stage, stages_after
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.plan.target import HostLists
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.plan.way import Way, way_of

__all__ = ["Plan", "Shard", "share"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything is validated and normalised; `steps` are plain JSON objects as `StartTest.steps` gives them, of all phases (see `way`).

    The plan holds secrets (variables, headers), so it travels to the engine on a pipe only; what is written to disk is
    `Redactor.value(plan.to_json())`.
    """

    protocol: str  # the user type, e.g. "fast_http_user"; a step of another has its name as `user`
    speaker: str  # the UserProtocol that sends, as "package.module:NAME"
    mode: Literal["sequence", "weighted"]
    steps: tuple[StepJson, ...]
    stages: tuple[Stage, ...]  # the load over time; one stage where no shape was asked for
    duration_s: float | None  # when the load ends; None: only when it is stopped
    variables: JsonMapping = field(default_factory=dict)
    sources: tuple[CsvSource, ...] = ()
    host: str | None = None
    iterations: int | None = None  # passes of each user; the load ends when all have made theirs
    wait_s: tuple[float, float] = (0.0, 0.0)  # uniform between the two, after each pass
    drain_s: float = 5.0
    seed: int | None = None
    max_body_bytes: int = 16 * 2**20
    redact: tuple[str, ...] = ()
    env_names: tuple[str, ...] = ()  # the environment variables that were asked for
    web_ui: tuple[str, int] | None = None
    network: NetworkConditioner | None = None
    pace: Pace | None = None  # when passes are due; None: each user begins its next one when it is done with the one before
    allowed_hosts: HostLists = ()  # each must allow a host; see plan/target.py
    max_rate_per_s: float | None = None  # over all steps, retries included
    material: Mapping[str, str] = field(default_factory=dict)  # what the user type looked up before the load, under keys of its own
    traces: TraceRule | None = None  # None: no hit is traced
    http_version: int | None = None  # 2: by ALPN with TLS, by prior knowledge without; 3: by QUIC; None: HTTP/1.1, or another protocol
    connections: Connections = field(default_factory=Connections)  # how HTTP users connect
    revision_header: str | None = None  # the field of answers that says the target's build
    flush_s: float | None = None  # how often rows are given away, besides at each full second; None: not
    speakers: Mapping[str, str] = field(default_factory=dict)  # those of the other user types
    hosts: Mapping[str, str] = field(default_factory=dict)  # whom their steps ask
    pauses: bool = True  # whether functions of Python sleep where they say so

    @property
    def way(self) -> Way:
        """Which of the steps are of `on_start`, of a pass, and of `on_stop`."""
        return way_of(self.mode, self.steps)

    @property
    def protocols(self) -> tuple[str, ...]:
        """All user types that a user speaks, the test's own first."""
        return (self.protocol, *self.speakers)

    def part(self, protocol: str) -> Plan:
        """What one of `protocols` is to know of the plan: the steps that it speaks, and whom they ask."""
        if not self.speakers:
            return self
        # which protocols a function speaks shows when it is called
        steps = tuple(step for step in self.steps if "call" in step or step.get("user", self.protocol) == protocol)
        if protocol == self.protocol:
            return replace(self, steps=steps)
        return replace(self, protocol=protocol, speaker=self.speakers[protocol], steps=steps, host=self.hosts.get(protocol))

    @property
    def users(self) -> int:
        """The most users there will be at any time."""
        return max(stage.users for stage in self.stages)

    @property
    def ends_with_users(self) -> bool:
        """Whether users may be done before the load's time is over; when all are, the load ends."""
        return self.iterations is not None or any(source.mode == "once" for source in self.sources)

    @property
    def asked_per_s(self) -> float | None:
        """The most hits per second that the pace asks for, when no step is left out; None where users decide."""
        if self.pace is None:
            return None
        return peak_per_s(self.pace.segments) * self.way.steps_a_pass

    def without_pauses(self) -> Plan:
        """The same requests, without think time: nothing waits for it, and nothing is drawn for it."""
        steps = tuple({key: value for key, value in step.items() if key != "think_time"} for step in self.steps)
        return replace(self, steps=steps, wait_s=(0.0, 0.0), pauses=False)

    def to_json(self) -> JsonObject:
        return {**asdict(self), "pace": self.pace.to_json() if self.pace else None}

    @classmethod
    def from_json(cls, data: JsonMapping) -> Plan:
        return cls(
            **{
                **data,
                "steps": tuple(data["steps"]),
                "stages": tuple(Stage(**stage) for stage in data["stages"]),
                "sources": tuple(CsvSource(**source) for source in data["sources"]),
                "wait_s": tuple(data["wait_s"]),
                "redact": tuple(data["redact"]),
                "env_names": tuple(data["env_names"]),
                "web_ui": tuple(data["web_ui"]) if data["web_ui"] else None,
                "pace": Pace.from_json(data["pace"]) if data.get("pace") else None,
                "allowed_hosts": tuple(tuple(one) for one in data.get("allowed_hosts") or ()),
                "network": NetworkConditioner(**data["network"]) if data.get("network") else None,
                "traces": TraceRule(**data["traces"]) if data.get("traces") else None,
                "connections": Connections.from_json(data["connections"]),
            }
        )

    def later(self, from_s: int) -> Plan:
        """What is left of this plan when `from_s` seconds of it are over: its own times count from there.

        Users come at once, as many as there would be by then; those of `iterations` make all of theirs. Which steps the weights pick begins
        anew.
        """
        pace = self.pace.later(from_s) if self.pace else None
        duration_s = None if self.duration_s is None else max(0.0, self.duration_s - from_s)
        return replace(self, stages=stages_after(self.stages, from_s), duration_s=duration_s, pace=pace)

    def for_shard(self, shard: Shard) -> Plan:
        """This plan with one process's share of users, spawn rate, throttles and passes at once; the shares add up to the whole.

        Which arrivals of the pace are its own it knows from its number: `Pace.arrivals(index, count)`.
        """
        stages = tuple(replace(stage, users=share(stage.users, shard), spawn_rate=stage.spawn_rate / shard.count) for stage in self.stages)
        steps = tuple(
            {**step, "throttle": _share_of_throttle(step["throttle"], shard)} if step.get("throttle") else step for step in self.steps
        )
        cap = None if self.max_rate_per_s is None else self.max_rate_per_s / shard.count
        pace = replace(self.pace, max_in_flight=share(self.pace.max_in_flight, shard)) if self.pace else None
        traces = replace(self.traces, per_s=self.traces.per_s / shard.count) if self.traces else None
        return replace(self, stages=stages, steps=steps, max_rate_per_s=cap, pace=pace, traces=traces)


def _share_of_throttle(throttle: JsonMapping, shard: Shard) -> dict[str, object]:
    """A burst can't be less than 1, so all processes together may send one hit each at once."""
    return {**throttle, "rps": throttle["rps"] / shard.count, "burst": max(1.0, (throttle.get("burst") or 1) / shard.count)}


@dataclass(frozen=True, slots=True)
class Shard:
    """Which of how many engine processes."""

    index: int = 0
    count: int = 1


def share(total: int, shard: Shard) -> int:
    """How many of `total` are this shard's; shares differ by at most one and add up to `total`.

    >>> [share(10, Shard(i, 3)) for i in range(3)]
    [4, 3, 3]
    """
    return total // shard.count + (shard.index < total % shard.count)
