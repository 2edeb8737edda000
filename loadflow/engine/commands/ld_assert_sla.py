"""LD_assert_sla: test thresholds against the runs so far; fails the script if one is not met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands import sla
from loadflow.engine.commands.ld_evaluate_sla import evaluate_sla
from loadflow.engine.records.threshold import ThresholdState, worst_state
from loadflow.engine.script.command import ASSERTION, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import ThresholdsNotMet

__all__ = ["COMMAND", "assert_sla"]


def assert_sla(rules: Sequence[Any]) -> JsonObject:
    """`evaluate_sla`, which raises ThresholdsNotMet unless all hold: the script's verdict is then failed, or inconclusive.

    >>> assert_sla(["p95 < 500"])["results"][0]["observed"]  # doctest: +SKIP
    212.4
    """
    thresholds = sla.thresholds(rules)
    if current_session().rehearsing:
        return sla.rehearsed(thresholds)
    results = sla.results(thresholds)
    state = worst_state(results)
    if state is not ThresholdState.PASSED:
        raise ThresholdsNotMet([one.text for one in results if one.state is state], failed=state is ThresholdState.FAILED)
    return evaluate_sla(rules)


COMMAND = Command(
    "LD_assert_sla",
    assert_sla,
    "Test thresholds against the runs so far; fails the script if one is not met.",
    ASSERTION,
    model=sla.Sla,
    dry=True,
    group="judging",
    returns="object: passed, state, results",
    example={"rules": ["p95 < 500 ms", "rate > 100"]},
)
