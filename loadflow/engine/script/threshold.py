"""What `thresholds` of a test, and the SLA commands, take: expressions, alone or with where and when they hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo

from loadflow.engine.records.threshold import Expression, Threshold, parse_expression
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import AN_OBJECT, BY_KIND, TEXT, Choice, Flag, Int, Name, Number, Part, Seconds
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["SlaRule", "ThresholdPart", "Thresholds", "thresholds_of"]

OPERATORS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def _expression(text: str, info: ValidationInfo) -> str:
    if has_placeholder(text):
        if info.context and info.context.get("final"):
            raise wrong("still holds a placeholder", "its value must be known before the run starts")
        return text
    try:
        parse_expression(text)
    except ValueError as error:
        raise wrong(*error.args) from None
    return text


ExpressionText = Annotated[Name, AfterValidator(_expression)]
Window = Annotated[list[Seconds], Field(min_length=2, max_length=2)]
Phase = Annotated[Int, Field(ge=1)]


class ThresholdPart(Part):
    """An expression, and where it holds: for one name, in a phase of the load shape (1 is the first) or a window of seconds."""

    noun: ClassVar[str] = "a threshold"
    expr: ExpressionText
    name: Name | None = None
    phase: Phase | None = None
    window: Window | None = None
    min_samples: Annotated[Int, Field(ge=1)] = 1
    abort_on_fail: Flag = False
    abort_delay: Seconds = 10.0

    @classmethod
    def conflicts(cls, raw: dict[str, Any]) -> Iterable[Fault]:
        window = raw.get("window")
        if isinstance(window, list) and len(window) == 2 and all(isinstance(one, int | float) for one in window) and window[0] >= window[1]:
            yield Fault(("window", 1), "must be later than the window's start")
        if window is not None and raw.get("phase") is not None:
            yield Fault(("phase",), "can't be combined with window", "keep one of them")
        expression = _parsed(raw.get("expr"))
        if expression is None:
            return
        if expression.metric == "dropped" and raw.get("name") is not None:
            yield Fault(("name",), "has no meaning for dropped: what was dropped has no name", "remove it")
        if raw.get("abort_on_fail") is True and not expression.is_upper:
            hint = "use < or <=, or remove abort_on_fail"
            yield Fault(("abort_on_fail",), "can't be asked of a value that has to grow: it is below its limit at first", hint)


class SlaRule(Part):
    """A rule in LoadDensity's words: `metric`, `operator` (lt, lte, gt, gte) and `value` in place of an expression."""

    noun: ClassVar[str] = "a rule"
    metric: Name
    operator: Annotated[str, Choice("operator", (*OPERATORS, *OPERATORS.values()))]
    value: Number
    name: Name | None = None
    min_samples: Annotated[Int, Field(ge=1)] = 1

    @classmethod
    def conflicts(cls, raw: dict[str, Any]) -> Iterable[Fault]:
        if isinstance(raw.get("metric"), str) and isinstance(raw.get("value"), int | float):
            try:
                parse_expression(_rule_text(raw["metric"], "<", raw["value"]))
            except ValueError as error:
                yield Fault(("metric",), *error.args)

    @property
    def expr(self) -> str:
        return _rule_text(self.metric, OPERATORS.get(self.operator, self.operator), self.value)


def _rule_text(metric: str, operator: str, value: float) -> str:
    return f"{metric.removeprefix('latency_')} {operator} {value:g}"


Thresholds = list[Annotated[Annotated[ExpressionText, TEXT] | Annotated[ThresholdPart, AN_OBJECT], BY_KIND]]


def thresholds_of(parts: Iterable[str | ThresholdPart | SlaRule], phases: list[tuple[float, float]] | None = None) -> list[Threshold]:
    """As they are kept. `phases` are the windows of a load shape's stages; raises ValueError for a phase that there is not."""
    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(Threshold(part))
        elif isinstance(part, SlaRule):
            found.append(Threshold(part.expr, part.name, None, part.min_samples))
        else:
            found.append(
                Threshold(part.expr, part.name, _window(part, phases or []), part.min_samples, part.abort_on_fail, float(part.abort_delay))
            )
    return found


def _window(part: ThresholdPart, phases: list[tuple[float, float]]) -> tuple[float, float] | None:
    if part.phase is not None:
        if part.phase > len(phases):
            raise ValueError(f"phase {part.phase}: the load has {len(phases)}")
        return phases[part.phase - 1]
    return (float(part.window[0]), float(part.window[1])) if part.window is not None else None


def _parsed(text: object) -> Expression | None:
    try:
        return parse_expression(text) if isinstance(text, str) else None
    except ValueError:
        return None
