"""Whether one run was better or worse than another: every metric with an interval for its change, never two point values alone.

The interval is a moving-block bootstrap's (records/blocks.py): each run's seconds are drawn again in blocks that are longer than one
second depends on another, and the metrics taken anew; the middle share (`confidence`) of the differences is the interval. Hits
are not drawn: behind a queue one slow answer delays the next, and hits taken as independent call an unchanged target changed.
A percentile q goes the way round its share: when a drawn sample has the share d more above it, the sample's own percentile is the one
at q + d of the run (Woodruff, Journal of the American Statistical Association 47, 1952). A failure rate is drawn from a Beta
distribution, of as many hits as would waver so much if they were independent.

worse: the whole interval lies on the bad side of zero, and the change is beyond the margin; better: on the good side. Of many
comparisons some intervals miss zero by chance, so each must be so far off that any of them would be in 1 - `confidence` of all pairs of
unchanged runs only (Bonferroni's correction, on the spread of the draws).
same: the whole interval lies within the margin. unclear: everything else, and always where there are too few hits or seconds.
margin: the larger one of the absolute limit and the relative limit's share of the better one of the two values.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.records.detecting import detectable
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.sample import METRICS, Counted, Floats, Sample, too_few
from loadflow.engine.records.seconds import ALL

__all__ = ["Change", "ChangeKind", "Comparison", "Limits", "NameChanges", "chance_of_any", "compare"]

SEED = 20_261_121  # fixed, so that the same two runs always give the same answer


class ChangeKind(StrEnum):
    BETTER = "better"
    SAME = "same"
    UNCLEAR = "unclear"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Limits:
    """`relative` and `absolute_failure_rate` are shares of 1; a change must be beyond both limits to count.

    A rate has the relative limit alone.
    """

    relative: float = 0.1
    absolute_ms: float = 1.0
    absolute_failure_rate: float = 0.001
    confidence: float = 0.95
    resamples: int = 1_000

    def margin(self, metric: str, best: float) -> float:
        absolute = {"failure_rate": self.absolute_failure_rate, "rate": 0.0}.get(metric, self.absolute_ms)
        return max(absolute, self.relative * best)


@dataclass(frozen=True, slots=True)
class Change:
    """Milliseconds, a share of 1 (failure_rate), hits per second (rate). `relative` is None where the baseline is 0.

    `low`, `high` and `detectable` are None where nothing is known of how much the runs waver by themselves: `why` says why not.
    `detectable`: a rise as large as that (of the rate: a fall) would be called worse nine times in ten, by two runs that waver as the
    baseline does, and more where they are slower; infinite where none up to four times the baseline would.
    """

    metric: str
    baseline: float
    current: float
    absolute: float
    relative: float | None
    low: float | None
    high: float | None
    verdict: ChangeKind
    why: str = ""  # why it is unclear
    detectable: float | None = None

    def to_json(self) -> JsonObject:
        seen = self.detectable if self.detectable is not None and math.isfinite(self.detectable) else None
        return {**asdict(self), "verdict": str(self.verdict), "detectable": seen}


@dataclass(frozen=True, slots=True)
class NameChanges:
    """One name, or all hits together (both texts empty)."""

    method: str
    name: str
    baseline_hits: int
    current_hits: int
    changes: tuple[Change, ...]

    def to_json(self) -> JsonObject:
        return {**asdict(self), "changes": [change.to_json() for change in self.changes]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """All hits, each name that both runs have, and the names that only one has."""

    limits: Limits
    overall: NameChanges
    names: tuple[NameChanges, ...]
    only_baseline: tuple[SeriesName, ...]
    only_current: tuple[SeriesName, ...]

    @property
    def verdict(self) -> ChangeKind:
        """Worse where anything is, be it one name. A name with few hits is often unclear: that decides nothing, all hits do."""
        everything = [change.verdict for one in (self.overall, *self.names) for change in one.changes]
        if ChangeKind.WORSE in everything:
            return ChangeKind.WORSE
        if not self.overall.changes or any(change.verdict is ChangeKind.UNCLEAR for change in self.overall.changes):
            return ChangeKind.UNCLEAR
        return ChangeKind.BETTER if ChangeKind.BETTER in everything else ChangeKind.SAME

    def marked(self, kind: ChangeKind) -> list[tuple[NameChanges, Change]]:
        return [(one, change) for one in (self.overall, *self.names) for change in one.changes if change.verdict is kind]

    def to_json(self) -> JsonObject:
        return {
            "verdict": str(self.verdict),
            "limits": asdict(self.limits),
            "overall": self.overall.to_json(),
            "names": [one.to_json() for one in self.names],
            "only_in_baseline": [asdict(name) for name in self.only_baseline],
            "only_in_current": [asdict(name) for name in self.only_current],
        }


def compare(baseline: Counted, current: Counted, limits: Limits | None = None, *, names: bool = True) -> Comparison:
    """Every metric of `current` against `baseline`, over all hits and, unless `names` is False, per name.

    The cost depends on the number of names and seconds, not on the number of hits.
    """
    limits = limits or Limits()
    ours, theirs = baseline.totals.series, current.totals.series
    both = [name for name in ours if name in theirs] if names else []
    # a run's draws must not depend on which side it stands: swapping the runs turns every interval around, exactly
    keys = [_key(one) for one in (baseline, current)]
    before, after = (
        Sample(one, both, np.random.default_rng((SEED, number)), confidence=limits.confidence, draws=limits.resamples)
        for one, number in ((baseline, int(keys[1] < keys[0])), (current, int(keys[1] >= keys[0])))
    )
    off = chance_of_any(limits.confidence, len(both))
    return Comparison(
        limits,
        _changes(ALL, before, after, limits, off),
        tuple(_changes(name, before, after, limits, off) for name in both),
        tuple(name for name in ours if name not in theirs),
        tuple(name for name in theirs if name not in ours),
    )


def chance_of_any(confidence: float, names: int) -> float:
    """How many standard errors off a change must be, so that of all metrics of all hits and so many names any is in 1 - `confidence` of all
    pairs of unchanged runs only."""
    groups = names + 1 if names > 1 else 1  # all hits and the one name that there is are one and the same
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2 / (len(METRICS) * groups))


def _key(run: Counted) -> tuple[object, ...]:
    """Something to order runs by; equal ones have no order."""
    times = run.totals.overall().response()
    buckets, counts = times.buckets()
    return (times.count, times.sum_ns, times.max_ns, run.totals.failures, run.duration_s, counts.tobytes(), buckets.tobytes())


def _changes(name: SeriesName, before: Sample, after: Sample, limits: Limits, off: float) -> NameChanges:
    ours, theirs = before.series[name], after.series[name]
    changes: tuple[Change, ...] = ()
    if ours.hits and theirs.hits:
        changes = tuple(_change(name, metric, before, after, limits, off) for metric in METRICS)
    return NameChanges(name.method, name.name, ours.all_hits, theirs.all_hits, changes)


def _change(name: SeriesName, metric: str, before: Sample, after: Sample, limits: Limits, off: float) -> Change:
    """`off`: how many times the spread of the draws a change must be to be none of chance."""
    ours, theirs = before.series[name], after.series[name]
    old, new = ours.value(metric), theirs.value(metric)
    relative = (new - old) / old if old else None
    why = next(filter(None, (too_few(metric, min(ours.hits, theirs.hits)), before.why_not(name), after.why_not(name))), "")
    low = high = seen = None
    verdict = ChangeKind.UNCLEAR
    if not (before.why_not(name) or after.why_not(name)):
        was = before.drawn(name, metric, after)
        drawn = after.drawn(name, metric, before) - was
        tail = (1 - limits.confidence) / 2
        low, high = _between(drawn, tail), _between(drawn, 1 - tail)
        if not why:
            by_chance = off * float(drawn.std())
            margin = limits.margin(metric, max(old, new) if metric == "rate" else min(old, new))
            clustered = before.clustered(name, metric)
            seen = detectable(old, float(was.std()), off=off, margin=limits.margin(metric, old), clustered=clustered)
            verdict, why = _judged(metric, new - old, low, high, margin, by_chance=abs(float(drawn.mean())) < by_chance)
    return Change(metric, old, new, new - old, relative, low, high, verdict, why, seen)


def _between(values: Floats, share: float) -> float:
    """The value below which `share` of the values are, between its two neighbours: what numpy's quantile gives, which takes ten times as
    long for a thousand values.

    >>> _between(np.array([3.0, 1.0, 2.0]), 0.25)
    1.5
    """
    place = share * (len(values) - 1)
    beside = (math.floor(place), math.ceil(place))
    first, second = np.partition(values, beside)[list(beside)]
    return float(first + (place - beside[0]) * (second - first))


def _judged(metric: str, change: float, low: float, high: float, margin: float, *, by_chance: bool) -> tuple[ChangeKind, str]:
    if abs(change) > margin and (low > 0 or high < 0) and (low > 0) == (change > 0):
        if by_chance:
            return ChangeKind.UNCLEAR, "in this many comparisons one may differ this much by chance"
        return (ChangeKind.BETTER if (change > 0) == (metric == "rate") else ChangeKind.WORSE), ""
    if -margin <= low and high <= margin:
        return ChangeKind.SAME, ""
    if abs(change) > margin:
        return ChangeKind.UNCLEAR, "the interval reaches over zero"
    return ChangeKind.UNCLEAR, "the interval reaches beyond the limits"
