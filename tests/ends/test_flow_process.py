"""Every end of a flow that somebody started as a process of its own: nothing still sends, and everybody tells the same story.

`Prefect` is the name of the flow run's final state, `verdict` the run's, `exit code` the flow process's.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from tests.ends.processes import Stage

pytestmark = [pytest.mark.processes, pytest.mark.prefect]

UNWRITTEN_S = 1.5
STILL_S = 5.0  # nothing may arrive later than this after the end


@dataclass(frozen=True)
class End:
    sentence: str
    bring_about: Callable[[Stage, subprocess.Popen[bytes]], None]
    state: str
    verdict: VerdictKind
    said: str
    exit_code: int
    script: dict[str, Any] = field(default_factory=dict)
    within_s: float = STILL_S


def _cancel(stage: Stage, flow: subprocess.Popen[bytes]) -> None:
    run = stage.server.flow_run(name=stage.name)
    assert run is not None
    stage.server.set_state(run["id"], "CANCELLING")


def _cancel_at_once(stage: Stage, flow: subprocess.Popen[bytes]) -> None:
    run = stage.server.flow_run(name=stage.name)
    assert run is not None
    stage.server.set_state(run["id"], "CANCELLED")


ENDS = [
    End("its run is set to cancelled at once", _cancel_at_once, "Cancelled", VerdictKind.INTERRUPTED, "the flow run is cancelled", 1),
    End("its run is cancelled by the API", _cancel, "Cancelled", VerdictKind.INTERRUPTED, "the flow run is cancelling", 1),
    End("Ctrl-C", lambda stage, flow: flow.send_signal(signal.SIGINT), "Crashed", VerdictKind.INTERRUPTED, "keyboard", -signal.SIGINT),
    End("SIGTERM", lambda stage, flow: flow.terminate(), "Crashed", VerdictKind.INTERRUPTED, "a stop by SIGTERM", -signal.SIGTERM),
    # nobody is left who could tell Prefect: a deployment's heartbeats and the zombie automation do
    End("the flow process is killed", lambda stage, flow: flow.kill(), "Running", VerdictKind.INTERRUPTED, "is gone", -signal.SIGKILL),
    End("the engine is killed", lambda stage, flow: stage.engine().kill(), "Error", VerdictKind.ERROR, "killed by SIGKILL", 1),
    End("the supervisor is killed", lambda stage, flow: stage.supervisor().kill(), "Error", VerdictKind.ERROR, "supervisor", 1),
    End(
        "the engine hangs and the supervisor's deadline passes",
        lambda stage, flow: stage.engine().suspend(),
        "Error",
        VerdictKind.ERROR,
        "did not end in time",
        1,
        {"test_time": 8, "drain_time": 0.5},
        within_s=30.0,
    ),
    End(
        "the task's timeout passes",
        lambda stage, flow: None,
        "Error",
        VerdictKind.ERROR,
        "timeout",
        1,
        {"policy": {"timeout_seconds": 5}},
        within_s=10.0,
    ),
]


# the others are held without Prefect, too: tests/cli/test_ends.py, tests/forked and tests/load
SHORT = {"its run is cancelled by the API", "Ctrl-C", "the flow process is killed", "the engine is killed"}


@pytest.mark.parametrize(
    "end", [pytest.param(end, id=end.sentence, marks=() if end.sentence in SHORT else pytest.mark.long) for end in ENDS]
)
def test_after_the_end_nothing_is_sent_and_state_verdict_and_exit_code_say_what_happened(on_stage: Stage, end: End) -> None:
    flow = on_stage.start_flow(on_stage.script(**end.script))
    on_stage.wait_for_load()
    ended_ns = time.monotonic_ns()
    end.bring_about(on_stage, flow)
    on_stage.no_engine(within_s=end.within_s)
    exit_code = flow.wait(timeout=40)
    arrivals = on_stage.arrivals_ns()
    assert max(arrivals) < ended_ns + STILL_S * 1e9
    log = on_stage.log("flow")
    assert on_stage.state(end.state)["name"] == end.state, log
    summary = on_stage.run().summary()
    assert summary.verdict.kind is end.verdict, summary.verdict
    assert end.said in str(summary.verdict)
    # the log is written every second, and what was sent last has no answer
    assert sum(at < ended_ns - UNWRITTEN_S * 1e9 for at in arrivals) <= summary.overall.count <= len(arrivals)
    assert summary.overall.count > 0
    assert exit_code == end.exit_code, log
