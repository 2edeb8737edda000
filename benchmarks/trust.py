"""How often intervals hold the truth, `compare` calls an unchanged target changed, drifts are found, and loads that end once they are
precise are so: `python -m benchmarks.trust`.

The target is a queue: arrivals at random at 300/s for 60 s, one server with exponential service times, simulated by Lindley's
recursion (M/M/1; Lindley 1952), at several loads. Load 0 stands for hits that are independent of each other. A pair of runs is called
different when any metric over all hits is worse or better. The true percentile q of such a queue is -ln(1 - q)/(μ - λ). Needs no network
and no other core.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.compare import ChangeKind, Comparison, compare
from loadflow.engine.records.detecting import MOST_TIMES
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.precision import precision_of
from loadflow.engine.records.sample import METRICS, PERCENTILES, Counted
from loadflow.engine.records.seconds import SecondCounter
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.steadiness import steadiness_of
from loadflow.engine.records.stop_rule import StopRule, Width, parse_width
from loadflow.engine.records.stop_watch import StopWatch
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["called_different", "compared", "lindley", "main", "run_of", "said_and_seen"]

RATE_PER_S = 300.0
SECONDS = 60
LONGER_S = 120
INDEPENDENT_S = 0.005  # the mean time of a hit at load 0
NAME = SeriesName("GET", "/")
LOADS = (0.0, 0.5, 0.7, 0.8)
COMPARED_LOADS = (*LOADS, 0.85)
CHANGES = (1.0, 1.3)
AT_MOST_S = 1_800  # of a load that ends once it is precise
PRECISE = (
    (0.0, "p50", "±1%"),
    (0.0, "p95", "±2%"),
    (0.5, "p50", "±2%"),
    (0.5, "p95", "±5%"),
    (0.7, "p50", "±5%"),
    (0.7, "p95", "±5%"),
    (0.7, "p95", "±10%"),
)
Floats = npt.NDArray[np.float64]


def lindley(arrivals_s: Floats, service_s: Floats) -> Floats:
    """How long each customer is with one server that takes them in order: W' = max(0, W + S - A), and its own service."""
    steps = np.concatenate(([0.0], np.cumsum(service_s[:-1] - np.diff(arrivals_s))))
    return steps - np.minimum.accumulate(np.minimum(steps, 0.0)) + service_s


def hits(load: float, seconds: int, generator: np.random.Generator, slower: float | Callable[[Floats], Floats] = 1.0) -> Rows:
    """`slower`: the factor of the service times; a function of the share of the load's time that is over may give it."""
    count = generator.poisson(RATE_PER_S * seconds)
    arrivals_s = np.sort(generator.uniform(0, seconds, count))
    service_s = generator.exponential(load / RATE_PER_S if load else INDEPENDENT_S, count)
    service_s *= slower(arrivals_s / seconds) if callable(slower) else slower
    took_s = lindley(arrivals_s, service_s) if load else service_s
    rows = np.zeros(count, dtype=HIT_DTYPE)
    rows["due_ns"] = rows["start_ns"] = arrivals_s * 1e9
    rows["end_ns"] = (arrivals_s + took_s) * 1e9
    return rows


def run_of(rows: Rows, seconds: int) -> Counted:
    """As a run folder would give it."""
    times = Histogram()
    times.add(rows["end_ns"] - rows["due_ns"])
    totals = Totals({NAME: SeriesTotals(times)})
    counter = SecondCounter(totals, seconds)
    counter.add(rows, {0: NAME})
    return Counted(totals, seconds, counter.counts)


def compared(load: float, pair: int, slower: float = 1.0) -> Comparison:
    """Two runs of one queue, the second with service times `slower` times as long; the same for the same `pair`."""
    generator = np.random.default_rng((20_261_129, round(load * 100), pair))
    before, after = (run_of(hits(load, SECONDS, generator, one), SECONDS) for one in (1.0, slower))
    return compare(before, after, names=False)


