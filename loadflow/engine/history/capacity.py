"""How much a target can bear: the rate up to which all limits hold, searched for by probes; decided purely from the finished ones.

Bisection misleads: a probe from an empty queue shows times that are too short, and its brackets miss the truth in half of the cases. So the
search only brackets the rate roughly, and then weighs, for each rate at which a limit may be crossed, how likely all probes are, short and
long ones: the share of hits over the limit grows with the rate, ln p(λ) = a + bλ near the crossing, from what is over it at any rate; the
target wavers from probe to probe; and hits over a limit come in clusters. The capacity is the median of that distribution. What the search
knows is the list of finished probes and nothing else: after a crash it goes on with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.blocks import student_t
from loadflow.engine.records.precision import wilson

Floats = npt.NDArray[np.float64]

__all__ = ["BEYOND", "Found", "Limit", "Probe", "Search", "Usl", "Wanted", "next_probe", "usl_of"]

Step = Literal["bracket", "narrow", "fit", "confirm"]

BRACKET_S, FIT_S, CONFIRM_TIMES = 20.0, 60.0, 2.0
AIM = 0.8  # of the width that was asked: what lengths are planned for, since half of the plans fall short
NARROW = 1.25
# of the crossing as it is known: far enough apart to show how the curve grows, and not below it on average, where little is over the limit
AROUND = (1.0, 0.93, 1.04, 0.98, 1.03)
LEAST_FITTED, ENOUGH_FITTED, MOST_FITTED, USUAL_PROBES, MOST_PROBES = 3, 5, 8, 14, 24
MOST_CONFIRMS = 2  # what one probe says is by chance now and then
LOWEST_CONFIRM = 0.8  # share of the capacity: below it a probe confirms nothing
VOIDS = 2  # probes one after the other in which the generator was the limit: one alone may have met a busy moment
ASTRAY = 1.03  # times the bracket's end beyond which no probe is made for the fit
# -- what is weighed: every combination of
CROSSINGS = np.exp(np.linspace(-math.log(1.6), math.log(1.6), 181))  # where the limit is crossed, of the middle of the bracket
STEEPNESS = np.exp(np.linspace(math.log(3), math.log(200), 22))  # by how much ln p grows there, of the share by which the rate grows
WAVERS = np.array([0.0, 0.007, 0.014, 0.028, 0.056])  # by which share the target is slower or faster from probe to probe
FLOORS = np.array([0.0, 0.04, 0.08, 0.16, 0.32])  # what is over the limit at any rate, of what is allowed
# a target is seldom less steep than M/M/1 at half load (5), or steeper than one of many servers at 95 %: natural logarithms
USUAL_STEEPNESS, STEEPNESS_SPREAD = 20.0, 0.8
BENT = 0.25  # of the distance in ln p: so badly it is known far from the crossing that the curve is a line
LEAST_WAVER = 1e-6
# where a queue grew the limit is crossed below 1.06 times that rate, give or take 2 % and what the target wavers
GROWS_WITHIN, GROWS_SPREAD = 1.06, 0.02
NEAR = 0.7  # share of the crossing from which on a probe counts for the curve
BEYOND = 1.5  # times the most that was in flight up to which the law of scalability says something
TAILS = (0.025, 0.5, 0.975)
NORMAL = 1.96
BY_CHANCE = 1.645  # standard errors, to one side, at 5 %


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold as a share that may be over it: p99 < 500 ms allows 0.01 over 500 ms, failure_rate < 1 % allows 0.01."""

    text: str
    allowed: float


@dataclass(frozen=True, slots=True)
class Probe:
    """One finished load. `over`: by limit, the share of hits over it and the number of independent hits that would say as much.

    `sustained`: it was sent whole, and no queue grew; `void`: the generator was the limit, so it says nothing of the target.
    """

    step: Step
    rate_per_s: float
    seconds: float
    over: Mapping[str, tuple[float, float]]
    sustained: bool = True
    void: bool = False
    why: str = ""
    run: str = ""
    achieved_per_s: float = 0.0
    mean_ms: float = 0.0
    p99_ms: float = 0.0

    def passed(self, limits: Sequence[Limit]) -> bool:
        return self.sustained and not self.void and all(self.over[one.text][0] <= one.allowed for one in limits)

    def agrees(self, limits: Sequence[Limit]) -> bool:
        """Whether it may well be that all limits hold: the shares over them are above what is allowed by no more than chance, at 5 %."""
        return self.sustained and all(wilson(*self.over[one.text], BY_CHANCE)[0] <= one.allowed for one in limits)


@dataclass(frozen=True, slots=True)
class Search:
    limits: tuple[Limit, ...]
    start_per_s: float
    at_most_per_s: float
    precision: float = 0.05
    budget_s: float = 1_800.0
    fit_s: float = FIT_S
    bracket_s: float = BRACKET_S


