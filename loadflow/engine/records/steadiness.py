"""Whether a load was steady, and where its warm-up ended: questions to the seconds of all hits together. Pure: arrays in, answers out.

Steady: the mean response time and the rate go on around one level, without drift, leak or step (the test of Kwiatkowski, Phillips,
Schmidt and Shin, Journal of Econometrics 54, 1992, at 1 % for each of the two), and the times have no slope. The slope is that of two
things together, each of which shows some drifts sooner: the logarithm of a second's mean, and the share of its hits above the median of
all. Where a rate decides when hits are due, what they waver because more or fewer of them came in a second is left out of both.
Warm-up: what to leave out at the start so that the mean of the rest is known best (MSER-5: White, Simulation 69, 1997).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.seconds import SecondCounts

__all__ = ["LEAST_S", "Steadiness", "kpss", "mser", "slope", "steadiness_of", "steepness"]

Floats = npt.NDArray[np.float64]

LEAST_S = 60  # of fewer seconds it would find nothing but the coarsest
LIMIT = 0.739  # of the KPSS statistic, at 1 %
STEEP = 2.45  # standard errors of a slope, at 1.4 %; as few seconds know them, at 2 to 4 %
MOST_ALIKE = 0.97
VARIES = 1e-6  # the least spread of what a slope is asked of
BATCH_S = 5
STANDS_OUT = 4.0  # standard errors by which the warm-up must differ from the rest
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Steadiness:
    """`first` and `last`: mean response time in ms and hits per second, of the first and the last third of `from_s` to `to_s`.

    `from_s`: where the time looked at begins, the end of the ramp or of the warm-up. `warm_up_s`: whole seconds from the start whose
    response times differ from the rest; 0.0 where there are none.
    """

    from_s: float
    to_s: float
    warm_up_s: float
    times_are_steady: bool
    rate_is_steady: bool
    first_ms: float
    last_ms: float
    first_per_s: float
    last_per_s: float

    @property
    def steady(self) -> bool:
        return self.times_are_steady and self.rate_is_steady


def steadiness_of(seconds: SecondCounts, from_s: int = 0, *, paced: bool = False) -> Steadiness | None:
    """Of all hits that ended from `from_s` on; None where that is too short to say, or where seconds without a hit leave gaps.

    `paced`: a rate decides when hits are due. Users that wait for answers make fewer hits because these take longer.
    """
    start = -(-from_s // seconds.unit_s)
    hits, sum_ns = seconds.hits[0, start:], seconds.sum_ns[0, start:]
    if len(hits) * seconds.unit_s < LEAST_S or len(hits) < LEAST_S // BATCH_S or not hits.all():
        return None
    times_ms = np.maximum(sum_ns, 1.0) / hits / NS_PER_MS
    batch = max(1, BATCH_S // seconds.unit_s)
    warm_up = mser(times_ms, batch)
    logs = np.log(times_ms)
    # what goes on changing after it is not a warm-up, nor what changes all the time
    if not _stands_out(times_ms, warm_up, batch) or _wavers(logs[warm_up:]) or _drifts(logs, warm_up):
        warm_up = 0
    rest_ms, rest_hits = times_ms[warm_up:], hits[warm_up:]
    steep = steepness(logs[warm_up:], seconds.above[0, 0, start + warm_up :] / rest_hits, rest_hits if paced else None)
    third = len(rest_ms) // 3
    return Steadiness(
        from_s=float((start + warm_up) * seconds.unit_s),
        to_s=float(seconds.seconds),
        warm_up_s=float((start + warm_up) * seconds.unit_s) if warm_up else 0.0,
        times_are_steady=not _wavers(logs[warm_up:]) and abs(steep) <= STEEP,
        rate_is_steady=not _wavers(rest_hits),
        first_ms=_mean_ms(sum_ns[warm_up:], rest_hits, slice(0, third)),
        last_ms=_mean_ms(sum_ns[warm_up:], rest_hits, slice(-third, None)),
        first_per_s=float(rest_hits[:third].mean()) / seconds.unit_s,
        last_per_s=float(rest_hits[-third:].mean()) / seconds.unit_s,
    )


def kpss(series: Floats) -> float:
    """The KPSS statistic for a level, 0 or more; the longer the sums of the deviations stay away from 0, the larger.

    The long-run variance has Bartlett's weights over ⌊4(n/100)^¼⌋ lags. 0.0 where nothing varies.
    """
    off = series - series.mean()
    variance = _long_run(off, _lags(len(series)))
    if variance <= 0:
        return 0.0
    sums = np.cumsum(off)
    return float(sums @ sums) / len(series) ** 2 / variance


def mser(series: Floats, batch: int) -> int:
    """How many values to leave out at the start, in whole batches: those without which the mean of the rest has the least standard error.

    At most a third of them is looked at: further on the rule finds the few last batches that happen to be alike, and what changes there
    is not a warm-up.
    """
    batches = len(series) // batch
    means = series[: batches * batch].reshape(batches, batch).mean(axis=1)
    scores = [float(np.sum((means[cut:] - means[cut:].mean()) ** 2)) / (batches - cut) ** 2 for cut in range(batches // 3 + 1)]
    return int(np.argmin(scores)) * batch


def steepness(logs: Floats, shares: Floats, hits: Floats | None = None) -> float:
    """The slope of the logarithm of the times and of the share of hits above their median together, in standard errors; the two count
    alike. `hits`: by how many of which the times waver, None where it is the other way round."""
    beside = None if hits is None else np.log(hits)
    together = np.zeros_like(logs)
    for series in (logs, shares):
        _, off = _line(series, beside)
        spread = float(off.std())
        if spread > VARIES:
            together += series / spread
    return slope(together, beside)


def slope(series: Floats, beside: Floats | None = None) -> float:
    """The slope of a line through the series, in standard errors, which know that neighbours are alike (Newey and West, Econometrica 55,
    1987; as many lags as Andrews, Econometrica 59, 1991, would take). 0.0 where nothing varies. `beside`: a series that it goes with, whose
    part is taken away."""
    columns, off = _line(series, beside)
    weights = np.linalg.pinv(columns)[1]
    sums = weights * off
    variance = _long_run(sums, _lags_for(sums)) * len(series) * len(series) / (len(series) - columns.shape[1])
    return float(weights @ series) / math.sqrt(variance) if variance > VARIES**2 * float(weights @ weights) else 0.0


def _line(series: Floats, beside: Floats | None) -> tuple[Floats, Floats]:
    """What a line, and what goes with the series, is made of, in columns; and what the series is off from it."""
    at = np.arange(len(series)) - (len(series) - 1) / 2
    columns = [np.ones_like(at), at]
    if beside is not None and float(beside.std()) > VARIES:
        columns.append(beside - beside.mean())
    made = np.stack(columns, axis=1)
    off: Floats = series - made @ (np.linalg.pinv(made) @ series)
    return made, off


def _lags(count: int) -> int:
    return int(4 * (count / 100) ** 0.25)


def _lags_for(off: Floats) -> int:
    """As many as it takes where each value goes with the one before as here (Andrews 1991, 6.2 and 6.4, for Bartlett's weights)."""
    alike = min(MOST_ALIKE, abs(float(off[1:] @ off[:-1])) / max(float(off @ off), sys.float_info.min))
    return min(len(off) // 4, int(1.1447 * (4 * alike**2 / (1 - alike**2) ** 2 * len(off)) ** (1 / 3)))


def _long_run(off: Floats, lags: int) -> float:
    """The variance of the sum of values around 0, for each of them, with Bartlett's weights over so many lags."""
    count = len(off)
    alike = math.fsum((1 - lag / (lags + 1)) * float(off[lag:] @ off[:-lag]) for lag in range(1, lags + 1))
    return (float(off @ off) + 2 * alike) / count


def _wavers(series: Floats) -> bool:
    return kpss(series) > LIMIT


def _drifts(series: Floats, warm_up: int) -> bool:
    """Whether a line through all of the series is as near to it as two levels, the first until `warm_up`: a place that was chosen, so they
    must be nearer by what a chosen number is worth (Schwarz, Annals of Statistics 6, 1978)."""
    at = np.arange(len(series)) - (len(series) - 1) / 2
    of_line = series - series.mean() - float(at @ series) / float(at @ at) * at
    of_levels = np.concatenate([series[:warm_up] - series[:warm_up].mean(), series[warm_up:] - series[warm_up:].mean()])
    return bool(of_line @ of_line < (of_levels @ of_levels) * len(series) ** (1 / len(series)))


def _stands_out(times_ms: Floats, warm_up: int, batch: int) -> bool:
    """The rule cuts off chance too: what is left out must differ from the rest by more than the rest wavers."""
    rest = times_ms[warm_up:]
    batches = rest[: len(rest) // batch * batch].reshape(-1, batch).mean(axis=1)
    if warm_up == 0 or len(batches) < 2:
        return False
    cut = warm_up // batch
    error = float(batches.std(ddof=1)) * math.sqrt(1 / cut + 1 / len(batches))
    return abs(float(times_ms[:warm_up].mean()) - float(batches.mean())) > STANDS_OUT * error


def _mean_ms(sum_ns: Floats, hits: Floats, part: slice) -> float:
    return float(sum_ns[part].sum() / hits[part].sum()) / NS_PER_MS
