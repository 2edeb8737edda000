"""Holds thresholds that end a load early against its seconds, while it runs."""

from __future__ import annotations

from collections.abc import Sequence

from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.threshold import Threshold, ThresholdState, decide
from loadflow.engine.records.totals import Totals

__all__ = ["ThresholdWatch"]


class ThresholdWatch:
    """Given every snapshot, says when a threshold with `abort_on_fail` has failed, after its delay; `breach` is then a sentence."""

    def __init__(self, thresholds: Sequence[Threshold]) -> None:
        self._watched = [(one, Totals()) for one in thresholds if one.abort_on_fail]
        self.breach = ""

    def add(self, snapshot: Snapshot) -> None:
        for threshold, totals in self._watched:
            from_s, to_s = threshold.window or (0.0, float("inf"))
            if not from_s <= snapshot.second < to_s:
                continue
            totals.merge(snapshot.delta)
            ended_s = float(snapshot.second + 1)  # a load that has ended is in its drain, which is none of its time
            ran_s = min(ended_s, ended_s if snapshot.planned_s is None else snapshot.planned_s) - from_s
            if self.breach or ran_s < threshold.abort_delay_s:
                continue
            result = decide(threshold, totals, ran_s)
            if result.state is ThresholdState.FAILED:
                self.breach = result.text
