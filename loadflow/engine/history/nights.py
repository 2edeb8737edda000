"""Whether tonight's number belongs to the nights before: decided purely, from one number per night.

Nights differ by themselves, by 2 % or more on most machines, and now and then one is far off. So their middle and their spread are
Huber's (Annals of Mathematical Statistics 35, 1964, proposal 2): as exact as mean and standard deviation where all is well, and hardly
moved by a night that is far off. One night that is off is only *suspect*: it decides nothing. It is *worse* when the mean of the last 2,
3 or 5 nights, of which none counts for more than it takes, lies beyond what such a mean does by chance in one of 100 nights, and beyond
`floor`. A slow drift, of which no few nights stand out, is found by a self-starting CUSUM (Hawkins, The Statistician 36, 1987). Numbers
are logarithms of times and rates, so that a change is a share; `sign` is +1 where more is worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.counted import counted
from loadflow.engine.records.blocks import student_t

__all__ = [
    "BY_CHANCE",
    "LEAST_NIGHTS",
    "MOST_NIGHTS",
    "Baseline",
    "Found",
    "Night",
    "NightKind",
    "baseline_of",
    "detectable",
    "judged",
    "kruskal_wallis",
    "onset",
]

Floats = npt.NDArray[np.float64]

LEAST_NIGHTS, MOST_NIGHTS = 10, 30
BY_CHANCE = 0.01  # share of nights on which an unchanged target may be called worse
WINDOWS = (2, 3, 5)
APART = 1.6  # they share nights: together they are wrong as often as so many that don't, by benchmarks/history
SUSPECT = 0.9  # one in ten nights is beyond it by chance
LEAST_SPREAD = 0.005
MAD_TO_SD = 1.4826  # of a normal distribution
HUBER = 1.5  # standard deviations from which on a night counts as if it were no farther
INSIDE = 2 * NormalDist().cdf(HUBER) - 1  # share of the nights nearer than that
# what the squares come to on average where none counts for more, against the variance
COUNTED = INSIDE - 2 * HUBER * NormalDist().pdf(HUBER) + HUBER**2 * (1 - INSIDE)
ROUNDS, CLOSE = 50, 1e-5
CUSUM_K, CUSUM_H = 0.75, 3.5  # in standard deviations
CUSUM_MOST = 2.0  # what one night may add, so that an outlier alone is no drift
FARTHEST = 2.5  # standard deviations that one night of a window may count at least
ABOVE = 1.35  # times the limit of a mean that one of its nights may count
OUTLIER = 3.5  # standard deviations beyond which a night says nothing of how alike nights are
MOST_ALIKE = 0.6
USUALLY_ALIKE, ALIKE_SPREAD = 0.1, 0.15  # of nights of machines that are shared
NOT_ALL_THREE = 1.05  # what the bounds on single nights cost, by benchmarks/history
ONSET_NIGHTS = 10
OUTLIERS, OUTLIERS_SD = 0.02, 6.0  # share, and standard deviations
MEANS_APART = 0.25
UNSEEN = 0.7  # share of the changes that are found on a later night than this one
SURE_OF_ONSET = 0.9
DAYS = 7
NIGHTS_FOR_DAYS = 28
# the 99th percentile of χ², by degrees of freedom
CHI_SQUARE_99 = {1: 6.635, 2: 9.210, 3: 11.345, 4: 13.277, 5: 15.086, 6: 16.812}


class NightKind(StrEnum):
    LEARNING = "learning"
    SAME = "same"
    BETTER = "better"
    SUSPECT = "suspect"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Night:
    """One number of one night: `y`, its logarithm; `error`, the standard error of `y` by the run's own blocks, 0.0 where it is not known;
    `weekday` 0 to 6."""

    y: float
    error: float = 0.0
    weekday: int = 0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the nights before come to. `days`: the middle of each weekday, all the same where weekdays do not differ. `correlation`: of a
    night with the next one, as far as so few nights show it."""

    middle: float
    spread: float
    count: int
    days: tuple[float, ...]
    correlation: float = 0.0

    def off(self, night: Night) -> float:
        return night.y - self.days[night.weekday]


@dataclass(frozen=True, slots=True)
class Found:
    """`change`: by how much the last `nights` nights are off, as a logarithm; `by`: what found it, "" where nothing did."""

    kind: NightKind
    change: float
    nights: int
    by: str
    baseline: Baseline | None


def baseline_of(nights: Sequence[Night]) -> Baseline:
    """Of at least one night, the newest last; the newest 30 count."""
    newest = nights[-MOST_NIGHTS:]
    values = np.array([night.y for night in newest])
    middle, spread = _huber(values)
    days = _weekdays(newest, values, middle)
    off = values - np.array([days[night.weekday] for night in newest])
    if len(set(days)) > 1:
        _, spread = _huber(off)
    own = float(np.median([night.error for night in newest]))
    spread = max(spread, own, LEAST_SPREAD)
    return Baseline(middle, spread, len(values), days, _correlation(np.clip(off / spread, -OUTLIER, OUTLIER)))


