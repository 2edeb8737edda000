"""The commands that hold the runs so far against thresholds, after the load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag, ValidationError

from loadflow.engine.records.run import Run
from loadflow.engine.records.threshold import Threshold, ThresholdResult, ThresholdState, decide, worst_state
from loadflow.engine.records.totals import Totals
from loadflow.engine.script.mistakes import TAG, faults_of, kind_of, mistakes_of
from loadflow.engine.script.part import AN_OBJECT, TEXT, Part
from loadflow.engine.script.threshold import ExpressionText, SlaRule, ThresholdPart, thresholds_of
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake, ThresholdsNotMet

__all__ = ["Sla", "assert_sla", "evaluate_sla"]


def _rule_form(value: Any) -> str:
    if isinstance(value, dict):
        return f"{TAG}a rule" if "metric" in value else f"{TAG}an object"
    return TAG + kind_of(value)


Rule = Annotated[
    Annotated[ExpressionText, TEXT] | Annotated[SlaRule, Tag(f"{TAG}a rule")] | Annotated[ThresholdPart, AN_OBJECT],
    Discriminator(_rule_form),
]


class Sla(Part):
    """The arguments of LD_evaluate_sla and LD_assert_sla."""

    noun: ClassVar[str] = "LD_assert_sla"
    rules: Annotated[list[Rule], Field(min_length=1)]


def evaluate_sla(rules: Sequence[Any]) -> dict[str, Any]:
    """Hold thresholds against the runs since the last LD_clear_records, taken together; says how each ended and fails nothing.

    `rules`: expressions (`"p95 < 500"`), objects (`{"expr": …, "name": …, "window": [from, to], "min_samples": …}`), or LoadDensity's
    (`{"metric": "latency_p95", "operator": "lt", "value": 500, "name": …}`). Raises CommandError where there is no run.

    >>> evaluate_sla(["p95 < 500", {"expr": "failure_rate < 1%", "name": "/pay"}])["passed"]  # doctest: +SKIP
    True
    """
    results = _results(_thresholds(rules))
    state = worst_state(results)
    return {
        "passed": state is ThresholdState.PASSED,
        "state": str(state),
        "results": [{**asdict(one), "state": str(one.state), "text": one.text} for one in results],
    }


def assert_sla(rules: Sequence[Any]) -> dict[str, Any]:
    """`evaluate_sla`, which raises ThresholdsNotMet unless all hold: the script's verdict is then failed, or inconclusive.

    >>> assert_sla(["p95 < 500"])["results"][0]["observed"]  # doctest: +SKIP
    212.4
    """
    results = _results(_thresholds(rules))
    state = worst_state(results)
    if state is not ThresholdState.PASSED:
        raise ThresholdsNotMet([one.text for one in results if one.state is state], failed=state is ThresholdState.FAILED)
    return evaluate_sla(rules)


def _thresholds(rules: Sequence[Any]) -> list[Threshold]:
    try:
        checked = Sla.model_validate({"rules": list(rules)})
    except ValidationError as error:
        raise CommandError(mistakes_of(faults_of(error, keys=Sla.keys(), noun=Sla.noun), {"rules": rules}, "")) from None
    return thresholds_of(checked.rules)


def _results(thresholds: Sequence[Threshold]) -> list[ThresholdResult]:
    runs = current_session().runs
    if not runs:
        raise CommandError([Mistake("", "there is no run to judge", "LD_start_test comes first")])
    return [_decide(threshold, runs) for threshold in thresholds]


def _decide(threshold: Threshold, runs: Sequence[Run]) -> ThresholdResult:
    if len(runs) == 1:
        return runs[0].decide(threshold)
    if threshold.window is not None:
        hint = "call LD_clear_records between the loads, or write the threshold into the load's own thresholds"
        raise CommandError([Mistake("rules", f"a window of {len(runs)} loads means nothing", hint)])
    return decide(threshold, Totals.merged(run.totals() for run in runs), sum(run.totals().duration_s for run in runs))
