"""What the engine reports to its parent: JSON lines on a pipe, each shorter than PIPE_BUF, so that lines never mix.

`ready`: compiled, waiting for `go`. `tick`: all rows up to `rows` are in the log, and every hit that ended before second
`until_s` is among them. `flush`: the same between two ticks. `done`: the load is over and the log is complete. `failed`: the
engine can't go on. `stood`: its loop stands, or stood, for over a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from loadflow.engine.records.health import Health
from loadflow.engine.records.passes import Passes

__all__ = ["Done", "Failed", "Flush", "Message", "Note", "Opened", "Ready", "Stood", "SupervisorEnd", "Tick", "decode", "encode"]

TEXT_LIMIT = 2_000  # characters; PIPE_BUF is 4,096 bytes on Linux


@dataclass(frozen=True, slots=True)
class Ready:
    shard: int


@dataclass(frozen=True, slots=True)
class Tick:
    shard: int
    until_s: int
    rows: int
    health: Health
    passes: Passes = field(default_factory=Passes)  # since `go`
    ran_s: float | None = None  # how long the load ran, once it has ended and only the drain is left


@dataclass(frozen=True, slots=True)
class Flush:
    shard: int
    until_ns: int
    rows: int


@dataclass(frozen=True, slots=True)
class Done:
    shard: int
    rows: int
    ran_s: float  # from `go` to the end of the load, without the drain
    stopped: str  # why it ended early; "" when it ran its time
    health: Health  # at the end of the load; a run shorter than a second has no other
    passes: Passes = field(default_factory=Passes)
    lost: bool = False  # said of an agent whose own word did not come


@dataclass(frozen=True, slots=True)
class Stood:
    """The loop did not come back to its clock for a second and more. Times in seconds, the first since `go`; `doing`: at what."""

    shard: int
    since_s: float
    stood_s: float
    doing: str


@dataclass(frozen=True, slots=True)
class Failed:
    shard: int
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the agents of a load are doing, for people."""

    shard: int
    text: str


@dataclass(frozen=True, slots=True)
class Opened:
    """Of a load with agents: what was left of `share` when its agent was lost is made by another, from `from_s` on, in a log of its own
    with the number `shard`."""

    shard: int
    share: int
    from_s: int


@dataclass(frozen=True, slots=True)
class SupervisorEnd:
    """`exit_codes`: one per engine; negative ones are signals."""

    reason: str
    exit_codes: tuple[int, ...]


OfEngine = Ready | Tick | Flush | Done | Stood | Failed  # what a process that makes load says
Message = Ready | Tick | Flush | Done | Stood | Failed | Note | Opened | SupervisorEnd
KINDS: Mapping[str, type[OfEngine]] = {one.__name__.lower(): one for one in (Ready, Tick, Flush, Done, Stood, Failed)}


def encode(message: OfEngine) -> str:
    """One line, without its end."""
    data = asdict(message)
    if isinstance(message, Failed):
        data["text"] = message.text[-TEXT_LIMIT:]
    elif isinstance(message, Stood):
        data["doing"] = message.doing[:TEXT_LIMIT]
    return json.dumps({"kind": type(message).__name__.lower(), **data})


def decode(line: str) -> Message | None:
    """None if the line is not a message: a library printed to the engine's standard output."""
    try:
        data = json.loads(line)
        kind = data.pop("kind")
        if kind == "end":
            return SupervisorEnd(data["reason"], tuple(data["exit_codes"]))
        if "health" in data:
            data["health"] = Health.from_json(data["health"])
            data["passes"] = Passes.from_json(data["passes"])
        message: Message = KINDS[kind](**data)
        return message
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
