"""What the engine tells its parent: JSON lines on a pipe, each shorter than PIPE_BUF, so that lines never mix.

`ready`: compiled, waiting for `go`. `tick`: all rows up to `rows` are in the log, and every hit that ended before second
`until_s` is among them. `flush`: the same between two ticks. `done`: the load is over and the log is complete. `failed`: the
engine can't go on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from loadflow.engine.records.health import Health

__all__ = ["Done", "Failed", "Flush", "Message", "Note", "Ready", "Served", "SupervisorEnd", "Tick", "decode", "encode"]

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
    started: int = 0  # passes of a pace since `go`
    dropped: int = 0
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
    started: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    shard: int
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a worker of a master is doing, for people."""

    shard: int
    text: str


@dataclass(frozen=True, slots=True)
class Served:
    """A worker's share of a master's run is over. `problem`: why the master does not have all of it; "" when it has."""

    shard: int
    master: str
    run: str
    hits: int
    problem: str


@dataclass(frozen=True, slots=True)
class SupervisorEnd:
    """`exit_codes`: one per engine; negative ones are signals."""

    reason: str
    exit_codes: tuple[int, ...]


Message = Ready | Tick | Flush | Done | Failed | Note | Served | SupervisorEnd
KINDS: dict[str, Any] = {"ready": Ready, "tick": Tick, "flush": Flush, "done": Done, "failed": Failed, "note": Note, "served": Served}


def encode(message: Ready | Tick | Flush | Done | Failed | Note | Served) -> str:
    """One line, without its end."""
    data = asdict(message)
    if isinstance(message, Failed):
        data["text"] = message.text[-TEXT_LIMIT:]
    return json.dumps({"kind": type(message).__name__.lower(), **data})


def decode(line: str) -> Message | None:
    """None for a line that is no message: a library printed to the engine's standard output."""
    try:
        data = json.loads(line)
        kind = data.pop("kind")
        if kind == "end":
            return SupervisorEnd(data["reason"], tuple(data["exit_codes"]))
        if "health" in data:
            data["health"] = Health.from_json(data["health"])
        message: Message = KINDS[kind](**data)
        return message
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