def _huber(values: Floats) -> tuple[float, float]:
    """Middle and standard deviation, by Huber's proposal 2, begun at the median; the spread 0.0 where half of the values are the same."""
    count, middle = len(values), float(np.median(values))
    spread = MAD_TO_SD * float(np.median(np.abs(values - middle))) * (1 + 1 / count)
    if spread == 0 or count < 2:
        return middle, spread
    for _ in range(ROUNDS):
        bounded = np.minimum(np.maximum((values - middle) / spread, -HUBER), HUBER)
        moved, wider = spread * float(bounded.sum()) / count / INSIDE, math.sqrt(float(bounded @ bounded) / (count - 1) / COUNTED)
        middle, spread = middle + moved, spread * wider
        if abs(moved) + abs(wider - 1) * spread < CLOSE * spread:
            break
    return middle, spread


def _correlation(values: Floats) -> float:
    """Of one with the next: what so few nights show is too low on average (Kendall 1954) and wavers, so it is drawn to what is usual."""
    count = len(values)
    off = values - values.mean()
    variance = float(off @ off)
    if variance <= 0:
        return USUALLY_ALIKE
    found = float(off[1:] @ off[:-1]) / variance
    known = ALIKE_SPREAD**2 / (ALIKE_SPREAD**2 + 1 / count)
    return min(MOST_ALIKE, max(0.0, USUALLY_ALIKE + known * (found + (1 + 3 * found) / count - USUALLY_ALIKE)))


def dependent(nights: int, correlation: float) -> float:
    """By how much the variance of a mean of that many nights is larger than that of independent ones: 1 + 2 Σ (1 - k/n) ρ^k."""
    return 1 + 2 * math.fsum((1 - lag / nights) * correlation**lag for lag in range(1, nights))


def _weekdays(nights: Sequence[Night], values: Floats, middle: float) -> tuple[float, ...]:
    """The median of each weekday, drawn towards that of all by what three nights more would: where they differ (Kruskal & Wallis 1952)."""
    groups = [values[[night.weekday == day for night in nights]] for day in range(DAYS)]
    if len(nights) < NIGHTS_FOR_DAYS or not kruskal_wallis(groups):
        return (middle,) * DAYS
    return tuple(middle + len(one) / (len(one) + 3) * (float(np.median(one)) - middle) if len(one) else middle for one in groups)


def kruskal_wallis(groups: Sequence[Floats]) -> bool:
    """Whether the groups' medians differ, at 1 %; by ranks, with the correction for ties."""
    there = [one for one in groups if len(one)]
    values = np.concatenate(there)
    count = len(values)
    if len(there) < 2:
        return False
    _, inverse, ties = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[inverse]
    ends = np.cumsum([len(one) for one in there])
    sums = [float(ranks[end - len(one) : end].sum()) for one, end in zip(there, ends, strict=True)]
    spread = math.fsum(total**2 / len(one) for total, one in zip(sums, there, strict=True))
    statistic = 12 / (count * (count + 1)) * spread - 3 * (count + 1)
    tied = 1 - float((ties.astype(float) ** 3 - ties).sum()) / (count**3 - count)
    return tied > 0 and statistic / tied > CHI_SQUARE_99[len(there) - 1]


def judged(before: Sequence[Night], last: Sequence[Night], *, floor: float, sign: int = 1, tests: int = 1) -> Found:
    """`before`: nights that nothing was found in; `last`: those since, tonight's last, of which the five newest count.

    `floor`: the share by which a change must be off to matter. `tests`: how many numbers are judged so each night, all of which together
    may be wrong in `BY_CHANCE` of the nights.
    """
    if len(before) < LEAST_NIGHTS:
        return Found(NightKind.LEARNING, 0.0, 0, "", None)
    least = math.log1p(floor)
    tonight = last[-1]
    for nights in WINDOWS:
        found = _window(before, last, nights, BY_CHANCE / APART / tests)
        if found is None:
            continue
        baseline, change, stands_out = found
        if stands_out and abs(change) > least:
            kind = NightKind.WORSE if change * sign > 0 else NightKind.BETTER
            return Found(kind, change, nights, f"the mean of the last {counted(nights, 'night')}", baseline)
    baseline = baseline_of(before)
    drift = _drift([*before[-MOST_NIGHTS:], *last], baseline, sign)
    if drift is not None and abs(drift[0]) > least:
        change, nights = drift
        return Found(NightKind.WORSE, change, nights, f"a drift over {counted(nights, 'night')}", baseline)
    off = baseline.off(tonight)
    one = off * sign / (baseline.spread * math.sqrt(1 + 1 / baseline.count))
    suspect = one > student_t(SUSPECT, _freedom(baseline)) and abs(off) > least
    return Found(NightKind.SUSPECT if suspect else NightKind.SAME, off, 1, "", baseline)


