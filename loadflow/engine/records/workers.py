"""Who made the load of a run with agents: one record for each share that an agent had, in `workers.json` of the run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.regular_file import read_regular

__all__ = ["WorkerRecord", "WorkerState", "degradation", "read_workers", "workers_text"]


class WorkerState(StrEnum):
    JOINED = "joined"  # it is there, and the load has not begun
    RUNNING = "running"
    FINISHED = "finished"  # all of its hits have arrived
    LOST = "lost"  # it fell silent, or failed, in the middle
    LEFT = "left"  # it was asked to end, on its own machine; its hits have arrived
    ABSENT = "absent"  # it never came, and the load began without it


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """`shard` is its number in the hit logs. Seconds count from the run's start.

    `recorded_s`: every hit that ended before it has arrived. `clock_error_ms`: by how much its times may be off the master's, at most.
    `undelivered`: hits that it said it had recorded, and that did not arrive.
    """

    shard: int
    id: str
    host: str
    state: WorkerState
    ended_s: float | None = None  # when it was lost or left
    recorded_s: float = 0.0
    clock_error_ms: float = 0.0
    message: str = ""
    hits: int = 0  # that arrived; counted in the logs by who reads them
    loops: int = 1  # its logs are those from `shard` on
    from_s: int = 0  # when it took over what another had left
    share: int = 0  # which part of the load
    epoch: int = 1  # the how many-th time that it was given away
    flow_run: str = ""  # its own, where a work pool has started it
    undelivered: int = 0

    @property
    def logs(self) -> range:
        return range(self.shard, self.shard + self.loops)

    @property
    def name(self) -> str:
        return f"{self.id} on {self.host}" if self.id else f"number {self.shard + 1}"


def workers_text(workers: Iterable[WorkerRecord]) -> str:
    return json.dumps([asdict(worker) for worker in workers], indent=2)


def read_workers(path: Path) -> tuple[WorkerRecord, ...]:
    """() for a run without workers of its own."""
    if not path.exists():
        return ()
    entries: list[JsonObject] = read_json(read_regular(path))
    known = {field.name for field in fields(WorkerRecord)}
    records = (WorkerRecord(**{key: value for key, value in entry.items() if key in known}) for entry in entries)
    return tuple(replace(record, state=WorkerState(record.state)) for record in records)


def degradation(workers: Sequence[WorkerRecord]) -> str:
    """Why the load was not the one that was asked for; "" when every worker did its share."""
    reasons = []
    for worker in workers:
        match worker.state:
            case WorkerState.LOST:
                why = f" ({worker.message})" if worker.message else ""
                known = f", {worker.undelivered:,} that it had recorded among them" if worker.undelivered else ""
                reasons.append(
                    f"worker {worker.name} was lost {worker.ended_s or 0:.1f} s after the start{why}; "
                    f"its hits from {worker.recorded_s:.1f} s on may be missing{known}{_taken_over(worker, workers)}"
                )
            case WorkerState.LEFT:
                reasons.append(f"worker {worker.name} left {worker.ended_s or 0:.1f} s after the start{_taken_over(worker, workers)}")
            case WorkerState.ABSENT:
                reasons.append(f"worker {worker.name} never came{_taken_over(worker, workers)}")
            case _:
                pass
    return f"degraded: {'; '.join(reasons)}" if reasons else ""


def _taken_over(worker: WorkerRecord, workers: Sequence[WorkerRecord]) -> str:
    later = [one for one in workers if one.share == worker.share and one.from_s > worker.from_s]
    if not later:
        return ""
    first = min(later, key=lambda one: one.from_s)
    return f"; {first.name} went on with its share from {first.from_s} s on"
