"""What LD_evaluate_sla and LD_assert_sla share: thresholds as they are written, and the runs so far held against them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Discriminator, Field, Tag, ValidationError

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.load_test.threshold import ExpressionText, SlaRule, ThresholdPart, thresholds_of
from loadflow.engine.records.threshold import Threshold, ThresholdResult, decide, is_named
from loadflow.engine.resolve.variables import suggestion
from loadflow.engine.script.mistakes import TAG, faults_of, kind_of, mistakes_of
from loadflow.engine.script.part import AN_OBJECT, TEXT, Part
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["Sla", "rehearsed", "results", "thresholds"]


NO_RUN = Mistake("", "there is no run to judge", "LD_start_test comes first")


def _rule_form(value: object) -> str:
    if isinstance(value, dict):
        return f"{TAG}a rule" if "metric" in value or "type" in value else f"{TAG}an object"
    return TAG + kind_of(value)


Rule = Annotated[
    Annotated[ExpressionText, TEXT] | Annotated[SlaRule, Tag(f"{TAG}a rule")] | Annotated[ThresholdPart, AN_OBJECT],
    Discriminator(_rule_form),
]


class Sla(Part):
    """The arguments of LD_evaluate_sla and LD_assert_sla."""

    noun: ClassVar[str] = "LD_assert_sla"
    rules: Annotated[list[Rule], Field(min_length=1)]


def thresholds(rules: Sequence[object]) -> list[Threshold]:
    try:
        checked = Sla.model_validate({"rules": list(rules)})
    except ValidationError as error:
        raise CommandError(mistakes_of(faults_of(error, keys=Sla.keys(), noun=Sla.noun), {"rules": rules}, "")) from None
    return thresholds_of(checked.rules)


def results(thresholds: Sequence[Threshold]) -> list[ThresholdResult]:
    runs = current_session().runs
    if not runs:
        raise CommandError([NO_RUN])
    return [_decide(threshold, runs) for threshold in thresholds]


def rehearsed(thresholds: Sequence[Threshold]) -> JsonObject:
    """What can be known of them before any load: whether there will be one, and the names of its hits."""
    loads = current_session().loads
    if not loads:
        raise CommandError([NO_RUN])
    known = None if None in loads else [name for load in loads for name in load or ()]
    mistakes = []
    for position, threshold in enumerate(thresholds):
        name = threshold.name
        if (threshold.window is not None or threshold.steady) and len(loads) > 1 and known is not None:
            mistakes.append(_window_of_many(len(loads)))
        if name is not None and known is not None and not any(is_named(one, name) for one in known):
            hint = suggestion(name, [one.name for one in known]) or f"they are {', '.join(dict.fromkeys(one.name for one in known))}"
            mistakes.append(Mistake(f"rules[{position}].name", f"no step is named {name!r}", hint))
    if mistakes:
        raise CommandError(mistakes)
    return {}


def _window_of_many(loads: int) -> Mistake:
    hint = "call LD_clear_records between the loads, or write the threshold into the load's own thresholds"
    return Mistake("rules", f"a window or the steady phase can't be used with {counted(loads, 'load')} together", hint)


def _decide(threshold: Threshold, runs: Sequence[Run]) -> ThresholdResult:
    if len(runs) == 1:
        return runs[0].decide(threshold)
    if threshold.window is not None or threshold.steady:
        raise CommandError([_window_of_many(len(runs))])
    from loadflow.engine.records.totals import Totals

    return decide(threshold, Totals.merged(run.totals() for run in runs), sum(run.totals().duration_s for run in runs))
