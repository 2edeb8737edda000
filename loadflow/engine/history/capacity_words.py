"""What a search for a capacity found, in sentences."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from loadflow.engine.base.counted import counted
from loadflow.engine.history.capacity import BEYOND
from loadflow.engine.history.capacity_result import CapacityResult
from loadflow.engine.history.forecast import AGAIN, Forecast

__all__ = ["capacity_sentences", "forecast_sentences"]


def capacity_sentences(result: CapacityResult) -> list[str]:
    """The most important first. `result`: what LD_find_capacity gives."""
    capacity, low, high = result["capacity_per_s"], result["low"], result["high"]
    if result["at_least"]:
        said = [f"At least {capacity:,.4g}/s: the search ended at {result['why']}, not at a limit."]
    elif high is None or not low:
        said = [f"About {capacity:,.4g}/s: {result['why'] or 'the probes differ too much to give an interval'}."]
    else:
        said = [
            f"{capacity:,.4g}/s; with 95 % certainty between {low:,.4g}/s and {high:,.4g}/s. {result['limit']} is the limit that binds."
        ]
        if result["confirmed"]:
            said.append("A longer probe at the lower end agrees.")
        if result["why"]:
            said.append(f"{'Unclear' if result['confirmed'] else 'Not confirmed'}: {result['why']}.")
    if usl := result["usl"]:
        said.append(
            f"Scalability: {usl['rate_of_one']:,.3g}/s with one request at a time, contention {usl['contention']:.2g}, coherency "
            f"{usl['coherency']:.2g}; off by at most {usl['off']:.0%}, for up to {BEYOND * usl['highest']:,.3g} requests at a time."
        )
    if result["forecast"]:
        said += forecast_sentences(Forecast(**result["forecast"]))
    minutes = sum(one["seconds"] for one in result["probes"]) / 60
    said.append(f"{counted(len(result['probes']), 'probe')}, {minutes:.1f} min of load.")
    return said


def forecast_sentences(forecast: Forecast) -> list[str]:
    """How the capacity changes, and when it meets the expected peak."""
    low, middle, high = (math.expm1(7 * one) for one in (forecast.low_per_day, forecast.per_day, forecast.high_per_day))
    searches, days = counted(forecast.searches, "search", "searches"), counted(round(forecast.days), "day")
    said = [f"By {searches} in {days} it changes by {middle:+.1%} a week, with 80 % certainty between {low:+.1%} and {high:+.1%}."]
    if forecast.peak_per_s is not None:
        said.append(_peak_sentence(forecast))
    return said


def _peak_sentence(forecast: Forecast) -> str:
    peak, until = f"the expected peak of {forecast.peak_per_s:,.4g}/s", _day(forecast.until_unix_s)
    if forecast.meets_unix_s == forecast.last_unix_s:
        return f"It does not bear {peak} as it is."
    if forecast.earliest_unix_s is None:
        return f"It does not meet {peak} until {until}; it is not said for more than {AGAIN:g} times the days that were seen."
    earliest = _day(forecast.earliest_unix_s)
    if forecast.meets_unix_s is None:
        return f"It may meet {peak} from {earliest} on; by the line it does not until {until}."
    latest = f"between {earliest} and {_day(forecast.latest_unix_s)}" if forecast.latest_unix_s is not None else f"not before {earliest}"
    return f"It meets {peak} on {_day(forecast.meets_unix_s)}, with 80 % certainty {latest}."


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d")
