"""The course of a run in a bounded number of bins, whatever its length: seconds are merged, percentiles never averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.side_by_side import health_of, tests_of
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.totals import Totals

__all__ = ["MAX_BINS", "Bin", "Timeline", "timeline_of"]

MAX_BINS = 240  # about as many points as a chart of a page's width can show


@dataclass(slots=True)
class Bin:
    """What ended within `width_s` seconds. `users` and `in_flight` are the most seen in it, None where no second said so."""

    succeeded: Histogram = field(default_factory=Histogram)
    failed: Histogram = field(default_factory=Histogram)
    users: int | None = None
    in_flight: int | None = None
    passes: Passes = field(default_factory=Passes)

    @property
    def hits(self) -> int:
        return self.succeeded.count + self.failed.count

    def response(self) -> Histogram:
        """Successes and failures together, as everywhere in the summary; to be read only."""
        return Histogram.merged((self.succeeded, self.failed)) if self.failed.count else self.succeeded

    def merge(self, other: Bin) -> None:
        self.succeeded.merge(other.succeeded)
        self.failed.merge(other.failed)
        self.passes.merge(other.passes)
        self.users = max((known for known in (self.users, other.users) if known is not None), default=None)
        self.in_flight = max((known for known in (self.in_flight, other.in_flight) if known is not None), default=None)


class Timeline:
    """Bins of equal width; the width doubles whenever there would be more than MAX_BINS, so one pass and little memory do.

    Seconds may come in any order and more than once (several processes); each adds to its bin. `marks` are where one of
    several runs, or several side by side, begin: (seconds, label); `begins_s` has that of every run.

    >>> timeline = Timeline()
    >>> for second in range(1000):
    ...     timeline.add(SecondRow(second, Histogram(), Histogram(), Health()))
    >>> timeline.width_s, len(timeline.bins()), timeline.end_s
    (8, 125, 1000)
    """

    def __init__(self) -> None:
        self.width_s = 1
        self.end_s = 0  # the end of the last second that was added
        self.marks: list[tuple[int, str]] = []
        self.begins_s: list[int] = []
        self._bins: dict[int, Bin] = {}

    def add(self, row: SecondRow, *, offset_s: int = 0, users: bool = True) -> None:
        """Add one second; `users` False where the row's health says nothing."""
        second = row.second + offset_s
        self.end_s = max(self.end_s, second + 1)
        while second // self.width_s >= MAX_BINS:
            self._double()
        one = Bin(row.succeeded, row.failed, passes=row.passes)
        if users:
            one.users, one.in_flight = row.health.users, row.health.in_flight
        self._bins.setdefault(second // self.width_s, Bin()).merge(one)

    def bins(self) -> list[Bin]:
        """All bins from the start on; those in which nothing was recorded are empty. The last may be covered only in part."""
        return [self._bins.get(index, Bin()) for index in range(max(self._bins, default=-1) + 1)]

    def starts_s(self) -> list[int]:
        return [index * self.width_s for index in range(max(self._bins, default=-1) + 1)]

    def ends_s(self) -> list[int]:
        return [min(start + self.width_s, self.end_s) for start in self.starts_s()]

    @property
    def hits(self) -> int:
        return sum(one.hits for one in self._bins.values())

    def total(self) -> Bin:
        total = Bin()
        for one in self._bins.values():
            total.merge(one)
        return total

    def _double(self) -> None:
        halves, self._bins = self._bins, {}
        self.width_s *= 2
        for index, half in halves.items():
            whole = self._bins.get(index // 2)
            if whole is None:
                self._bins[index // 2] = half
            else:
                whole.merge(half)


def timeline_of(runs: Sequence[Run]) -> Timeline:
    """The tests one after another in the order of their start, those of a test side by side; the pauses between them are left out."""
    timeline = Timeline()
    labels: dict[int, list[str]] = {}
    for together in tests_of(sorted(runs, key=lambda run: run.facts.started_unix_s)):
        offset_s = timeline.end_s
        for run in together:
            timeline = _with_run(timeline, run, offset_s, users=len(together) == 1)
            timeline.begins_s.append(offset_s)
            labels.setdefault(offset_s, []).append(run.facts.label or run.facts.id)
        for second, health in enumerate(health_of(together, Run.health)) if len(together) > 1 else ():
            timeline.add(SecondRow(second, Histogram(), Histogram(), health, Passes()), offset_s=offset_s)
    if len(runs) > 1:
        timeline.marks = [(offset_s, ", ".join(own)) for offset_s, own in labels.items()]
    return timeline


def _with_run(timeline: Timeline, run: Run, offset_s: int, *, users: bool) -> Timeline:
    """`timeline` and from second `offset_s` on the run: from its stored seconds if these hold every hit, else from its hit log.

    A run that was cut off stored no second for its last hits; they are in the log.
    """
    stored, logged = deepcopy(timeline), timeline
    for row in run.seconds():
        stored.add(row, offset_s=offset_s, users=users)
    if stored.hits - timeline.hits == run.totals().hits:
        return stored
    for row in run.seconds():
        logged.add(SecondRow(row.second, Histogram(), Histogram(), row.health, row.passes), offset_s=offset_s, users=users)
    for second, totals in _logged_seconds(run):
        overall = totals.overall()
        logged.add(SecondRow(second, overall.succeeded, overall.failed, Health()), offset_s=offset_s, users=False)
    return logged if logged.hits > stored.hits else stored  # the log may have been removed to save space


def _logged_seconds(run: Run) -> Iterator[tuple[int, Totals]]:
    names = run.names()
    for _, rows in run.iter_hits():
        yield from fold_rows(rows, names).items()
