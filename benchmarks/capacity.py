"""Searches for a capacity that is known in closed form, and forecasts of one that falls: `python -m benchmarks.capacity [SEARCHES]`.

Queues that serve 200 requests per second, simulated: M/M/1, M/M/8, M/D/8, and M/H2/1 with a squared coefficient of variation of 4; each
as it is, and with service times that waver by 2 % from probe to probe. The truth is the rate at which P(T > limit) is 1 %. For M/M/c:
P(T > t) = (1-C) e^(-μt) + C (μ e^(-θt) - θ e^(-μt)) / (μ-θ), θ = cμ - λ, C by Erlang. For M/D/c: Franx, Operations Research Letters 29,
2001. For M/H2/1: the Pollaczek-Khinchine transform, which is that of a mixture of exponentials. Needs no network and no other core.
"""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.trust import lindley
from loadflow.engine.history.capacity import Found, Limit, Probe, Search, Wanted, next_probe
from loadflow.engine.history.forecast import DAY_S, Measured, forecast_of
from loadflow.engine.load.capacity import grows, share_over

__all__ = ["QUEUES", "Queue", "capacity_of", "main", "searched"]

Floats = npt.NDArray[np.float64]
ALLOWED = 0.01  # of the hits over the limit: a p99
SERVED_PER_S = 200.0
SERVERS = 8
H2_VARIATION = 4.0  # squared coefficient of variation of the service times
SHARES = 0.5 * (1 + math.sqrt((H2_VARIATION - 1) / (H2_VARIATION + 1)))  # of the first kind of requests, with balanced means
NOISE = 0.02
SEED = 20_261_130


@dataclass(frozen=True, slots=True)
class Queue:
    """`over(rate_per_s)`: the true share of requests over the limit. `took`: how long each request takes, by arrivals and `slower`."""

    name: str
    limit_s: float
    over: Callable[[float, float], float]
    took: Callable[[Floats, float, np.random.Generator], Floats]

    @property
    def limit(self) -> Limit:
        return Limit(f"p99 < {self.limit_s * 1e3:g} ms", ALLOWED)


def erlang_c(servers: int, load: float) -> float:
    """The probability of waiting in M/M/c; `load` in servers."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def over_mmc(servers: int, rate_per_s: float, t: float) -> float:
    mu = SERVED_PER_S / servers
    waits, theta = erlang_c(servers, rate_per_s / mu), servers * mu - rate_per_s
    if abs(mu - theta) < 1e-9 * mu:
        return math.exp(-mu * t) * (1 + waits * mu * t)
    return (1 - waits) * math.exp(-mu * t) + waits * (mu * math.exp(-theta * t) - theta * math.exp(-mu * t)) / (mu - theta)


def over_mdc(servers: int, rate_per_s: float, t: float) -> float:
    """By how many are in the queue at moments one service time apart."""
    service_s = servers / SERVED_PER_S
    x = t - service_s
    if x < 0:
        return 1.0
    most = 400
    arriving = poisson(rate_per_s * service_s, most)
    there = np.zeros(most)
    there[0] = 1.0
    for _ in range(100_000):
        left = np.concatenate((there[servers:], np.zeros(servers)))
        left[0] += there[:servers].sum()
        after = np.convolve(left, arriving)[:most]
        after /= after.sum()
        if np.abs(after - there).max() < 1e-14:
            break
        there = after
    within = np.cumsum(there)[servers:]  # at most so many wait
    k = math.floor(x / service_s) + 1
    terms = poisson(rate_per_s * (k * service_s - x), k * servers)
    return 1 - float(sum(within[k * servers - number - 1] * terms[number] for number in range(k * servers)))


def poisson(mean: float, count: int) -> Floats:
    numbers = np.arange(count)
    logs = -mean + numbers * math.log(mean) - np.array([math.lgamma(number + 1) for number in range(count)])
    found: Floats = np.exp(logs)
    return found


def h2_rates() -> tuple[float, float]:
    """Per second, of both kinds of requests: each has half of the work."""
    return 2 * SHARES * SERVED_PER_S, 2 * (1 - SHARES) * SERVED_PER_S


def over_mh2(rate_per_s: float, t: float) -> float:
    """The sojourn's transform (1-ρ) s B(s) / (s - λ + λ B(s)) has two poles: a mixture of two exponentials."""
    first, second = h2_rates()
    p, load = SHARES, rate_per_s / SERVED_PER_S
    # B(s) = (bs + ab') / ((s + a)(s + b)) over a common denominator
    rise, level = p * first + (1 - p) * second, first * second
    poles = np.roots([1.0, first + second - rate_per_s, level - rate_per_s * (first + second) + rate_per_s * rise]).real
    weights = [(1 - load) * (rise * pole + level) / (pole - other) for pole, other in (poles, poles[::-1])]
    return float(sum(weight / -pole * math.exp(pole * t) for weight, pole in zip(weights, poles, strict=True)))


def took_mmc(servers: int, arrivals_s: Floats, service_s: Floats) -> Floats:
    """By which server is free first."""
    free = [0.0] * servers
    took = np.empty(len(arrivals_s))
    for number, (arrives, service) in enumerate(zip(arrivals_s.tolist(), service_s.tolist(), strict=True)):
        done = max(arrives, free[0]) + service
        heapq.heapreplace(free, done)
        took[number] = done - arrives
    return took


def took_mm1(arrivals_s: Floats, slower: float, generator: np.random.Generator) -> Floats:
    return lindley(arrivals_s, generator.exponential(slower / SERVED_PER_S, len(arrivals_s)))


def took_mm8(arrivals_s: Floats, slower: float, generator: np.random.Generator) -> Floats:
    return took_mmc(SERVERS, arrivals_s, generator.exponential(slower * SERVERS / SERVED_PER_S, len(arrivals_s)))


