"""What LD_find_capacity found, as JSON."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["CapacityResult", "ForecastJson", "MeasuredJson", "ProbeJson", "UslJson"]


class ProbeJson(TypedDict):
    """A `history.capacity.Probe`."""

    step: str
    rate_per_s: float
    seconds: float
    over: dict[str, tuple[float, float]]
    sustained: bool
    void: bool
    why: str
    run: str
    achieved_per_s: float
    mean_ms: float
    p99_ms: float


class UslJson(TypedDict):
    """A `history.capacity.Usl`."""

    rate_of_one: float
    contention: float
    coherency: float
    off: float
    highest: float


class MeasuredJson(TypedDict):
    """A `history.forecast.Measured`."""

    unix_s: float
    capacity_per_s: float


class ForecastJson(TypedDict):
    """A `history.forecast.Forecast`."""

    searches: int
    days: float
    per_day: float
    low_per_day: float
    high_per_day: float
    last_unix_s: float
    now_per_s: float
    error: float
    until_unix_s: float
    peak_per_s: float | None
    peak_per_day: float
    earliest_unix_s: float | None
    meets_unix_s: float | None
    latest_unix_s: float | None


class CapacityResult(TypedDict, total=False):
    """Empty where the search was only rehearsed. `high` None: nothing bounds it; `curve`: by limit, a and b of ln share = a + b · rate."""

    format: str
    version: int
    verdict: str
    label: str
    at: float  # Unix seconds
    capacity_per_s: float
    low: float
    high: float | None
    limit: str
    at_least: bool
    confirmed: bool
    why: str
    curve: dict[str, list[float]]
    usl: UslJson | None
    probes: list[ProbeJson]
    searches: list[MeasuredJson]
    forecast: ForecastJson | None
    page: str
