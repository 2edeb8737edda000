"""What `stop_when` asks: how well numbers must be known for a load to end. Read without NumPy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from loadflow.engine.base.json_value import JsonObject

__all__ = ["WIDTH_METRICS", "StopRule", "Width", "parse_width"]

_TIME = {"ms": 1.0, "s": 1000.0}
_UNITS: Mapping[str, Mapping[str, float]] = {
    "p50": _TIME,
    "p95": _TIME,
    "p99": _TIME,
    "mean": _TIME,
    "failure_rate": {"points": 0.01, "point": 0.01},
    "rate": {"/s": 1.0},
}
WIDTH_METRICS = tuple(_UNITS)
_WIDTH = re.compile(r"\s*(?:±|\+-|\+/-)?\s*(\d+(?:\.\d+)?)\s*(%|ms|s|/s|points?)\s*")


@dataclass(frozen=True, slots=True)
class Width:
    """How far a value may be from the true one: `half` to each side, a share of the value if `relative`, else in the metric's own unit."""

    metric: str
    half: float
    relative: bool
    text: str  # as it was written

    def around(self, value: float) -> float:
        return self.half * value if self.relative else self.half


@dataclass(frozen=True, slots=True)
class StopRule:
    """`sure`: the probability with which the true values lie within all `widths`."""

    widths: tuple[Width, ...]
    sure: float = 0.95

    def to_json(self) -> JsonObject:
        return asdict(self)


def parse_width(metric: str, text: str) -> Width:
    """Raises ValueError, whose two arguments are what is wrong and the way out.

    >>> parse_width("p99", "±5%").around(400.0), parse_width("p99", "0.01 s").around(400.0)
    (20.0, 10.0)
    """
    found = _WIDTH.fullmatch(text)
    units = _UNITS[metric]
    way_out = f"write a share of the value, ±5%, or a width with a unit: {', '.join(units)}"
    if found is None:
        raise ValueError(f"{text[:40]!r} is no width", way_out)
    number, unit = float(found[1]), found[2]
    if number == 0:
        raise ValueError("no load is ever that precise", "write a width above 0")
    if unit == "%":
        return Width(metric, number / 100, True, text.strip())
    if unit not in units:
        raise ValueError(f"{unit!r} is not a unit of {metric}", way_out)
    return Width(metric, number * units[unit], False, text.strip())