def called_different(load: float, pair: int, slower: float = 1.0) -> list[str]:
    """The metrics that are worse or better."""
    changed = (ChangeKind.WORSE, ChangeKind.BETTER)
    return [change.metric for change in compared(load, pair, slower).overall.changes if change.verdict in changed]


def said_and_seen(load: float, metric: str, pairs: int, times: float = 1.0) -> tuple[float, int]:
    """The rise, a share, that unchanged pairs say they would see nine times in ten, the median of them; and how many of `pairs` in which
    it was `times` as large showed it. Infinite: not even four times as much, which is tried instead."""
    unchanged = [next(one for one in compared(load, pair).overall.changes if one.metric == metric) for pair in range(pairs)]
    said = sorted(one.detectable / one.baseline for one in unchanged if one.detectable is not None)[pairs // 2]
    rise = times * (said if math.isfinite(said) else MOST_TIMES - 1)
    slower = (1 + rise) / (1 + load * rise)  # times of such a queue are load/(1 - load) times those between arrivals
    return said, sum(metric in called_different(load, pairs + pair, slower) for pair in range(pairs))


def true_ms(load: float, q: float) -> float:
    """The time that the share `q` of all hits does not exceed; the mean has the share 1 - 1/e below it."""
    mean_s = 1 / (RATE_PER_S / load - RATE_PER_S) if load else INDEPENDENT_S
    return -math.log(1 - q) * mean_s * 1e3


def held(load: float, runs: int) -> dict[str, int]:
    """In how many runs the interval of each metric holds the true value."""
    shares = {**PERCENTILES, "mean": 1 - math.exp(-1)}
    found = dict.fromkeys(shares, 0)
    for number in range(runs):
        generator = np.random.default_rng((20_261_130, round(load * 100), number))
        intervals = precision_of(run_of(hits(load, SECONDS, generator), SECONDS)).overall.intervals
        for metric, q in shares.items():
            low, high = intervals[metric].low, intervals[metric].high
            found[metric] += low is not None and high is not None and low <= true_ms(load, q) <= high
    return found


CHANGING: dict[str, Callable[[Floats], Floats]] = {
    "nothing": lambda t: np.ones_like(t),
    "a drift of 10 %": lambda t: 1 + 0.1 * t,
    "a step of 20 % at half": lambda t: 1 + 0.2 * (t > 0.5),
    "the first 14 s, by 50 %": lambda t: 1 + 0.5 * (t < 14 / LONGER_S),
}


def not_steady(load: float, runs: int, what: str) -> tuple[int, int]:
    """In how many runs the load is called not steady, and in how many it has a warm-up."""
    found = [0, 0]
    for number in range(runs):
        generator = np.random.default_rng((20_261_131, round(load * 100), number))
        counts = run_of(hits(load, LONGER_S, generator, CHANGING[what]), LONGER_S).per_second()
        steadiness = steadiness_of(counts, paced=True) if counts else None
        assert steadiness is not None
        found[0] += not steadiness.steady
        found[1] += steadiness.warm_up_s > 0
    return found[0], found[1]


def precise(load: float, width: Width, number: int) -> tuple[int, float] | None:
    """After how many seconds a load ends because `width` is met, and how far its value then is from the true one, as a share of that;
    None: not within half an hour."""
    generator, watch = np.random.default_rng((20_261_201, round(load * 100), number)), StopWatch(StopRule((width,), 0.95), None)
    rows = hits(load, AT_MOST_S, generator)
    took_ns, seen = rows["end_ns"] - rows["due_ns"], Histogram()
    for second, took in enumerate(np.split(took_ns, np.searchsorted(rows["due_ns"], np.arange(1, AT_MOST_S) * 10**9))):
        times = Histogram()
        times.add(took)
        seen.merge(times)
        watch.add(Snapshot(second, 0.0, Totals({NAME: SeriesTotals(times)}), Health(), None))
        if watch.met:
            return second + 1, seen.quantile_ns(PERCENTILES[width.metric]) / 1e6 / true_ms(load, PERCENTILES[width.metric]) - 1
    return None


def cost_s(names: int, seconds: int) -> float:
    """The CPU time of one comparison of two runs of so many names and seconds, when their seconds are counted."""
    from dataclasses import replace

    generator = np.random.default_rng(1)
    one = run_of(hits(0.5, seconds, generator), seconds)
    (series,) = one.totals.series.values()
    every = tuple(SeriesName("GET", f"/{number}") for number in range(names))
    totals = Totals(dict.fromkeys(every, series))
    counts = one.per_second()
    assert counts is not None
    rows = [0, *[1] * names]
    arrays = {key: getattr(counts, key)[rows] for key in ("hits", "above", "sum_ns", "decisive", "failed")}
    many = Counted(totals, seconds, lambda: replace(counts, names=(counts.names[0], *every), **arrays))
    began = time.process_time()
    compare(many, many)
    return time.process_time() - began


def main(pairs: int = 60, runs: int = 400) -> None:
    metrics = (*PERCENTILES, "mean")
    print(f"| load | runs | the 95 % interval holds the true {' | '.join(metrics)} |")
    print(f"|{'--:|' * (len(metrics) + 2)}")
    for load in LOADS:
        print(f"| {load:.0%} | {runs} | {' | '.join(f'{count / runs:.1%}' for count in held(load, runs).values())} |", flush=True)
    print(f"\n| load | what changes in {LONGER_S} s | runs | called not steady | called warm-up |\n|--:|:--|--:|--:|--:|")
    for what in CHANGING:
        for load in LOADS[:3]:  # at 80 % load service times that are 50 % longer have no steady state
            unsteady, warm = not_steady(load, runs // 2, what)
            print(f"| {load:.0%} | {what} | {runs // 2} | {unsteady / (runs // 2):.1%} | {warm / (runs // 2):.1%} |", flush=True)
    print()
    print(f"| load | service times | pairs | called different | {' | '.join(METRICS)} |")
    print(f"|{'--:|' * (len(METRICS) + 4)}")
    for slower in CHANGES:
        for load in COMPARED_LOADS:
            found = [called_different(load, pair, slower) for pair in range(pairs)]
            each = [str(sum(metric in one for one in found)) for metric in METRICS]
            what = "the same" if slower == 1 else f"× {slower:g}"
            print(f"| {load:.0%} | {what} | {pairs} | {sum(map(bool, found))} | {' | '.join(each)} |", flush=True)
    print("\n| load | metric | a rise that is said to be seen nine times in ten | seen, of 15 % less | of it | of 15 % more |")
    print(f"|--:|:--|{'--:|' * 4}")
    for load in LOADS:
        for metric in ("p50", "p95", "mean"):
            found = [said_and_seen(load, metric, pairs, times) for times in (1 / 1.15, 1.0, 1.15)]
            said = f"{found[0][0]:.0%}" if math.isfinite(found[0][0]) else f"none up to {MOST_TIMES:g} times"
            print(f"| {load:.0%} | {metric} | {said} | {' | '.join(f'{seen / pairs:.0%}' for _, seen in found)} |", flush=True)
    print("\n| load | asked | loads | ended by it | after, median | within what was asked |\n|--:|:--|--:|--:|--:|--:|")
    for load, metric, text in PRECISE:
        width = parse_width(metric, text)
        ended = [one for one in (precise(load, width, number) for number in range(runs // 2)) if one is not None]
        within = sum(abs(off) <= width.around(1.0) for _, off in ended)
        after_s = sorted(seconds for seconds, _ in ended)[len(ended) // 2]
        cells = [f"{load:.0%}", f"{metric} {text}", str(runs // 2), str(len(ended)), f"{after_s} s", f"{within / len(ended):.1%}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nAn hour of 50 names is compared in {cost_s(50, 3_600):.2f} s of one core, once its seconds are counted.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