@dataclass(frozen=True, slots=True)
class Wanted:
    """The next probe."""

    step: Step
    rate_per_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """`capacity_per_s`: the highest rate up to which all limits hold, between `low` and `high` with 95 % certainty.

    `at_least`: no limit was reached, by `why`; 0.0: not even the lowest rate that was tried holds. `limit`: the one that binds. `why` is ""
    where the interval is as narrow as was asked, and a longer probe at its lower end agrees, which `confirmed` says.
    """

    capacity_per_s: float
    low: float
    high: float
    limit: str = ""
    at_least: bool = False
    confirmed: bool = False
    why: str = ""
    curve: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # a and b of each limit that was fitted


def next_probe(probes: Sequence[Probe], search: Search) -> Wanted | Found:
    """What to do after these probes. Pure: the same probes always give the same answer."""
    told = [one for one in probes if not one.void]
    spent_s = math.fsum(one.seconds for one in probes)
    lows = [one.rate_per_s for one in told if one.passed(search.limits)]
    if len(probes) >= VOIDS and all(one.void for one in probes[-VOIDS:]):
        highest = max(lows, default=0.0)
        return Found(highest, highest, math.inf, at_least=True, why="the generator's ceiling")
    fails = [one.rate_per_s for one in told if not one.passed(search.limits) and one.step != "confirm"]
    low, high = _split(lows, fails)
    if wanted := _bracket(low, high, lows, fails, search):
        return wanted if len(probes) < 2 * MOST_PROBES else Found(low, low, high, why="the probes contradict each other")
    fitted = [one for one in told if one.step == "fit"]
    if not fitted and low > 0 and high / low > NARROW and len(probes) < MOST_PROBES:
        return Wanted("narrow", math.sqrt(low * high), search.bracket_s)
    return _refine(told, fitted, low, high, spent_s, search)


def _split(lows: Sequence[float], fails: Sequence[float]) -> tuple[float, float]:
    """The highest rate that holds and the lowest that does not, where the fewest probes say otherwise: one may have met a busy moment."""
    every = [0.0, *sorted({*lows, *fails})]
    cut = min(every, key=lambda rate: (sum(one <= rate for one in fails) + sum(one > rate for one in lows), -rate))
    return max((one for one in lows if one <= cut), default=0.0), min((one for one in fails if one > cut), default=math.inf)


def _bracket(low: float, high: float, lows: Sequence[float], fails: Sequence[float], search: Search) -> Wanted | Found | None:
    """Twice as much until it fails, half as much until it holds; None where both are known."""
    if not lows and not fails:
        return Wanted("bracket", min(search.start_per_s, search.at_most_per_s), search.bracket_s)
    if low > 0 and math.isinf(high):
        if low >= search.at_most_per_s * 0.999:
            return Found(low, low, math.inf, at_least=True, why="at_most")
        return Wanted("bracket", min(2 * low, search.at_most_per_s), search.bracket_s)
    if low == 0:
        lowest = min([*lows, *fails])
        if lowest < search.start_per_s / 64:
            return Found(0.0, 0.0, lowest, why="not even the lowest rate that was tried holds")
        return Wanted("bracket", lowest / 2, search.bracket_s)
    return None


def _refine(told: Sequence[Probe], fitted: Sequence[Probe], low: float, high: float, spent_s: float, search: Search) -> Wanted | Found:
    between = math.sqrt(low * high)
    crossing = _crossing(told, search, between)
    confirms = [one for one in told if one.step == "confirm"]
    confirm_s = CONFIRM_TIMES * search.fit_s
    if confirms and crossing is not None:
        holds, width = confirms[-1].agrees(search.limits), _width(crossing)
        again = len(confirms) < MOST_CONFIRMS and len(told) < USUAL_PROBES and spent_s + confirm_s <= search.budget_s
        if not holds and again:
            return Wanted("confirm", max(crossing[1][0], LOWEST_CONFIRM * crossing[0]), confirm_s)
        capacity, interval, limit, curve = crossing
        why = "" if holds else f"{confirms[-1].rate_per_s:.4g}/s, the lower end, did not hold in a longer probe"
        if holds and width > search.precision:
            more = _enough(width, told, spent_s, search)
            why = f"the interval is ±{math.ceil(1e3 * width) / 1e3:.1%}, wider than the ±{search.precision:.1%} that was asked; {more}"
        return Found(capacity, min(interval[0], capacity), interval[1], limit, confirmed=holds, why=why, curve=curve)
    enough = len(fitted) >= ENOUGH_FITTED and crossing is not None and _width(crossing) <= search.precision
    over = spent_s + search.fit_s > search.budget_s or len(fitted) >= MOST_FITTED or len(told) >= USUAL_PROBES - 1
    if not enough and not over:
        # a fit of few probes may lead far away from where most of them say that it is
        middle = min(high * ASTRAY, max(low / ASTRAY, crossing[0])) if crossing is not None else between
        unheld = min((one.rate_per_s for one in told if not one.sustained), default=math.inf)
        rate = min(middle * AROUND[len(fitted) % len(AROUND)], search.at_most_per_s, 0.97 * unheld)
        return Wanted("fit", rate, _length(crossing, fitted, spent_s, search))
    if crossing is None:
        return Found(between, low, high, why="too few hits over the limits to fit their growth")
    if over and spent_s + search.fit_s > search.budget_s:
        capacity, interval, limit, curve = crossing
        return Found(capacity, *interval, limit, why="the budget is used up", curve=curve)
    return Wanted("confirm", max(crossing[1][0], LOWEST_CONFIRM * crossing[0]), confirm_s)


