"""What a search for a capacity found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadflow.engine.base.counted import counted

__all__ = ["capacity_sentences"]


def capacity_sentences(result: Mapping[str, Any]) -> list[str]:
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
            said.append(f"A longer probe at {low:,.4g}/s confirmed it.")
        if result["why"]:
            said.append(f"{'Unclear' if result['confirmed'] else 'Not confirmed'}: {result['why']}.")
    if usl := result["usl"]:
        said.append(
            f"Scalability: {usl['rate_of_one']:,.3g}/s with one request at a time, contention {usl['contention']:.2g}, coherency "
            f"{usl['coherency']:.2g}; off by at most {usl['off']:.0%}, for up to {1.5 * usl['highest']:,.3g} requests at a time."
        )
    minutes = sum(one["seconds"] for one in result["probes"]) / 60
    said.append(f"{counted(len(result['probes']), 'probe')}, {minutes:.1f} min of load.")
    return said
