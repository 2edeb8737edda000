"""Own commands that stand for load: they leave a synthetic run in the session, as LD_start_test leaves a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.session.session import Session, current_session
from tests.builders import build_run, facts, make_rows

BUSY = Health(users=5, cpu=1.0, lag_ms=500.0)
ENDS = {
    VerdictKind.INTERRUPTED: RunEnd(EndReason.STOPPED, "a test stopped it", 30.0, 12.0),
    VerdictKind.ERROR: RunEnd(EndReason.ENGINE_LOST, "the engine process 0 was killed by SIGKILL", 30.0, 12.0),
}


def synthetic_run(folder: Path, kind: VerdictKind = VerdictKind.PASSED, **changes: Any) -> Run:
    failing = 0.1 if kind is VerdictKind.FAILED else 0.0
    return build_run(
        folder,
        make_rows(300, seconds=3.0, failure_rate=failing),
        end=ENDS.get(kind),
        health=BUSY if kind is VerdictKind.INCONCLUSIVE else None,
        run_facts=facts(folder=str(folder), **changes),
    )


def load(kind: str = "passed", label: str = "smoke") -> dict[str, Any]:
    """A run with the verdict `kind`, told to the session's observers."""
    session = current_session()
    run_id, folder = Run.new_folder(session.runs_dir, label)
    run = synthetic_run(folder, VerdictKind(kind), id=run_id, label=label, flow_run_ids=tuple(session.flow_run_ids))
    session.keep(run)
    for observer in session.observers:
        observer.run_started(run)
    for row in run.seconds():
        delta = run.fold()
        for observer in session.observers:
            observer.snapshot(run, Snapshot(row.second, 0.0, delta, row.health, 3.0))
    summary = run.summary()
    for observer in session.observers:
        observer.run_ended(run, summary)
    return summary.to_json()


LOAD = Command("load", load, "A synthetic run.", Policy(retry_safe=False), loads=True)


def session_with(*commands: Command, **settings: Any) -> Session:
    return Session(own_commands={command.name: command for command in (LOAD, *commands)}, **settings)
