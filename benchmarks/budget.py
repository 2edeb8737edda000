"""What a failure budget costs per hit, and that it does not depend on how many are in its window.

python -m benchmarks.budget [--write]
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.results import publish, table
from loadflow.engine.records.hitlog import HIT_DTYPE
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.reliability.budget import FailureBudget
from loadflow.engine.reliability.budget_watch import BudgetWatch

SIZES = (1_000, 10_000, 30_000)
RECORDS = 100_000
ROUNDS = 7
WINDOW_S = 30.0


class Naive:
    """Keeps every sample and counts the failures anew for each question: the reference that the cost is compared with."""

    def __init__(self) -> None:
        self._events: deque[tuple[float, bool]] = deque()

    def record(self, failed: bool, now: float) -> None:
        self._events.append((now, failed))

    def is_breached(self, now: float) -> bool:
        while self._events and self._events[0][0] <= now - WINDOW_S:
            self._events.popleft()
        return sum(failed for _, failed in self._events) > 0.05 * len(self._events)


def full(budget: Any, size: int) -> float:
    """`size` samples evenly over the window; returns the time of the last."""
    for number in range(size):
        budget.record(number % 50 == 0, now=1000.0 + WINDOW_S * number / size)
    return 1000.0 + WINDOW_S * (size - 1) / size


def cost_us(budget: Any, size: int, records: int, call: Callable[[Any, bool, float], None]) -> float:
    """Microseconds per hit with `size` samples in a moving window: the least of several rounds."""
    now = full(budget, size)
    step = WINDOW_S / size
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for number in range(records):
            now += step
            call(budget, number % 50 == 0, now)
        best = min(best, (time.perf_counter() - began) / records * 1e6)
    return best


def record(budget: Any, failed: bool, now: float) -> None:
    budget.record(failed, now)


def record_and_ask(budget: Any, failed: bool, now: float) -> None:
    budget.record(failed, now)
    budget.is_breached(now)


def in_a_load_us(size: int) -> float:
    """Per hit as a load uses it: rows of a fifth of a second at a time, judged in hundredths."""
    rows = np.zeros(size, dtype=HIT_DTYPE)
    rows["end_ns"] = np.linspace(0, WINDOW_S * 1e9, size, endpoint=False).astype(np.int64)
    rows["outcome"][::50] = Outcome.STATUS
    parts = np.array_split(rows, int(WINDOW_S * 5))
    best = float("inf")
    for _ in range(ROUNDS):
        watch = BudgetWatch(FailureBudget(1.0, WINDOW_S), [0])
        watch.start(0)
        began = time.perf_counter()
        for part in parts:
            watch.rows(0, part)
            watch.until(0, float(part["end_ns"][-1]))
        best = min(best, (time.perf_counter() - began) / size * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    rows = []
    for size in SIZES:
        budget = FailureBudget(1.0, WINDOW_S)
        rows.append(
            [
                f"{size:,}",
                f"{cost_us(budget, size, RECORDS, record):.2f}",
                f"{cost_us(budget, size, RECORDS, record_and_ask):.2f}",
                f"{in_a_load_us(size):.2f}",
                f"{cost_us(Naive(), size, 20, record_and_ask):.0f}",
            ]
        )
    header = ["samples in the window", "record, µs", "record and ask, µs", "in a load, µs a hit", "naive record and ask, µs"]
    text = table(header, rows) + (
        "\n\nThe naive window counts all of its samples for each answer. In a load, rows are counted by the parent process, so the "
        "engine pays nothing per hit: it gives its rows away five times a second instead of once."
    )
    publish("Failure budget, cost per hit", "python -m benchmarks.budget", text, write=options.write)


if __name__ == "__main__":
    main()
