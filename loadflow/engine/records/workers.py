"""Who made the load of a run with a master: one record per worker, in `workers.json` of the run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

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
    """

    shard: int
    id: str
    host: str
    state: WorkerState
    ended_s: float | None = None  # when it was lost or left
    recorded_s: float = 0.0
    clock_error_ms: float = 0.0
    message: str = ""
    hits: int = 0  # that arrived; counted in the log by who reads it

    @property
    def name(self) -> str:
        return f"{self.id} on {self.host}" if self.id else f"number {self.shard + 1}"


def workers_text(workers: Iterable[WorkerRecord]) -> str:
    return json.dumps([asdict(worker) for worker in workers], indent=2)


def read_workers(path: Path) -> tuple[WorkerRecord, ...]:
    """() for a run without workers of its own."""
    if not path.exists():
        return ()
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
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
                reasons.append(
                    f"worker {worker.name} was lost {worker.ended_s or 0:.1f} s after the start{why}; "
                    f"its hits from {worker.recorded_s:.1f} s on may be missing"
                )
            case WorkerState.LEFT:
                reasons.append(f"worker {worker.name} left {worker.ended_s or 0:.1f} s after the start")
            case WorkerState.ABSENT:
                reasons.append(f"worker {worker.name} never came")
            case _:
                pass
    return f"degraded: {'; '.join(reasons)}" if reasons else ""
