"""How far the mean of a series of seconds may be from the truth, when what a second holds depends on the seconds before it.

Hits behind a queue are not independent: one slow answer delays those after it. So not hits are drawn again but blocks of seconds, each
longer than the dependence lasts (moving-block bootstrap: Künsch, The Annals of Statistics 17, 1989; Efron & Tibshirani, An
Introduction to the Bootstrap, chapter 8). A ratio, such as the share of hits above a percentile, comes as its influence: what each
second adds to the ratio's error, `(k - p·n) / mean(n)`, whose mean is the ratio's deviation to first order.

Pure: arrays in, arrays out. Rows are series, columns are seconds, or units of several seconds.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.counted import counted

__all__ = ["FEWEST_BLOCKS", "correlation_times", "deviations", "lengths", "spreads", "student_t", "widening"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_BLOCKS = 6  # with fewer, the spread of the blocks says next to nothing
TIMES_AS_LONG = 5  # a block against the time that the dependence lasts
FEWEST_FREEDOM = 3.0  # for which `student_t` is still right
FEW_LAGS = 16  # which most series have ended within: lag by lag is cheaper than all at once
COARSER = 1.25  # lengths are rounded up to powers of it, so that many series share their draws


def correlation_times(series: Floats) -> Floats:
    """τ = 1 + 2 Σ r_k of each row, over the lags up to the first whose r_k does not stand out (2/√n); shape (rows,), in columns.

    r_k is the autocorrelation at lag k. 1.0: the columns are independent, or do not vary.
    """
    columns = series.shape[1]
    centred = series - series.mean(axis=1, keepdims=True)
    variances = np.einsum("rc,rc->r", centred, centred)
    times = np.ones(len(series))
    going = np.flatnonzero(variances > 0)
    for lag in range(1, min(columns, FEW_LAGS + 1)):
        if not len(going):
            return times
        own = centred if len(going) == len(series) else centred[going]
        correlations = np.einsum("rc,rc->r", own[:, :-lag], own[:, lag:]) / variances[going]
        stand_out = correlations > 2 / math.sqrt(columns)
        going = going[stand_out]
        times[going] += 2 * correlations[stand_out]
    if len(going):
        times[going] = _long_times(centred[going])
    return times


def _long_times(centred: Floats) -> Floats:
    """`correlation_times` of rows that vary, with the mean 0: all lags at once, by Fourier transforms."""
    columns = centred.shape[1]
    size = 1 << (2 * columns - 1).bit_length()  # twice the length, so that the ends do not meet
    spectrum = np.fft.rfft(centred, size, axis=1)
    products = np.fft.irfft(spectrum * spectrum.conj(), size, axis=1)[:, :columns]
    correlations = products[:, 1:] / products[:, :1]
    until_first = np.cumprod(correlations > 2 / math.sqrt(columns), axis=1, dtype=np.int8)
    times: Floats = 1 + 2 * (correlations * until_first).sum(axis=1)
    return times


def lengths(series: Floats, least: int) -> Ints:
    """How many columns a block of each row takes: five correlation times, at least `least`, at most a sixth of all columns.

    Raises ValueError for fewer than six times `least` columns, which are too short to say anything.
    """
    columns = series.shape[1]
    most = columns // FEWEST_BLOCKS
    if most < least:
        raise ValueError(f"{counted(columns, 'column')} can't make {FEWEST_BLOCKS} blocks of {least}")
    wanted = np.maximum(least, TIMES_AS_LONG * correlation_times(series))
    rounded: Floats = np.ceil(least * COARSER ** np.ceil(np.log(wanted / least) / math.log(COARSER) - 1e-9))
    found: Ints = np.minimum(rounded.astype(np.int64), most)
    return found


def deviations(series: Floats, *, least: int, confidence: float, draws: int, generator: np.random.Generator) -> Floats:
    """By how much the mean of each row may be off, `draws` times; shape (rows, draws), around 0.

    The spread is widened as Student's t widens it for so few blocks, for intervals of the share `confidence`. Raises ValueError as
    `lengths` does.
    """
    rows, columns = series.shape
    found = np.zeros((rows, draws))
    wanted = lengths(series, least)
    for length in np.unique(wanted).tolist():
        chosen = np.flatnonzero(wanted == length)
        blocks = round(columns / length)
        starts = columns - length + 1
        drawn = generator.integers(0, starts, (draws, blocks)) + starts * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * starts).reshape(draws, starts).astype(np.float32)
        means = _block_means(series[chosen], length)
        scale = np.abs(means).max(axis=1, keepdims=True)
        scale[scale == 0] = 1.0
        together = (means / scale).astype(np.float32) @ times.T  # scaled, because single precision has few digits and is twice as fast
        wider = _cut_off(series[chosen], means, length) * math.sqrt(blocks * length / columns) * widening(blocks, confidence)
        found[chosen] = together * scale / blocks * wider
    return found


def spreads(series: Floats, *, least: int) -> tuple[Floats, Floats]:
    """How far the mean of each row may be off: its standard error, and the degrees of freedom of that error; both of shape (rows,).

    An interval for the mean is ± `student_t((1 + confidence) / 2, freedom)` standard errors. What is rare and comes in clusters, such as
    hits above a p99, makes the error itself uncertain: it has fewer degrees of freedom than there are blocks (Satterthwaite,
    Biometrics Bulletin 2, 1946, with the variance of a variance, 2/(n-1) + excess kurtosis/n). Raises ValueError as `lengths` does.
    """
    rows, columns = series.shape
    errors, freedoms = np.zeros(rows), np.zeros(rows)
    wanted = lengths(series, least)
    for length in np.unique(wanted).tolist():
        chosen = np.flatnonzero(wanted == length)
        blocks = columns / length
        own = series[chosen]
        means = _block_means(own, length)
        variance = np.mean(means**2, axis=1) * _cut_off(own, means, length)[:, 0] ** 2
        errors[chosen] = np.sqrt(variance / (blocks - 1))
        excess = np.maximum.reduce([_excess_kurtosis(means), _excess_kurtosis(own) / length, np.zeros(len(own))])
        freedoms[chosen] = np.maximum(FEWEST_FREEDOM, 2 / (excess / blocks + 2 / (blocks - 1)))
    return errors, freedoms


def _excess_kurtosis(values: Floats) -> Floats:
    """Of each row; 0 where nothing varies."""
    centred = values - values.mean(axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1)
    fourth = np.mean(centred**4, axis=1)
    found: Floats = np.divide(fourth, variance**2, out=np.full(len(values), 3.0), where=variance > 0) - 3
    return found


def _block_means(series: Floats, length: int) -> Floats:
    """Of every window of `length` columns, against the mean of all: the columns at the ends are in fewer."""
    sums = np.cumsum(np.pad(series, ((0, 0), (1, 0))), axis=1)
    means: Floats = (sums[:, length:] - sums[:, :-length]) / length
    means -= means.mean(axis=1, keepdims=True)
    return means


def _cut_off(series: Floats, means: Floats, length: int) -> Floats:
    """By what factor, 1 or more, the spread is too small because blocks cut dependence off; shape (rows, 1).

    The variance that blocks of length L give lacks c/L of the true one (Künsch 1989, theorem 3.3), so what they and blocks of half the
    length give says what c is.
    """
    if length == 1:
        return np.ones((len(series), 1))
    half = length // 2
    whole_variance = length * np.mean(means**2, axis=1, keepdims=True)
    half_variance = half * np.mean(_block_means(series, half) ** 2, axis=1, keepdims=True)
    true = (length * whole_variance - half * half_variance) / (length - half)
    factors: Floats = np.sqrt(np.maximum(1.0, np.divide(true, whole_variance, out=np.ones_like(true), where=whole_variance > 0)))
    return factors


def widening(blocks: int, confidence: float) -> float:
    """What makes a normal interval one of Student's t with `blocks` - 1 degrees of freedom, and the spread of few blocks a true one."""
    normal = NormalDist().inv_cdf((1 + confidence) / 2)
    return student_t((1 + confidence) / 2, blocks - 1) / normal * math.sqrt(blocks / (blocks - 1))


def student_t(p: float, freedom: float) -> float:
    """The value that Student's t with `freedom` degrees of freedom, 3 or more, does not exceed with probability `p`.

    By its expansion around the normal one (Abramowitz & Stegun, 26.7.5): off by at most 0.1 % for `p` up to 0.975.

    >>> round(student_t(0.975, 10), 3)
    2.228
    """
    z = NormalDist().inv_cdf(p)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))
