"""Whether more hits failed tonight than on the nights before: a beta-binomial distribution, because nights differ by more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["as_many_by_chance"]

Counts = Sequence[tuple[float, float]]  # hits, failures
MOST_TERMS = 200_000  # beyond, its normal approximation is as good


def as_many_by_chance(before: Counts, hits: float, failures: float) -> float:
    """The probability of as many failures or more in as many hits, by the nights `before`, each (hits, failures).

    The mean is that of all hits, with half a failure more; the spread between nights is the one that they had, and at least what so few
    hits leave unknown (method of moments: Kleinman, Journal of the American Statistical Association 68, 1973).

    >>> round(as_many_by_chance([(1_000, 10)] * 20, 1_000, 10), 1), as_many_by_chance([(1_000, 10)] * 20, 1_000, 40) < 1e-4
    (0.5, True)
    """
    count, wanted = round(hits), round(failures)
    if count <= 0 or wanted <= 0 or not before:
        return 1.0
    sizes = np.array([one for one, _ in before], dtype=float)
    failed = np.array([one for _, one in before], dtype=float)
    mean = (float(failed.sum()) + 0.5) / (float(sizes.sum()) + 1)
    worth = float(sizes.sum()) + 1  # the number of hits behind the mean
    if len(sizes) > 1 and sizes.mean() > 1:
        spread = float(np.sum(sizes * (failed / sizes - mean) ** 2)) / (mean * (1 - mean)) / (len(sizes) - 1)
        alike = min(0.5, max(0.0, (spread - 1) / (float(sizes.mean()) - 1)))
        worth = min(worth, 1 / alike - 1) if alike > 0 else worth
    return _tail(count, wanted, mean * worth, (1 - mean) * worth)


def _tail(count: int, wanted: int, a: float, b: float) -> float:
    """P(K ≥ wanted) of a beta-binomial distribution."""
    if wanted > MOST_TERMS:
        mean = a / (a + b)
        variance = count * mean * (1 - mean) * (a + b + count) / (a + b + 1)
        return 1 - NormalDist(count * mean, math.sqrt(variance)).cdf(wanted - 0.5)
    # the first term, and each from the one before: p(k + 1)/p(k) = (n - k)(a + k) / ((k + 1)(n - k - 1 + b))
    k: npt.NDArray[np.float64] = np.arange(wanted - 1, dtype=float)
    steps = np.log(count - k) + np.log(a + k) - np.log(k + 1) - np.log(count - k - 1 + b)
    first = math.lgamma(count + b) + math.lgamma(a + b) - math.lgamma(b) - math.lgamma(count + a + b)
    below = float(np.exp(first + np.concatenate(([0.0], np.cumsum(steps)))).sum())
    return max(0.0, 1 - below)