def took_md8(arrivals_s: Floats, slower: float, generator: np.random.Generator) -> Floats:
    """Each of the servers takes every eighth request, as all take equally long."""
    took = np.empty(len(arrivals_s))
    for server in range(SERVERS):
        own = arrivals_s[server::SERVERS]
        if len(own):
            took[server::SERVERS] = lindley(own, np.full(len(own), slower * SERVERS / SERVED_PER_S))
    return took


def took_mh2(arrivals_s: Floats, slower: float, generator: np.random.Generator) -> Floats:
    rates = np.where(generator.uniform(size=len(arrivals_s)) < SHARES, *h2_rates())
    return lindley(arrivals_s, generator.exponential(slower, len(arrivals_s)) / rates)


QUEUES = (
    Queue("M/M/1", 0.1, lambda rate, t: over_mmc(1, rate, t), took_mm1),
    Queue("M/M/8", 0.3, lambda rate, t: over_mmc(SERVERS, rate, t), took_mm8),
    Queue("M/D/8", 0.1, lambda rate, t: over_mdc(SERVERS, rate, t), took_md8),
    Queue("M/H2/1", 0.2, over_mh2, took_mh2),
)


def capacity_of(queue: Queue) -> float:
    """The rate at which the share over the limit is what is allowed, by bisection."""
    low, high = 1.0, SERVED_PER_S * 0.9999
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if queue.over(middle, queue.limit_s) < ALLOWED else (low, middle)
    return low


def probe(queue: Queue, wanted: Wanted, generator: np.random.Generator, noise: float = 0.0) -> Probe:
    """A load of the queue, from its being empty, and what LD_find_capacity would say of it."""
    seconds = int(wanted.seconds)
    arrivals_s = np.sort(generator.uniform(0, seconds, generator.poisson(wanted.rate_per_s * seconds)))
    took_s = queue.took(arrivals_s, math.exp(generator.normal(0, noise)) if noise else 1.0, generator)
    ended_s = arrivals_s + took_s
    there = [float(np.sum(arrivals_s <= moment) - np.sum(ended_s <= moment)) for moment in range(1, seconds + 1)]
    ended = np.minimum(ended_s.astype(int), seconds - 1)
    hits = np.bincount(ended, minlength=seconds).astype(float)
    over = np.bincount(ended[took_s > queue.limit_s], minlength=seconds).astype(float)
    told = {queue.limit.text: share_over(hits, over)}
    return Probe(wanted.step, wanted.rate_per_s, seconds, told, sustained=not grows(there))


def searched(queue: Queue, seed: int, noise: float = 0.0) -> tuple[Found, list[Probe]]:
    """The same for the same `seed`."""
    generator, probes, search = np.random.default_rng((SEED, seed)), list[Probe](), Search((queue.limit,), 50, 2_000, 0.05, 1_800)
    while isinstance(wanted := next_probe(probes, search), Wanted):
        probes.append(probe(queue, wanted, generator, noise))
    return wanted, probes


def forecasts(nights: int, odd: float, runs: int) -> tuple[int, int]:
    """How often the 80 % interval holds a capacity that falls by 0.5 % a day, and the interval of days the one on which it meets a peak."""
    held = met = 0
    slope, ahead = -0.005, round(0.6 * nights)
    for number in range(runs):
        generator = np.random.default_rng((SEED, nights, number))
        days = np.arange(nights)
        logs = math.log(SERVED_PER_S) + slope * days + generator.normal(0, NOISE, nights)
        logs += (generator.uniform(size=nights) < odd) * generator.normal(0, 6 * NOISE, nights)
        day = nights - 1 + ahead
        peak = SERVED_PER_S * math.exp(slope * day)
        found = forecast_of([Measured(one * DAY_S, math.exp(log)) for one, log in zip(days, logs, strict=True)], peak)
        assert found is not None
        low, _, high = found.at(day * DAY_S)
        held += low <= peak <= high
        earliest, latest = found.earliest_unix_s, found.latest_unix_s
        met += earliest is not None and earliest <= (day + 1) * DAY_S and (latest is None or latest >= day * DAY_S)
    return held, met


def main(runs: int = 100) -> None:
    print("| queue | noise | capacity | searches | off by ≤ 5 % | interval holds it | found as asked | probes, mean | most | CPU |")
    print("|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for queue in QUEUES:
        truth = capacity_of(queue)
        for noise in (0.0, NOISE):
            began, near, held, found_as_asked, counts = time.process_time(), 0, 0, 0, []
            for seed in range(runs):
                found, probes = searched(queue, seed, noise)
                near += abs(found.capacity_per_s / truth - 1) <= 0.05
                held += found.low <= truth <= found.high
                found_as_asked += not found.why
                counts.append(len(probes))
            cells = [
                queue.name,
                f"{noise:.0%}",
                f"{truth:.1f}/s",
                str(runs),
                *(f"{one / runs:.0%}" for one in (near, held, found_as_asked)),
            ]
            cells += [f"{sum(counts) / runs:.1f}", str(max(counts)), f"{time.process_time() - began:.0f} s"]
            print(f"| {' | '.join(cells)} |", flush=True)
    print("\n| nights | odd nights | forecasts | 80 % interval holds the capacity | and the day |\n|--:|--:|--:|--:|--:|")
    for nights in (8, 14, 30):
        for odd in (0.0, 0.05):
            held, met = forecasts(nights, odd, 20 * runs)
            print(f"| {nights} | {odd:.0%} | {20 * runs:,} | {held / 20 / runs:.0%} | {met / 20 / runs:.0%} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
