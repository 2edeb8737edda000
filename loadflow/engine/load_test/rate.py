"""How many hits are due per second over time: `rate`, as a number or as a profile."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag, ValidationError
from pydantic_core import CoreSchema, core_schema

from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, wrong
from loadflow.engine.script.part import A_NUMBER, AN_OBJECT, BY_KIND, LONGEST_S, Choice, Int, Number, Part, Positive, Settled

__all__ = [
    "INSTEAD",
    "MODES",
    "ONLY_WITH",
    "Profile",
    "Ramp",
    "Rate",
    "RateStage",
    "Spiked",
    "Staged",
    "Steady",
    "Steps",
    "Traced",
    "rate_faults",
]

_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_FACTORS = (3600, 60, 1)


@dataclass(frozen=True)
class Length:
    """Seconds as a number, or a text like "90s", "2m30s", "1.5h" or "90"; at least, or more than, 0."""

    zero: bool = False

    def read(self, value: object) -> float:
        seconds = _spoken(value) if isinstance(value, str) else value
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise wrong("is not a length of time", 'write seconds as a number, or a text like "90s" or "2m30s"')
        if seconds != seconds or seconds in (float("inf"), float("-inf")):
            raise wrong("must be a finite number")
        if seconds > LONGEST_S:
            raise wrong(f"must be at most {LONGEST_S:,} seconds", "a year is the longest")
        if seconds < 0 or (seconds == 0 and not self.zero):
            raise wrong(f"must be {'at least' if self.zero else 'more than'} 0 seconds")
        return float(seconds)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        text = {"type": "string", "pattern": rf"^(?=.){_PARTS.pattern}$"}
        return {"anyOf": [{"type": "number", "minimum" if self.zero else "exclusiveMinimum": 0, "maximum": LONGEST_S}, text]}


def _spoken(text: str) -> float | None:
    found = _PARTS.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    return sum(float(number) * factor for number, factor in zip(found.groups(), _FACTORS, strict=True) if number)


Lasting = Annotated[float, Length()]
FromZero = Annotated[float, Length(zero=True)]
FASTEST = 1_000_000  # per second: more than any engine sends, and less than would take for ever to count
PerSecond = Annotated[Number, Field(ge=0, le=FASTEST)]
Rps = Annotated[Number, Field(gt=0, le=FASTEST)]


class Profile(Part):
    """What all profiles have. `spacing`: evenly, or with the random gaps of visitors who know nothing of each other."""

    spacing: Annotated[str, Choice("spacing", ("even", "poisson"))] = "even"


class Steady(Profile):
    """The same rate all the time. `duration` None: the test's `test_time`."""

    noun: ClassVar[str] = "a constant rate"
    mode: Annotated[str, Choice("mode of a rate", ("constant",))]
    rps: Settled[Rps]
    duration: Settled[Lasting] | None = None


class Ramp(Profile):
    """From none to `rps` within `ramp_up`, then `rps` for `duration`."""

    noun: ClassVar[str] = "a ramp"
    mode: Annotated[str, Choice("mode of a rate", ("ramp",))]
    rps: Settled[Rps]
    duration: Settled[Lasting] | None = None
    ramp_up: Settled[FromZero] = 10.0


class Steps(Profile):
    """`steps` stairs up to `rps`, of the same length and height."""

    noun: ClassVar[str] = "a rate in steps"
    mode: Annotated[str, Choice("mode of a rate", ("step",))]
    rps: Settled[Rps]
    duration: Settled[Lasting] | None = None
    steps: Settled[Annotated[Int, Field(ge=1, le=10_000)]] = 5


class Spiked(Profile):
    """`rps` in the middle third, a fifth of it (at least 1) before and after."""

    noun: ClassVar[str] = "a spike"
    mode: Annotated[str, Choice("mode of a rate", ("spike",))]
    rps: Settled[Rps]
    duration: Settled[Lasting] | None = None


