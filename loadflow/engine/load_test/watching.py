"""What a test asks of Prometheus and of the world around it: `prometheus`, thresholds by PromQL, `only_if`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationInfo

from loadflow.engine.records.watched import Condition, TargetThreshold, parse_bound
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import AN_OBJECT, BY_KIND, TEXT, Choice, Flag, Int, Name, Part, Positive, Seconds, Settled, Text
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["DAYS", "OnlyIf", "PrometheusAt", "PrometheusPart", "PromqlPart", "condition_of", "target_threshold_of", "watching_faults"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
KINDS = ("promql", "http", "variable", "automation", "between")
OF_KIND = {"status": "http", "contains": "http", "days": "between", "timezone": "between"}


def _bound(text: str, info: ValidationInfo) -> str:
    if has_placeholder(text) and not (info.context and info.context.get("final")):
        return text
    try:
        parse_bound(text)
    except ValueError as error:
        raise wrong(*error.args) from None
    return " ".join(text.split())


def _clock(text: str) -> str:
    if not has_placeholder(text) and not CLOCK.fullmatch(text):
        raise wrong(f"{text[:20]!r} is not a time of day", "write it as HH:MM, such as 22:00")
    return text


def _zone(name: str) -> str:
    try:
        if not has_placeholder(name):
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong(f"{name[:60]!r} is not a time zone", "write it as Europe/Berlin or UTC") from None
    return name


BoundText = Annotated[Name, AfterValidator(_bound)]
Clock = Annotated[Name, AfterValidator(_clock)]


class PrometheusPart(Part):
    """Where the target's metrics are: the address of a Prometheus, or of anything that answers as it does. `every`: seconds between two
    questions."""

    noun: ClassVar[str] = "prometheus"
    url: Name
    headers: dict[str, str] = Field(default={})
    every: Settled[Annotated[Positive, Field(ge=1)]] = 5.0


PrometheusAt = Annotated[Annotated[Name, TEXT] | Annotated[PrometheusPart, AN_OBJECT], BY_KIND]


class PromqlPart(Part):
    """A threshold on a metric of the target's own: what a query gives must be `is`, `over` every answer, in the mean, or at the last.

    A query that gives several series is held by the worst of them.
    """

    noun: ClassVar[str] = "a PromQL threshold"
    promql: Name
    is_: BoundText = Field(alias="is")
    title: Text = ""
    over: Annotated[str, Choice("over of a PromQL threshold", ("every", "mean", "last"))] = "every"
    window: Annotated[list[Seconds], Field(min_length=2, max_length=2)] | None = None
    abort_on_fail: Flag = False
    abort_delay: Seconds = 10.0

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        window = raw.get("window")
        if isinstance(window, list) and len(window) == 2 and all(isinstance(one, int | float) for one in window) and window[0] >= window[1]:
            yield Fault(("window", 1), "must be later than the window's start")
        if raw.get("abort_on_fail") is True and raw.get("over", "every") != "every":
            yield Fault(("abort_on_fail",), f"can't be combined with over {raw['over']!r}, which is known at the end", "keep one of them")


class OnlyIf(Part):
    """A condition for the load, of one kind: `promql` with `is`, `http` with `status` and `contains`, a Prefect `variable` with `is`, an
    `automation` that is not paused (its name may have wildcards; `*`: none is), or a time of day `between`. `else`: what the load does
    while it does not hold.
    """

    noun: ClassVar[str] = "a condition"
    promql: Name | None = None
    http: Name | None = None
    variable: Name | None = None
    automation: Name | None = None
    between: Annotated[list[Clock], Field(min_length=2, max_length=2)] | None = None
    is_: Name | None = Field(alias="is", default=None)
    status: Annotated[Int, Field(ge=100, le=599)] | None = None
    contains: Name | None = None
    days: Annotated[list[Annotated[str, Choice("day", DAYS)]], Field(min_length=1)] | None = None
    timezone: Annotated[Name, AfterValidator(_zone)] = "UTC"
    reaction: Annotated[str, Choice("reaction", ("end", "pause", "shrink"))] = Field(alias="else", default="end")

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        kinds = [kind for kind in KINDS if raw.get(kind) is not None]
        if len(kinds) != 1:
            what = f"{kinds[0]} and {kinds[1]} are two conditions" if kinds else "says no condition"
            yield Fault((), what, f"write one of {', '.join(KINDS)}; each condition is an object of its own")
            return
        (kind,) = kinds
        for key, of in OF_KIND.items():
            if raw.get(key) is not None and kind != of:
                yield Fault((key,), f"has no meaning for {kind}", f"it is for {of}")
        if raw.get("is") is not None and kind not in ("promql", "variable"):
            yield Fault(("is",), f"has no meaning for {kind}", "it is for promql and variable")
        if kind == "promql" and raw.get("is") is None:
            yield Fault(("is",), "is missing", 'write what the value must be, such as "is": "< 0.8"')
        elif kind == "promql" and isinstance(raw["is"], str) and not has_placeholder(raw["is"]):
            try:
                parse_bound(raw["is"])
            except ValueError as error:
                yield Fault(("is",), *error.args)

    @property
    def text(self) -> str:
        """In words, for people: what has to hold."""
        if self.promql:
            return f"{' '.join(self.promql.split())} {self.is_}"
        if self.http:
            inside = f" and {self.contains!r} in it" if self.contains else ""
            return f"{self.http} answers with status {self.status or 'below 400'}{inside}"
        if self.variable:
            return f"the Prefect variable {self.variable} is {'set' if self.is_ is None else repr(self.is_)}"
        if self.automation:
            if self.automation == "*":
                return "no automation is paused"
            return f"the automation {self.automation} is not paused"
        assert self.between is not None
        days = f" on {', '.join(self.days)}" if self.days else ""
        return f"it is between {self.between[0]} and {self.between[1]} ({self.timezone}){days}"


def condition_of(part: OnlyIf) -> Condition:
    return Condition(part.text, part.reaction)


def target_threshold_of(part: PromqlPart) -> TargetThreshold:
    window = (float(part.window[0]), float(part.window[1])) if part.window is not None else None
    return TargetThreshold(part.promql, part.is_, part.title, part.over, window, part.abort_on_fail, float(part.abort_delay))


def watching_faults(raw: dict[str, object]) -> Iterable[Fault]:
    """Reactions that the load can't have."""
    conditions = raw.get("only_if")
    for number, one in enumerate(conditions if isinstance(conditions, list) else ()):
        reaction = one.get("else") if isinstance(one, dict) else None
        if reaction not in ("pause", "shrink"):
            continue
        if raw.get("rate") is None:
            hint = 'set a rate, or write "else": "end"'
            yield Fault(("only_if", number, "else"), f"{reaction} needs a rate: without one, users decide when the next pass begins", hint)
        elif raw.get("workers") is not None or raw.get("runner_mode", "local") != "local":
            yield Fault(("only_if", number, "else"), "the rate of a load on agents can't be changed while it runs", 'write "else": "end"')
