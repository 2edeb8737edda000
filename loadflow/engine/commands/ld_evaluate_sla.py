"""LD_evaluate_sla: test thresholds against the runs so far; never fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands import sla
from loadflow.engine.records.threshold import ThresholdState, worst_state
from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "evaluate_sla"]


def evaluate_sla(rules: Sequence[Any]) -> JsonObject:
    """Hold thresholds against the runs since the last LD_clear_records, taken together; says how each ended and fails nothing.

    `rules`: expressions (`"p95 < 500"`), objects (`{"expr": …, "name": …, "window": [from, to], "min_samples": …}`), or LoadDensity's
    (`{"type": "latency_p95", "op": "lt", "value": 500, "name": …}`). Raises CommandError where there is no run.

    >>> evaluate_sla(["p95 < 500", {"expr": "failure_rate < 1%", "name": "/pay"}])["passed"]  # doctest: +SKIP
    True
    """
    thresholds = sla.thresholds(rules)
    if current_session().rehearsing:
        return sla.rehearsed(thresholds)
    results = sla.results(thresholds)
    state = worst_state(results)
    return {
        "passed": state is ThresholdState.PASSED,
        "state": str(state),
        "results": [{**asdict(one), "state": str(one.state), "text": one.text} for one in results],
    }


COMMAND = Command(
    "LD_evaluate_sla",
    evaluate_sla,
    "Test thresholds against the runs so far; never fails.",
    QUICK,
    model=sla.Sla,
    dry=True,
    group="judging",
    returns="object: passed, state, results",
    example={"rules": ["p95 < 500", {"expr": "failure_rate < 1%", "name": "pay"}]},
)
