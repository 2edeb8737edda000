"""The knee of a load whose rate rises in steps: the last step that held every limit, each step judged by the hits that were due in it.

A percentile over the load so far would carry the slow hits of one step into all that follow it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import percent_text
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.pace import Segment
from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.judge import EndReason
from loadflow.engine.records.outcome import HitFlag
from loadflow.engine.records.threshold import Threshold, ThresholdState, decide
from loadflow.engine.records.totals import Totals

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["Knee", "KneeStep", "knee_of", "steps_of"]

ROUNDED_S = 0.001


@dataclass(frozen=True, slots=True)
class KneeStep:
    """A step of the rate, numbered from 1. `achieved_per_s`: passes that were started; `p99_ms` and `failure_rate` of its own hits."""

    step: int
    from_s: float
    to_s: float
    asked_per_s: float
    achieved_per_s: float
    p99_ms: float
    failure_rate: float


@dataclass(frozen=True, slots=True)
class Knee:
    """`held`: the last of `steps` steps before the first that broke a limit; None: the first one did. `broke`: which limit, and how; ""
    where all steps held."""

    steps: int
    held: KneeStep | None
    broke: str

    def to_json(self) -> JsonObject:
        return {"steps": self.steps, "held": asdict(self.held) if self.held else None, "broke": self.broke}

    @property
    def text(self) -> str:
        """One line."""
        if self.held is None:
            return f"knee: none, step 1 of {self.steps} broke a limit: {self.broke}"
        one = self.held
        words = (
            f"knee: step {one.step} of {self.steps}, {one.asked_per_s:,g}/s asked and {one.achieved_per_s:,.1f}/s achieved, "
            f"p99 {one.p99_ms:,.4g} ms, {percent_text(one.failure_rate)} failed"
        )
        return f"{words}; step {one.step + 1} broke a limit: {self.broke}" if self.broke else f"{words}; no step broke a limit"


def steps_of(segments: Sequence[Segment]) -> list[tuple[float, float, float]]:
    """(from, to, rate) of each step of a rate that rises in two steps or more, and does nothing else; [] of any other.

    >>> steps_of([Segment(10, 20, 20), Segment(10, 40, 40)])
    [(0.0, 10.0, 20), (10.0, 20.0, 40)]
    """
    rises = all(before.to_per_s < after.from_per_s for before, after in itertools.pairwise(segments))
    if len(segments) < 2 or not rises or any(one.from_per_s != one.to_per_s for one in segments):
        return []
    ends = list(itertools.accumulate((one.duration_s for one in segments), initial=0.0))
    return [(begin, end, one.to_per_s) for begin, end, one in zip(ends, ends[1:], segments, strict=False)]


def knee_of(run: Run) -> Knee | None:
    """None where the rate does not rise in steps, was changed or cut off, or no threshold asks anything of all of the load."""
    if run.end().reason is EndReason.UNKNOWN:
        return None
    if run not in _known:
        _known[run] = _found(run)
    return _known[run]


# every hit has to be looked at, and summary, report and table each ask
_known: WeakKeyDictionary[Run, Knee | None] = WeakKeyDictionary()


def _found(run: Run) -> Knee | None:
    pace = run.pace
    asked = [one for one in run.thresholds if one.window is None and not one.steady]
    bounds = steps_of(pace.segments) if pace is not None and not pace.from_s and not pace.changes else []
    if pace is None or not bounds or not asked:
        return None
    due_by = pace.count()
    dues = [due_by(to_s * 1e9) for _, to_s, _ in bounds]
    held: KneeStep | None = None
    before = 0
    for (number, (from_s, to_s, rate)), due, (totals, started) in zip(enumerate(bounds, 1), dues, _counts(run, bounds), strict=True):
        if broke := _broken(run, asked, totals, from_s, to_s) or _lacking(run, started, due - before):
            return Knee(len(bounds), held, broke)
        overall = totals.overall()
        p99_ms = overall.response().quantile_ns(0.99) / 1e6
        held = KneeStep(number, from_s, to_s, rate, started / (to_s - from_s), p99_ms, overall.failure_rate)
        before = due
    return Knee(len(bounds), held, "")


def _lacking(run: Run, started: int, due: int) -> str:
    return f"{started:,} of {counted(due, 'pass was', 'passes were')} started" if started < due * (1 - run.rate_tolerance) else ""


def _broken(run: Run, asked: Sequence[Threshold], totals: Totals, from_s: float, to_s: float) -> str:
    """The first limit that a step did not hold, in words; what has too few samples to say did not hold either."""
    if run.load_s < to_s - ROUNDED_S:
        return f"the load ended {run.load_s:,.1f} s after its begin, before the step was over"
    overall = totals.overall()
    if overall.final_failures > run.max_failure_rate * overall.final_hits:
        allowed = percent_text(run.max_failure_rate)
        return f"{overall.final_failures:,} of {counted(overall.final_hits, 'hit')} failed, and max_failure_rate permits {allowed}"
    for threshold in asked:
        result = decide(replace(threshold, sure=None), totals, to_s - from_s)
        if result.state is not ThresholdState.PASSED:
            return result.text
    return ""


def _counts(run: Run, bounds: Sequence[tuple[float, float, float]]) -> list[tuple[Totals, int]]:
    """Of each step: the hits that were due in it, and how many passes began with one of them."""
    totals = [Totals() for _ in bounds]
    started = [0] * len(bounds)
    names = run.names()
    for _, rows in run.iter_hits():
        for at, (from_s, to_s, _) in enumerate(bounds):
            own = rows[(rows["due_ns"] > from_s * 1e9) & (rows["due_ns"] <= to_s * 1e9)]
            began = own["flags"] & (HitFlag.FIRST | HitFlag.SETUP) == HitFlag.FIRST
            started[at] += int(began.sum())
            for second in fold_rows(own, names, paced=True).values():
                totals[at].merge(second)
    return list(zip(totals, started, strict=True))