def _enough(width: float, told: Sequence[Probe], spent_s: float, search: Search) -> str:
    """About how long a search would have to be: the interval narrows with the root of the time around the crossing."""
    around_s = math.fsum(one.seconds for one in told if one.step in ("fit", "confirm"))
    wanted_s = spent_s + around_s * ((width / (AIM * search.precision)) ** 2 - 1)
    return f"a budget of {math.ceil(wanted_s / 600) * 600:,} s may be enough"


def _length(crossing: Crossing | None, fitted: Sequence[Probe], spent_s: float, search: Search) -> float:
    """Seconds: so long that the probes which are left are enough, since the interval narrows with the root of the time."""
    if crossing is None or len(fitted) < LEAST_FITTED:
        return search.fit_s
    missing_s = math.fsum(one.seconds for one in fitted) * ((_width(crossing) / (AIM * search.precision)) ** 2 - 1)
    most_s = (search.budget_s - spent_s - CONFIRM_TIMES * search.fit_s) / (MOST_FITTED - len(fitted))
    wanted_s = min(missing_s / (MOST_FITTED - len(fitted)), most_s)
    return max(search.fit_s, float(round(wanted_s)))


Crossing = tuple[float, tuple[float, float], str, dict[str, tuple[float, float]]]


def _width(crossing: Crossing) -> float:
    capacity, (low, high), *_ = crossing
    return max(high - capacity, capacity - low) / capacity


def _crossing(told: Sequence[Probe], search: Search, between: float) -> Crossing | None:
    """Where the first limit is crossed, its 95 % interval, and the curves; None where no limit has enough to fit."""
    found: list[tuple[float, tuple[float, float], str]] = []
    curves: dict[str, tuple[float, float]] = {}
    for limit in search.limits:
        if fitted := _fitted(told, limit, between):
            at, interval, curves[limit.text] = fitted
            found.append((at, interval, limit.text))
    if not found:
        return None
    at, interval, text = min(found)
    return at, interval, text, curves


def _fitted(probes: Sequence[Probe], limit: Limit, between: float) -> tuple[float, tuple[float, float], tuple[float, float]] | None:
    """Where one limit is crossed, its interval, and a and b; None where these probes do not show it."""
    whole = [one for one in probes if one.sustained]
    rates = np.array([one.rate_per_s for one in whole])
    if len(set(rates[rates >= NEAR * between].round(6).tolist())) < 2:
        return None
    seen = np.array([one.over[limit.text][0] for one in whole])
    counts = rates * np.array([one.seconds for one in whole])
    told_hits = np.array([one.over[limit.text][1] for one in whole])
    hits = _effective(rates, counts, told_hits, np.where((seen > 0) & (seen < 1), [one.seconds for one in whole], 0.0))
    at, steep, waver, floor = np.meshgrid(between * CROSSINGS, STEEPNESS, WAVERS, FLOORS, indexing="ij", sparse=True)
    log_likely: Floats = -0.5 * (np.log(steep / USUAL_STEEPNESS) / STEEPNESS_SPREAD) ** 2
    for rate, share, count in zip(rates, seen, hits, strict=True):
        off = steep * (rate / at - 1)
        # half of the variance of a logarithm lies between the mean of many probes and what is usual
        grown = np.exp(np.minimum(off + (steep * waver) ** 2 / 2, -math.log(limit.allowed)))
        expected = limit.allowed * (floor + (1 - floor) * grown)
        wavers = (steep * waver * (1 - floor / (floor + (1 - floor) * grown))) ** 2 + (BENT * off) ** 2
        log_likely = log_likely + _log_likely(share * count, np.minimum(expected, 1.0), count, wavers)
    for one in probes:
        if not one.sustained:
            log_likely = log_likely - np.logaddexp(0.0, -(GROWS_WITHIN * one.rate_per_s / at - 1) / (waver + GROWS_SPREAD))
    likely = np.exp(log_likely - log_likely.max())
    of_at = likely.sum(axis=(1, 2, 3))
    below = np.concatenate([[0.0], np.cumsum((of_at[1:] + of_at[:-1]) / 2 * np.diff(CROSSINGS))])
    low, middle, high = (float(one) * between for one in np.interp(TAILS, below / below[-1], CROSSINGS))
    if not between * CROSSINGS[1] < middle < between * CROSSINGS[-2]:  # extrapolated too far to mean anything
        return None
    # of few probes not even how far they are off is known
    wider = student_t(TAILS[-1], max(3, int(np.sum(rates >= NEAR * between)) - 1)) / NORMAL
    low, high = max(0.0, middle - wider * (middle - low)), middle + wider * (high - middle)
    b = float((steep * likely).sum() / likely.sum()) / middle
    return middle, (low, high), (math.log(limit.allowed) - b * middle, b)


