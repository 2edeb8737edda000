"""The change that a second run would show nine times in ten. Pure.

A change is shown if it is beyond a margin and as many standard errors off as the comparison asks for. What gets slower also wavers by
more: independent times by the same share, times behind a queue by much more, since queues last longer, too. By how many hits stand for
one independent hit (D) the two are told apart: of M/M/1, D - 1 is about as the square of the time in the queue (Daley, Journal of
Applied Probability 5, 1968), so a number r times as large has a variance r² (1 + (D-1) r²) / D times as large.
"""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["MOST_TIMES", "POWER", "detectable"]

POWER = 0.9  # of ten changes as large as `detectable`, nine are found
MOST_TIMES = 4.0  # the value: a larger change is not said
WIDENED = 1.1  # an error is so much too large, because few blocks know it badly
ROUNDS = 200


def detectable(value: float, error: float, *, off: float, margin: float, clustered: float | None) -> float:
    """In the unit of `value`; infinite where not even a rise to four times `value` is shown so often.

    `error`: the standard error of a run's value. `off`: how many errors of the difference it must be. `clustered`: D, 1 or more; None of
    a number that wavers by as much when it is larger.

    >>> round(detectable(100.0, 1.0, off=1.96, margin=0.0, clustered=None), 2)
    4.58
    >>> detectable(100.0, 1.0, off=1.96, margin=0.0, clustered=30.0) > 4.58
    True
    """
    power = NormalDist().inv_cdf(POWER)
    if clustered is None or value <= 0:
        return max(margin, off * error * math.sqrt(2)) + power * error * math.sqrt(2)
    change = margin
    for _ in range(ROUNDS):  # from below, so that it ends at the least change that is enough
        grown = 1 + change / value
        more = grown**2 * (1 + (clustered - 1) * grown**2) / clustered
        # neither run is taken to waver by less, as a share of it, than both together
        wanted = max(margin, off * error * math.sqrt((1 + more / grown**2) / 2 + more)) + power / WIDENED * error * math.sqrt(1 + more)
        if wanted > (MOST_TIMES - 1) * value:
            return math.inf
        if wanted - change < 1e-6 * value:
            return wanted
        change = wanted
    return change
