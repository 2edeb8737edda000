"""Which step is next, by weight: one sequence for all users, in which every count stays within 1 of its exact share.

The chairman assignment of Tijdeman (Discrete Mathematics 32, 1980): after n picks, each of k steps was picked n·w/W times,
off by at most 1 - 1/(2k - 2). Ties are broken at random, so that users which take turns don't fall into a fixed pattern.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from random import Random

__all__ = ["weighted_order"]


def weighted_order(weights: Sequence[int], rng: Random) -> Iterator[int]:
    """Endless positions into `weights`; a weight of 0 is never picked.

    Raises ValueError when no weight is above 0.

    >>> order = weighted_order([3, 1], Random(1))
    >>> sorted(next(order) for _ in range(8))
    [0, 0, 0, 0, 0, 0, 1, 1]
    """
    chosen = [position for position, weight in enumerate(weights) if weight > 0]
    if not chosen:
        raise ValueError("at least one weight must be above 0")
    if len(chosen) == 1:
        while True:
            yield chosen[0]
    yield from _assign([(position, weights[position]) for position in chosen], sum(weights), rng)


def _assign(shares: Sequence[tuple[int, int]], total: int, rng: Random) -> Iterator[int]:
    """Of the picks that are open at n, take the one that is due first.

    With slack d = 1/(2k - 2), pick number p of a step of share x opens at the first n with x·n - p >= d and is due by the
    last n with x·n <= p + 1 - d. Both borders are computed in whole numbers.
    """
    parts = 2 * len(shares) - 2  # d = 1/parts
    waiting: list[tuple[int, int, int]] = []  # (opens at n, index of the step, number of the pick)
    ready: list[tuple[int, float, int, int]] = []  # (due by n, a random number, index, number)
    for index, (_, weight) in enumerate(shares):
        heapq.heappush(waiting, (_ceil_div(total, parts * weight), index, 0))
    n = 0
    while True:
        n += 1
        while waiting and waiting[0][0] <= n:
            _, index, pick = heapq.heappop(waiting)
            due = ((pick + 1) * parts - 1) * total // (parts * shares[index][1])
            heapq.heappush(ready, (due, rng.random(), index, pick))
        _, _, index, pick = heapq.heappop(ready)
        pick += 1
        heapq.heappush(waiting, (_ceil_div((pick * parts + 1) * total, parts * shares[index][1]), index, pick))
        yield shares[index][0]


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
