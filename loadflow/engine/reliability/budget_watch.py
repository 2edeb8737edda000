"""Holds a failure budget against the hits of one load, of all its engine processes, while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from loadflow.engine.base.counted import counted
from loadflow.engine.records.attempts import OpenAttempts
from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.reliability.budget import FailureBudget

__all__ = ["FLUSH_S", "BudgetWatch"]

FLUSH_S = 0.2  # how often the engines give rows away while a budget is installed: it must stop a load within a second
BIN_NS = 10_000_000  # hits that ended in the same hundredth of a second are counted together


class BudgetWatch:
    """Counts hits in the order they ended, whichever process reported them first, and says when the budget is breached.

    A moment is counted once every process has reported all its hits up to it; else one process's failures would be judged
    without the successes of another. Attempts that a retry replaced do not count, as in the verdict; those whose retry never came do,
    once their process is done. A new watch makes its budget whole again.
    """

    def __init__(self, budget: FailureBudget, shards: Sequence[int]) -> None:
        self._budget = budget
        self._until_ns: dict[int, float] = dict.fromkeys(shards, 0)
        self._pending: dict[int, list[int]] = {}
        self._attempts = {shard: OpenAttempts() for shard in shards}
        self._origin_s = 0.0
        self.breach = ""
        budget.reset()

    def open(self, shard: int) -> None:
        """One more process goes on with what a lost one has left."""
        self._until_ns[shard] = 0
        self._attempts[shard] = OpenAttempts()

    def start(self, origin_ns: int) -> None:
        """The load starts now, at `origin_ns` on the monotonic clock."""
        self._origin_s = origin_ns / 1e9

    def rows(self, shard: int, rows: Rows) -> None:
        """Take rows; they count from the next `until` on."""
        self._attempts[shard].take(rows)
        self._count(rows)

    def _count(self, rows: Rows) -> None:
        rows = rows[(rows["flags"] & (HitFlag.SUPERSEDED | HitFlag.SETUP)) == 0]
        bins = rows["end_ns"] // BIN_NS
        for failed in (False, True):
            found, counts = np.unique(bins[(rows["outcome"] != Outcome.OK) == failed], return_counts=True)
            for one, count in zip(found.tolist(), counts.tolist(), strict=True):
                pending = self._pending.setdefault(one, [0, 0])
                pending[0] += count
                pending[1] += count if failed else 0

    def until(self, shard: int, until_ns: float) -> None:
        """The process has reported all hits that ended before `until_ns` (inf: of all there will be)."""
        if until_ns == math.inf:
            self._count(self._attempts[shard].rows())
            self._attempts[shard] = OpenAttempts()
        self._until_ns[shard] = max(self._until_ns[shard], until_ns)
        complete = min(self._until_ns.values())
        for one in sorted(one for one in self._pending if (one + 1) * BIN_NS <= complete):
            samples, failures = self._pending.pop(one)
            end_s = (one + 1) * BIN_NS / 1e9
            self._budget.add(samples, failures, self._origin_s + end_s)
            if not self._budget.tripped and self._budget.is_breached(self._origin_s + end_s):
                self.breach = _words(self._budget, *self._budget.counts(self._origin_s + end_s), end_s)
                self._budget.trip()

    def tripped(self) -> str:
        """Why the load must end now; "" while it may go on."""
        if self._budget.tripped and not self.breach:
            self.breach = "the failure budget was tripped by hand"
        return self.breach


def _words(budget: FailureBudget, samples: int, failures: int, at_s: float) -> str:
    window = f"the last {budget.window_seconds:g} s" if at_s > budget.window_seconds else f"its first {at_s:.1f} s"
    rate = math.floor(failures / samples * 1e4) / 1e2
    return (
        f"the failure budget was used up {at_s:.1f} s after the start: {failures:,} of {counted(samples, 'hit')} in {window} failed "
        f"({rate:g}%); the budget allows {budget.threshold * 100:g}% in {budget.window_seconds:g} s"
    )
