"""`stop_when` of a test: the load ends once its numbers are known well enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo

from loadflow.engine.load_test.rate import Lasting
from loadflow.engine.records.stop_rule import WIDTH_METRICS, StopRule, parse_width
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import Name, Number, Part, Settled

__all__ = ["StopWhen", "rule_of", "stop_faults"]

CONSTANT = "constant"


def _width(text: str, info: ValidationInfo) -> str:
    try:
        parse_width(info.field_name or "", text)
    except ValueError as error:
        raise wrong(*error.args) from None
    return text


HowWide = Annotated[Name, AfterValidator(_width)]


class StopWhen(Part):
    """How well each metric of all hits must be known, and for how long the load may go on to get there."""

    noun: ClassVar[str] = "stop_when"
    p50: HowWide | None = None
    p95: HowWide | None = None
    p99: HowWide | None = None
    mean: HowWide | None = None
    rate: HowWide | None = None
    failure_rate: HowWide | None = None
    sure: Annotated[Number, Field(ge=0.5, le=0.999)] = 0.95
    at_most: Settled[Lasting] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if not any(raw.get(metric) is not None for metric in WIDTH_METRICS):
            yield Fault((), "names no metric", f'write for example {{"p99": "±5%"}}; metrics: {", ".join(WIDTH_METRICS)}')


def rule_of(part: StopWhen) -> StopRule:
    written = [(metric, text) for metric in WIDTH_METRICS if (text := getattr(part, metric)) is not None]
    return StopRule(tuple(parse_width(metric, text) for metric, text in written), float(part.sure))


def stop_faults(raw: dict[str, object]) -> Iterable[Fault]:
    """What `stop_when` can't go with."""
    stop = raw.get("stop_when")
    if not isinstance(stop, dict):
        return
    if stop.get("at_most") is not None and raw.get("test_time") is not None:
        yield Fault(("test_time",), "says the same as stop_when.at_most: how long the load may be", "keep at_most")
    for key in ("iterations", "load_shape"):
        if raw.get(key) is not None:
            yield Fault((key,), "can't be combined with stop_when: the time of the load is open", f"remove {key} or stop_when")
    rate = raw.get("rate")
    if isinstance(rate, dict) and rate.get("mode", CONSTANT) != CONSTANT:
        hint = 'use {"mode": "constant"}, or remove stop_when'
        yield Fault(("stop_when",), "needs the same load all the time, and this rate changes by its plan", hint)
    if raw.get("runner_mode") == "worker":
        yield Fault(("stop_when",), "can't be combined with runner_mode 'worker'", "the master's script says when the load ends")