def _log_likely(over: float, share: Floats, hits: float, waver: Floats) -> Floats:
    """Of seeing `over` of `hits` where `share` is expected, which itself wavers with the variance `waver` of its logarithm: negative
    binomial, without what does not depend on what is expected."""
    expected = hits * share
    wide = np.maximum(waver, LEAST_WAVER)
    grown = np.log1p(expected * wide)
    found = over * (np.log(expected) - grown) - grown / wide
    # (Γ(over + 1 / wide) / Γ(1 / wide)) wide^over, by Stirling's formula, as `over` is no whole number
    r = 1 / wide
    return found + (over + r - 0.5) * np.log1p(over / r) - over + 1 / (12 * (over + r)) - 1 / (12 * r)


def _effective(rates: Floats, counts: Floats, hits: Floats, seconds: Floats) -> Floats:
    """Independent hits of each probe, by how many hits stand for one at such a rate: a line through what each of `seconds` says, 0.0 of one
    that says nothing.

    That of a single probe is known badly, and is larger where by chance few were over a limit, which would draw the curve down. Longer ones
    know more of it: their blocks cut less off.
    """
    if not seconds.any():
        return hits
    times = np.log(np.maximum(counts / np.maximum(hits, 1.0), 1.0))
    middle, level = (float(seconds @ one) / float(seconds.sum()) for one in (rates, times))
    spread = rates - middle
    apart = float(seconds * spread @ spread)
    slope = float(seconds * spread @ times) / apart if np.sum(seconds > 0) >= LEAST_FITTED and apart > 0 else 0.0
    each: Floats = np.exp(np.clip(level + max(0.0, slope) * spread, 0.0, np.log(np.maximum(counts, 1.0))))
    return counts / each


@dataclass(frozen=True, slots=True)
class Usl:
    """X(N) = λN / (1 + σ(N-1) + κN(N-1)): λ per second, contention σ, coherency κ. `off`: the largest residual, a share of X.
    `highest`: the largest N that was seen; beyond 1.5 times that it says nothing."""

    rate_of_one: float
    contention: float
    coherency: float
    off: float
    highest: float

    def rate_at(self, in_flight: float) -> float:
        """Per second."""
        n = in_flight
        return self.rate_of_one * n / (1 + self.contention * (n - 1) + self.coherency * n * (n - 1))


def usl_of(in_flight: Sequence[float], per_s: Sequence[float]) -> Usl | None:
    """The Universal Scalability Law (Gunther 1993) by least squares, σ and κ at least 0; None for under three loads.

    >>> n = [1, 2, 4, 8, 16, 32]
    >>> x = [100 * k / (1 + 0.05 * (k - 1) + 0.001 * k * (k - 1)) for k in n]
    >>> found = usl_of(n, x)
    >>> round(found.rate_of_one), round(found.contention, 3), round(found.coherency, 4)
    (100, 0.05, 0.001)
    """
    n, x = np.asarray(in_flight, dtype=float), np.asarray(per_s, dtype=float)
    if len(n) < 3 or (n <= 0).any() or (x <= 0).any():
        return None
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
    wanted, weights = n / x, x / n  # so that residuals are shares
    best: tuple[float, Floats] | None = None
    for used in ((0, 1, 2), (0, 1), (0, 2), (0,)):
        solved = np.zeros(3)
        solved[list(used)] = np.linalg.lstsq(columns[:, used] * weights[:, None], wanted * weights, rcond=None)[0]
        if solved[0] > 0 and (solved[1:] >= 0).all():
            error = float(np.sum(((columns @ solved - wanted) * weights) ** 2))
            if best is None or error < best[0]:
                best = error, solved
    if best is None:
        return None
    one, contention, coherency = best[1]
    modelled = n / (columns @ best[1])
    return Usl(1 / one, contention / one, coherency / one, float(np.max(np.abs(modelled / x - 1))), float(n.max()))
