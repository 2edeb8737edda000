"""A run whose process was killed while agents made its load: what they still have of it comes into its folder, and the run gets its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loadflow.engine.fleet.access import Access
from loadflow.engine.fleet.draining import Drained, drain
from loadflow.engine.load.follow import Follower
from loadflow.engine.plan.plan import Plan
from loadflow.engine.process.messages import Done, Flush, Opened, Tick
from loadflow.engine.records.evidence import end_evidence
from loadflow.engine.records.going_on import going_on
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import row_count
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.run import Run, SnapshotLog
from loadflow.engine.reports.html import write_html_report
from loadflow.errors import RunError

__all__ = ["resume"]

WHY = "the process that started the load is gone"


def resume(folder: Path, access: Access, say: Callable[[str], None]) -> Run:
    """Raises RunError for a run that goes on, has an end, or was made without agents; or where there is no server."""
    run = Run.open(folder)
    if run.held:
        raise RunError(f"the run of {folder} is still going on")
    if (folder / "end.json").exists():
        raise RunError(f"the run of {folder} has its end already; `loadflow report {folder}` makes its report again")
    if not run.workers():
        raise RunError(f"the run of {folder} was not made by agents at a server: what there is of it is in its folder")
    with going_on(folder):
        _finish(run, asyncio.run(drain(run, access, say)))
    return run


def _finish(run: Run, drained: list[Drained]) -> None:
    """Count all from the beginning: what the engines reported is on disk, too."""
    plan = Plan.from_json(run.facts.plan)
    first = [one for one in drained if not one.from_s]
    follower = Follower(run, sum(len(one.logs) for one in first), run.facts.planned_s, run.pace)
    for path in (run.folder / "snapshots.ndjson",):
        path.unlink(missing_ok=True)
    snapshots = SnapshotLog(run)
    try:
        for one in drained:
            if one.from_s:
                base = next(other for other in first if other.share == one.share)
                for log, share in zip(one.logs, base.logs, strict=True):
                    follower.open(Opened(log, share, one.from_s))
        for one in drained:
            follower.origin_unix_s = one.origin_unix_s or follower.origin_unix_s
        ran_s = 0.0
        for one in drained:
            done: dict[int, Done] = {}
            told = partial(one.of_run)
            for message in map(told, one.messages):
                if isinstance(message, Tick):
                    for snapshot in follower.tick(message):
                        snapshots.append(snapshot)
                elif isinstance(message, Flush):
                    follower.flush(message)
                elif isinstance(message, Done):
                    done[message.shard] = message
            for log in one.logs:
                path = run.hits_path(log)
                rows = row_count(path) if path.exists() else 0
                last = done.get(log) or Done(log, rows, one.recorded_s, "", Health(), one.passes(log), lost=True)
                ran_s = max(ran_s, last.ran_s)
                for snapshot in follower.done(last):
                    snapshots.append(snapshot)
        for snapshot in follower.end():
            snapshots.append(snapshot)
    finally:
        snapshots.close()
    if plan.pace is None:
        follower.totals.passes = follower.closed_passes(plan.users, plan.iterations)
    run.finish(follower.totals, RunEnd(EndReason.PARENT_LOST, WHY, run.facts.planned_s, ran_s))
    write_html_report([run], run.folder / "report.html")
    end_evidence(run)
