"""When a capacity that changes from night to night meets the peak that is expected: decided purely, from one capacity per search.

The slope is the median of the slopes between all pairs of searches (Theil 1950; Sen, Journal of the American Statistical Association 63,
1968), so that one odd night in four does not turn it; its interval is by the ranks of these slopes (Sen, section 5: the variance of
Kendall's statistic). Capacities are logarithms, so that a change is a share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["AGAIN", "CONFIDENCE", "LEAST_DAYS", "LEAST_SEARCHES", "Forecast", "Measured", "forecast_of"]

LEAST_SEARCHES, LEAST_DAYS = 7, 5.0  # with fewer the interval of the slope is all there is
MOST_SEARCHES = 90  # the newest
CONFIDENCE = 0.8
AGAIN = 2.0  # times the days seen that it looks ahead
MAD_TO_SD = 1.4826  # of a normal distribution
DAY_S = 86_400.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one search found."""

    unix_s: float
    capacity_per_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """`per_day`: the change of the logarithm of the capacity per day, between `low_per_day` and `high_per_day` with 80 % certainty.

    `now_per_s`: what the line is at the last search, whose logarithm is off by `error` (one standard error). `until_unix_s`: how far it
    looks ahead. The peak is met at `meets_unix_s` by the line, from `earliest_unix_s` to `latest_unix_s` with 80 % certainty; None: not
    until then.
    """

    searches: int
    days: float
    per_day: float
    low_per_day: float
    high_per_day: float
    last_unix_s: float
    now_per_s: float
    error: float
    until_unix_s: float
    peak_per_s: float | None = None
    peak_per_day: float = 0.0
    earliest_unix_s: float | None = None
    meets_unix_s: float | None = None
    latest_unix_s: float | None = None

    def at(self, unix_s: float) -> tuple[float, float, float]:
        """The capacity at a moment after the searches: low, by the line, and high; the pair holds it with 80 % certainty."""
        days = (unix_s - self.last_unix_s) / DAY_S
        reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * self.error
        middle = math.log(self.now_per_s) + self.per_day * days
        # slope and level are uncertain on their own: the level is that of the middle of the searches
        apart = days + self.days / 2
        below = math.hypot(reach, (self.per_day - self.low_per_day) * apart)
        above = math.hypot(reach, (self.high_per_day - self.per_day) * apart)
        return math.exp(middle - below), math.exp(middle), math.exp(middle + above)

    def peak_at(self, unix_s: float) -> float:
        """Per second; infinite where no peak is expected."""
        if self.peak_per_s is None:
            return math.inf
        return self.peak_per_s * math.exp(self.peak_per_day * (unix_s - self.last_unix_s) / DAY_S)


def forecast_of(measured: Sequence[Measured], peak_per_s: float | None = None, peak_growth_per_day: float = 0.0) -> Forecast | None:
    """None for too few searches, or all within a few days.

    `peak_growth_per_day`: the share by which the expected peak grows each day; `peak_per_s` is that of the last search's day.

    >>> nights = [Measured(86_400 * day, 200 * 0.99**day) for day in range(10)]
    >>> found = forecast_of(nights, peak_per_s=170)
    >>> round(found.per_day, 4), round((found.meets_unix_s - nights[-1].unix_s) / 86_400)
    (-0.0101, 8)
    """
    newest = sorted(measured, key=lambda one: one.unix_s)[-MOST_SEARCHES:]
    if len(newest) < LEAST_SEARCHES:
        return None
    days = np.array([(one.unix_s - newest[-1].unix_s) / DAY_S for one in newest])
    if -days[0] < LEAST_DAYS:
        return None
    logs = np.log([one.capacity_per_s for one in newest])
    slope, low, high = _slopes(days, logs)
    offs = logs - slope * days
    level = float(np.median(offs))
    spread = MAD_TO_SD * float(np.median(np.abs(offs - level))) * (1 + 1 / len(offs))
    last = newest[-1].unix_s
    found = Forecast(
        searches=len(newest),
        days=-float(days[0]),
        per_day=slope,
        low_per_day=low,
        high_per_day=high,
        last_unix_s=last,
        now_per_s=math.exp(level),
        error=spread * math.sqrt(math.pi / 2 / len(offs)),
        until_unix_s=last - AGAIN * float(days[0]) * DAY_S,
        peak_per_s=peak_per_s,
        peak_per_day=math.log1p(peak_growth_per_day),
    )
    return found if peak_per_s is None else _met(found)


def _slopes(days: Floats, logs: Floats) -> tuple[float, float, float]:
    """The median of the slopes of all pairs, and its interval: the slopes at the ranks (N ± z √var) / 2."""
    first, second = np.triu_indices(len(days), 1)
    apart = days[second] - days[first]
    slopes = np.sort((logs[second] - logs[first])[apart > 0] / apart[apart > 0])
    count = len(days)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    lowest = max(0, math.floor((len(slopes) - reach) / 2))
    highest = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return float(np.median(slopes)), float(slopes[lowest]), float(slopes[highest])


def _met(found: Forecast) -> Forecast:
    """On which day each of the three lines is first at the peak or below."""
    from dataclasses import replace

    first: list[float | None] = [None, None, None]
    for day in range(math.floor((found.until_unix_s - found.last_unix_s) / DAY_S) + 1):
        moment = found.last_unix_s + day * DAY_S
        for number, capacity in enumerate(found.at(moment)):
            if first[number] is None and capacity <= found.peak_at(moment):
                first[number] = moment
    return replace(found, earliest_unix_s=first[0], meets_unix_s=first[1], latest_unix_s=first[2])
