"""What `thresholds` of a test, and the SLA commands, take: expressions, alone or with where and when they hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.load_test.watching import PromqlPart
from loadflow.engine.records.threshold import HIGHEST_LIMIT, WITH_INTERVAL, Expression, Threshold, parse_expression
from loadflow.engine.script.mistakes import TAG, Fault, kind_of, wrong
from loadflow.engine.script.part import A_NUMBER, AN_OBJECT, BY_KIND, HIGHEST, TEXT, Choice, Flag, Int, Name, Number, Part, Seconds
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
STEADY = "steady"
Phase = Annotated[Annotated[Annotated[Int, Field(ge=1, le=100_000)], A_NUMBER] | Annotated[Literal["steady"], TEXT], BY_KIND]


class ThresholdPart(Part):
    """An expression, and where it holds: for one name, in a phase of the load shape (1 is the first), in the steady phase, which
    leaves the ramp and the warm-up out, or in a window of seconds.

    With `sure`, such as 0.95, the true value must be on the limit's right side with that probability; where neither side is sure, the
    threshold is inconclusive.
    """

    noun: ClassVar[str] = "a threshold"
    expr: ExpressionText
    name: Name | None = None
    phase: Phase | None = None
    window: Window | None = None
    min_samples: Annotated[Int, Field(ge=1, le=HIGHEST)] = 1
    abort_on_fail: Flag = False
    abort_delay: Seconds = 10.0
    sure: Annotated[Number, Field(ge=0.5, le=0.999)] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        window = raw.get("window")
        if isinstance(window, list) and len(window) == 2 and all(isinstance(one, int | float) for one in window) and window[0] >= window[1]:
            yield Fault(("window", 1), "must be later than the window's start")
        if window is not None and raw.get("phase") is not None:
            yield Fault(("phase",), "can't be combined with window", "keep one of them")
        if raw.get("phase") == STEADY and raw.get("abort_on_fail") is True:
            yield Fault(("abort_on_fail",), "can't be combined with phase steady, which is known when the load is over", "keep one of them")
        expression = _parsed(raw.get("expr"))
        if expression is None:
            return
        if expression.metric == "dropped" and raw.get("name") is not None:
            yield Fault(("name",), "has no meaning for dropped: what was dropped has no name", "remove it")
        if raw.get("sure") is not None and not expression.has_interval:
            hint = f"use a percentile below p100, {', '.join(WITH_INTERVAL)}, or remove sure"
            yield Fault(("sure",), f"can't be asked of {expression.metric}: nothing says how far it may be from the true one", hint)
        if raw.get("sure") is not None and raw.get("abort_on_fail") is True:
            yield Fault(("abort_on_fail",), "can't be combined with sure, which is decided when the load is over", "keep one of them")
        if raw.get("abort_on_fail") is True and not expression.is_upper:
            hint = "use < or <=, or remove abort_on_fail"
            yield Fault(("abort_on_fail",), "can't be asked of a value that has to grow: it is below its limit at first", hint)


_RULE_WORDS = (("metric", "type"), ("operator", "op"))  # ours, and LoadDensity's own word for it


class SlaRule(Part):
    """A rule in LoadDensity's words: `type`, `op` (lt, lte, gt, gte) and `value` in place of an expression; also `metric`, `operator`."""

    noun: ClassVar[str] = "a rule"
    metric: Name | None = None
    type: Name | None = None
    operator: Annotated[str, Choice("operator", (*OPERATORS, *OPERATORS.values()))] | None = None
    op: Annotated[str, Choice("operator", (*OPERATORS, *OPERATORS.values()))] | None = None
    value: Annotated[Number, Field(ge=-HIGHEST_LIMIT, le=HIGHEST_LIMIT)]  # values below 0 are reported with the metric
    name: Name | None = None
    min_samples: Annotated[Int, Field(ge=1, le=HIGHEST)] = 1

    @classmethod
    def conflicts(cls, raw: JsonObject) -> Iterable[Fault]:
        for key, other in _RULE_WORDS:
            if raw.get(key) is not None and raw.get(other) is not None:
                yield Fault((other,), f"says the same as {key!r}", "keep one of them")
            elif raw.get(key) is None and raw.get(other) is None:
                yield Fault(
                    (other if "type" in raw else key,), "is missing", 'for example {"type": "latency_p95", "op": "lt", "value": 500}'
                )
        for key in _RULE_WORDS[0]:
            if isinstance(raw.get(key), str) and isinstance(raw.get("value"), int | float):
                try:
                    parse_expression(_rule_text(raw[key], "<", raw["value"]))
                except ValueError as error:
                    yield Fault((key,), *error.args)

    @property
    def expr(self) -> str:
        operator = self.operator or self.op or ""
        return _rule_text(self.metric or self.type or "", OPERATORS.get(operator, operator), self.value)


def _rule_text(metric: str, operator: str, value: float) -> str:
    return f"{metric.removeprefix('latency_')} {operator} {str(value).removesuffix('.0')}"


PROMQL = Tag(f"{TAG}an object with promql")
BY_PROMQL = Discriminator(lambda value: PROMQL.tag if isinstance(value, dict) and "promql" in value else TAG + kind_of(value))
OneThreshold = Annotated[ExpressionText, TEXT] | Annotated[ThresholdPart, AN_OBJECT] | Annotated[PromqlPart, PROMQL]
Thresholds = list[Annotated[OneThreshold, BY_PROMQL]]


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
                Threshold(
                    part.expr,
                    part.name,
                    _window(part, phases or []),
                    part.min_samples,
                    part.abort_on_fail,
                    float(part.abort_delay),
                    None if part.sure is None else float(part.sure),
                    part.phase == STEADY,
                )
            )
    return found


def _window(part: ThresholdPart, phases: list[tuple[float, float]]) -> tuple[float, float] | None:
    if isinstance(part.phase, int):
        if part.phase > len(phases):
            raise ValueError(f"phase {part.phase}: the load has {len(phases)}")
        return phases[part.phase - 1]
    return (float(part.window[0]), float(part.window[1])) if part.window is not None else None


def _parsed(text: object) -> Expression | None:
    try:
        return parse_expression(text) if isinstance(text, str) else None
    except ValueError:
        return None
