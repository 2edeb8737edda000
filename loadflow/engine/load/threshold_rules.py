"""A test's thresholds, held against what the load will have: its names and its phases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.threshold import thresholds_of
from loadflow.engine.load_test.watching import PromqlPart
from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.running.seam import PreparedStep
from loadflow.engine.records.names import SeriesName, phased
from loadflow.engine.records.threshold import Threshold, is_named, parse_expression
from loadflow.engine.resolve.variables import suggestion
from loadflow.errors import CommandError, Mistake

__all__ = ["limits_failures", "thresholds_for"]

PLACE = "LD_start_test.thresholds"


def thresholds_for(test: StartTest, plan: Plan, prepared: Sequence[PreparedStep], *, all_prepared: bool = True) -> tuple[Threshold, ...]:
    """Raises CommandError for names and phases that the load will not have. `all_prepared`: whether these are all of its steps."""
    phases = _phases(plan)
    # where some steps are not prepared, it is not known which, and names are not looked at
    phases_of = plan.steps if all_prepared else [{}] * len(prepared)
    named = zip(phases_of, prepared, strict=True)
    names = [SeriesName(step.method, phased(config, step.name)) for config, step in named if step.name is not None]
    all_known = all_prepared and len(names) == len(prepared)
    found = []
    mistakes = []
    for position, part in enumerate(test.thresholds):
        place = f"{PLACE}[{position}]"
        if isinstance(part, PromqlPart):
            continue
        try:
            (threshold,) = thresholds_of([part], phases)
        except ValueError as error:
            mistakes.append(Mistake(f"{place}.phase", str(error), "phases are the stages of the load shape or the rate, from 1"))
            continue
        found.append(threshold)
        if threshold.window is not None and plan.duration_s is not None and threshold.window[0] >= plan.duration_s:
            mistakes.append(Mistake(f"{place}.window", f"begins after the load's end, at {plan.duration_s:g} s", "choose an earlier one"))
        if threshold.expression.split()[0].startswith("dropped") and plan.pace is None:
            mistakes.append(Mistake(f"{place}.expr", "nothing is dropped without a rate", "set rate, or remove it"))
        if threshold.name is not None and all_known and not any(is_named(one, threshold.name) for one in names):
            hint = (
                suggestion(threshold.name, [one.name for one in names]) or f"they are {', '.join(dict.fromkeys(one.name for one in names))}"
            )
            mistakes.append(Mistake(f"{place}.name", f"no step is named {threshold.name!r}", hint))
    if mistakes:
        raise CommandError(mistakes)
    return tuple(found)


def limits_failures(threshold: Threshold) -> bool:
    """Whether it says how many hits of the whole load may fail."""
    expression = parse_expression(threshold.expression)
    whole = threshold.name is None and threshold.window is None
    return whole and expression.is_upper and expression.metric in ("failures", "failure_rate")


def _phases(plan: Plan) -> list[tuple[float, float]]:
    lengths = [segment.duration_s for segment in plan.pace.segments] if plan.pace else [stage.duration_s or 0.0 for stage in plan.stages]
    ends = list(accumulate(lengths))
    return list(zip([0.0, *ends], ends, strict=False))
