"""A threshold, held against a run on disk: over all of it, in a window, or in the steady phase."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from loadflow.engine.records.kept_seconds import seconds_of_threshold
from loadflow.engine.records.sure import decide_surely
from loadflow.engine.records.threshold import Threshold, ThresholdResult, decide, undecided
from loadflow.engine.records.trust import steady_from_s
from loadflow.engine.records.watched import target_results

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["decided", "results_of"]

NOT_STEADY = "no steady phase is known: the load is too short, has gaps, or changes by its plan"


def results_of(run: Run) -> tuple[ThresholdResult, ...]:
    """Each of the run's thresholds: those on its own numbers, then those on the target's."""
    return (*(decided(run, threshold) for threshold in run.thresholds), *target_results(run))


def decided(run: Run, threshold: Threshold) -> ThresholdResult:
    """One with a window has its hits counted anew."""
    if threshold.steady:
        from_s = steady_from_s(run, run.health())
        if from_s is None:
            return undecided(threshold, NOT_STEADY)
        threshold = replace(threshold, window=(from_s, math.inf))
    from_s, to_s = threshold.window or (0.0, math.inf)
    # hits of the drain belong to a window that reaches to the load's end; they take none of its time
    totals = run.fold(from_s, math.inf if to_s >= run.load_s else to_s) if threshold.window else run.totals()
    duration_s = max(0.0, min(to_s, run.load_s) - from_s)
    if threshold.sure is None:
        return decide(threshold, totals, duration_s)
    return decide_surely(threshold, totals, duration_s, partial(seconds_of_threshold, run, threshold, from_s, duration_s))
