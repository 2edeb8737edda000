"""What every step has, whatever its protocol: when, how often, how fast it runs, and what is asked of its answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.model.assertion import Assertion, Extract
from loadflow.engine.protocols.model.condition import Condition
from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.part import (
    A_NUMBER,
    AN_OBJECT,
    BY_KIND,
    HIGHEST,
    Choice,
    Int,
    Name,
    Part,
    Positive,
    Seconds,
    Settled,
    Templated,
    Text,
)

__all__ = ["Retry", "SettledSpan", "Span", "StepBase", "Throttle"]

# what a failed step does to its pass, or in on_start to its user; `stop_if_lacking`: not for a status of 400 or more alone
ON_FAILURE = ("continue", "stop", "stop_if_lacking")

Budget = Annotated[Int, Field(ge=0, le=1_000_000)]
Factor = Annotated[float, Field(strict=True, ge=1, le=1000, allow_inf_nan=False)]
Burst = Annotated[float, Field(strict=True, ge=1, le=HIGHEST, allow_inf_nan=False)]


class Span(Part):
    """A time drawn evenly from `min` to `max`, in seconds."""

    noun: ClassVar[str] = "a span of time"
    min: Templated[Seconds]
    max: Templated[Seconds]

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        low, high = raw.get("min"), raw.get("max")
        if isinstance(low, int | float) and isinstance(high, int | float) and high < low:
            yield Fault(("max",), f"must be at least min, which is {low}, not {high}")


class SettledSpan(Span):
    """A span that must be known before the run."""

    min: Settled[Seconds]
    max: Settled[Seconds]


class Throttle(Part):
    """At most `rps` of this step each second over all users; steps with the same `key` share the rate.

    `key` None: the step's name. `burst` None: 1, so that the rate holds from the first hit on.
    """

    noun: ClassVar[str] = "throttle"
    rps: Templated[Positive]
    key: Name | None = None
    burst: Templated[Burst] | None = None


class Retry(Part):
    """How often a failed step is tried again, by the class of its failure, and how long it waits before (seconds)."""

    noun: ClassVar[str] = "retry"
    transient: Templated[Budget] = 5
    flaky: Templated[Budget] = 2
    permanent: Templated[Budget] = 0
    base_delay: Templated[Seconds] = 0.1
    max_delay: Templated[Seconds] = 5.0
    backoff_factor: Templated[Factor] = 2.0
    jitter: Templated[Seconds] = 0.25


class StepBase(Part):
    """The keys that all protocols share. A key that is null counts as absent."""

    noun: ClassVar[str] = "a step"
    name: Text | None = None
    weight: Annotated[Int, Field(ge=0, le=HIGHEST, description="Share of picks in weighted mode; 0 is never picked")] | None = 1
    run_if: Condition | None = None
    skip_if: Condition | None = None
    think_time: Templated[Annotated[Annotated[Seconds, A_NUMBER] | Annotated[Span, AN_OBJECT], BY_KIND]] | None = None
    throttle: Throttle | None = None
    retry: Retry | None = None
    assertions: list[Assertion] | None = None
    extract: list[Extract] | None = None
    on_failure: Annotated[str, Choice("what a failure does", ON_FAILURE)] | None = None
    user: Annotated[Name, Field(description="The user type whose steps have these keys; default: that of the test")] | None = None

    def plain(self) -> JsonObject:
        """The step as JSON values: the keys that were written and are not null, and always `weight`."""
        written = self.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
        return {**{key: value for key, value in written.items() if value is not None}, "weight": 1 if self.weight is None else self.weight}