def _window(before: Sequence[Night], last: Sequence[Night], nights: int, by_chance: float) -> tuple[Baseline, float, bool] | None:
    """The baseline of the nights before the last ones, how far the last ones are off on average, and whether that is more than chance."""
    every = [*before, *last]
    older = len(every) - nights
    past = before[: min(older, len(before))]
    if len(past) < LEAST_NIGHTS:
        return None
    baseline = baseline_of(past)
    offs = np.array([baseline.off(night) for night in every[older:]])
    change = float(np.mean(offs))
    limit = student_t(1 - by_chance, _freedom(baseline)) * math.sqrt(_variance(baseline, nights))
    # one night far off does not make a window: it counts for little more than the limit, and each must point the same way
    farthest = max(FARTHEST, ABOVE * limit)
    bounded = np.clip(offs / baseline.spread, -farthest, farthest)
    return baseline, change, abs(float(bounded.mean())) > limit and bool(np.all(offs * change > 0))


def _freedom(baseline: Baseline) -> int:
    return max(3, baseline.count - 1)


def _drift(nights: Sequence[Night], baseline: Baseline, sign: int) -> tuple[float, int] | None:
    """What the CUSUM found: the mean change over the nights of the drift, and how many these are."""
    values = [baseline.off(night) * sign for night in nights]
    total, began = 0.0, 0
    sums, squares = (np.cumsum(one).tolist() for one in (values, np.square(values)))
    for number in range(LEAST_NIGHTS, len(values)):
        mean = sums[number - 1] / number
        variance = (squares[number - 1] - number * mean**2) / (number - 1)
        sd = max(math.sqrt(max(0.0, variance)), baseline.spread)
        t = math.sqrt(number / (number + 1)) * (values[number] - mean) / sd
        step = min(CUSUM_MOST, _normal_of(t, number - 1)) - CUSUM_K
        began = number if total <= 0 else began
        total = max(0.0, total + step)
    if total <= CUSUM_H:
        return None
    return sign * float(np.mean(values[began:])), len(values) - began


def _normal_of(t: float, freedom: int) -> float:
    """The normal value that is exceeded as often as `t` of Student's distribution (Wallace, Annals of Mathematical Statistics 30, 1959)."""
    z = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(z, t)


def detectable(baseline: Baseline, *, tests: int = 1, power: float = 0.9) -> float:
    """The rise, a share, that would be called worse within three nights with the probability `power`."""
    reach = student_t(1 - BY_CHANCE / APART / tests, _freedom(baseline)) + NormalDist().inv_cdf(power)
    return math.expm1(NOT_ALL_THREE * reach * baseline.spread * math.sqrt(_variance(baseline, 3)))


def _variance(baseline: Baseline, nights: int) -> float:
    """Of the mean of that many nights against the middle of those before, where that of a single night is 1."""
    alike = [dependent(count, baseline.correlation) for count in (nights, baseline.count)]
    return alike[0] / nights + alike[1] / baseline.count


def _log_density(off: Floats) -> Floats:
    """Of nights so many standard deviations off, some of which are outliers."""
    usual, outlier = math.log(1 - OUTLIERS) - off**2 / 2, math.log(OUTLIERS / OUTLIERS_SD) - (off / OUTLIERS_SD) ** 2 / 2
    density: Floats = np.logaddexp(usual, outlier)
    return density


def onset(nights: Sequence[Night], baseline: Baseline) -> list[tuple[int, float]]:
    """Which of the last ten nights was the first bad one: (position from the end, 0 is tonight; probability), the likeliest first.

    The nights before τ are at the baseline and those from τ on at a mean of their own, any being equally likely; one in 50 nights is far
    off and says nothing; and what began long ago would have been found before. As many as have 90 % together.
    """
    offs = np.array([baseline.off(night) for night in nights[-ONSET_NIGHTS:]]) / baseline.spread
    count = len(offs)
    farthest = max(OUTLIER, float(np.abs(offs).max()))
    means = np.arange(-farthest, farthest + MEANS_APART, MEANS_APART)
    before, after = _log_density(offs), _log_density(offs[:, None] - means)
    of_tau = [before[:tau].sum() + after[tau:].sum(axis=0) for tau in range(count)]
    highest = max(float(one.max()) for one in of_tau)
    likely = np.array([UNSEEN ** (count - tau) * float(np.exp(one - highest).sum()) for tau, one in enumerate(of_tau)])
    likely /= likely.sum()
    found: list[tuple[int, float]] = []
    for tau in np.argsort(-likely, kind="stable").tolist():
        found.append((count - 1 - tau, float(likely[tau])))
        if math.fsum(one for _, one in found) >= SURE_OF_ONSET:
            break
    return found