class RateStage(Part):
    """`rps` for `duration`; with `from_rps` the rate goes from there to `rps` in a straight line."""

    noun: ClassVar[str] = "a stage of a rate"
    duration: Settled[Lasting]
    rps: Settled[PerSecond]
    from_rps: Settled[PerSecond] | None = None


class Staged(Profile):
    """One stage after the other."""

    noun: ClassVar[str] = "a rate in stages"
    mode: Annotated[str, Choice("mode of a rate", ("stages",))]
    stages: Annotated[list[RateStage], Field(min_length=1)]


class Traced(Profile):
    """A load that was seen: its rates, each for `every` seconds, times `scale`."""

    noun: ClassVar[str] = "a trace"
    mode: Annotated[str, Choice("mode of a rate", ("trace",))]
    rps: Annotated[list[PerSecond], Field(min_length=1, max_length=100_000)]
    every: Settled[Lasting] = 1.0
    scale: Settled[Positive] = 1.0


MODES: dict[str, type[Profile]] = {
    "constant": Steady,
    "ramp": Ramp,
    "step": Steps,
    "spike": Spiked,
    "stages": Staged,
    "trace": Traced,
}
_MODE = Choice("mode of a rate", tuple(MODES))


def _known_mode(value: object) -> object:
    """`value`, if it says which profile it is."""
    if not isinstance(value, dict):
        return value
    if "mode" not in value:
        raise wrong("is missing", f"allowed: {', '.join(MODES)}", "mode")
    try:
        _MODE.read(value["mode"])
    except ValidationError as error:
        raise bundle(Fault(("mode", *fault.loc), fault.message, fault.hint) for fault in faults_of(error)) from None
    return value


def _mode_tag(value: object) -> str:
    return TAG + str(value.get("mode") if isinstance(value, dict) else getattr(value, "mode", ""))


AProfile = Annotated[
    Annotated[Steady, Tag(f"{TAG}constant")]
    | Annotated[Ramp, Tag(f"{TAG}ramp")]
    | Annotated[Steps, Tag(f"{TAG}step")]
    | Annotated[Spiked, Tag(f"{TAG}spike")]
    | Annotated[Staged, Tag(f"{TAG}stages")]
    | Annotated[Traced, Tag(f"{TAG}trace")],
    Discriminator(_mode_tag),
    BeforeValidator(_known_mode),
]

Rate = Settled[Annotated[Annotated[Rps, A_NUMBER] | Annotated[AProfile, AN_OBJECT], BY_KIND]]

# what says how much load there is by users, and has no meaning beside a rate
INSTEAD: dict[str, str] = {
    "load_shape": "write the rate over time as stages of the rate",
    "iterations": "the rate and its length say how many passes there are",
    "wait_time": "the rate says when the next pass begins; think_time of a step stays possible",
    "spawn_rate": "all users are there before the first pass is due",
}
ONLY_WITH = ("max_in_flight", "max_lateness", "rate_tolerance")


def rate_faults(raw: dict[str, object]) -> Iterable[Fault]:
    """What contradicts a rate, and what goes with nothing else."""
    if raw.get("rate") is None:
        for key in ONLY_WITH:
            if raw.get(key) is not None:
                yield Fault((key,), "has no meaning without rate", "set rate to how many passes are due each second, or remove it")
        return
    for key, why in INSTEAD.items():
        if raw.get(key) is not None:
            yield Fault((key,), f"can't be combined with rate: {why}", "remove one of the two")
    if "test_time" in raw and raw["test_time"] is None:
        yield Fault(("test_time",), "must be a number with a rate", "say how long the load lasts")
    users, most, processes = (_count(raw.get(key)) for key in ("user_count", "max_in_flight", "processes"))
    if most is not None and users is not None and most > users:
        text = f"is more than user_count, which is {users}: a user makes one pass at a time"
        yield Fault(("max_in_flight",), text, "give one of the two")
    least = min((one for one in (most, users) if one is not None), default=None)
    if least is not None and processes is not None and processes > least:
        yield Fault(("processes",), f"are more than the passes that may be in flight, which are {least}", "each process needs one at least")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
