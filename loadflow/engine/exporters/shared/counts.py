"""What exporters send: the counts of a script's loads so far, per load and name, folded from snapshots, bounded in size.

The thread that runs the script folds, an exporter's own thread reads; neither waits for the network while it holds the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from loadflow.engine.records.health import Health
from loadflow.engine.records.names import OTHER, SeriesName
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.precision import Interval
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["Counts", "Load", "Loads", "Names", "Series", "bounds_of", "intervals_of"]

RUN_CAP = 100  # loads of one script with a label of their own; further loads are counted as "(other)"
TARGET_CAP = 200  # characters: a script may ask many hosts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load:
    """Whose counts they are: the labels that every series has."""

    run: str
    scenario: str
    target: str
    population: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """`population` is one of them where a test has several."""
        own = {"population": self.population} if self.population else {}
        return {"run": self.run, "scenario": self.scenario, "target": self.target, **own}

    @classmethod
    def of(cls, run: Run) -> Load:
        target = run.facts.target
        target = target if len(target) <= TARGET_CAP else target[: TARGET_CAP - 1] + "…"
        return cls(run.facts.id, run.facts.script, target, run.facts.population)


@dataclass(frozen=True, slots=True)
class Series:
    load: Load
    name: SeriesName


class Names:
    """Keeps the number of different series bounded: the first `cap` have their own name, all others share one for each load."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._known: set[Series] = set()

    def of(self, load: Load, name: SeriesName) -> Series:
        series = Series(load, name)
        if series in self._known:
            return series
        if len(self._known) < self._cap:
            self._known.add(series)
            return series
        return Series(load, SeriesName("", OTHER))

    def capped(self, load: Load, totals: Totals) -> dict[Series, SeriesTotals]:
        """The totals of a second by series. Those that share a name are merged; the others are those of `totals` themselves."""
        found: dict[Series, SeriesTotals] = {}
        for name, one in totals.series.items():
            if one.hits == 0:
                continue  # only events of answers that are under way
            series = self.of(load, name)
            if series in found:
                found[series] = _merged(found[series], one)
            else:
                found[series] = one
        return found


class Loads:
    """The labels of each load; bounded, because a script may run its loads in a loop."""

    def __init__(self, cap: int = RUN_CAP) -> None:
        self._cap = cap
        self._known: dict[str, Load] = {}

    def of(self, run: Run) -> Load:
        load = self._known.get(run.facts.id)
        if load is None:
            load = Load.of(run) if len(self._known) < self._cap else Load(OTHER, OTHER, OTHER)
            if load.run != OTHER:
                self._known[run.facts.id] = load
        return load


@dataclass(frozen=True, slots=True)
class LoadState:
    """How one load is doing. `late` and `dropped` are hits and passes of the last second, the others sums since its start."""

    health: Health = field(default_factory=Health)
    late: int = 0
    dropped: int = 0
    late_total: int = 0
    passes: Passes = field(default_factory=Passes)
    intervals: Sequence[Interval] = ()  # of all hits, of a load that has ended: those that can be said


class Counts:
    """The counts of all loads since the exporter was started. `version` grows with everything that is folded."""

    def __init__(self, max_series: int) -> None:
        self.version = 0
        self._lock = threading.Lock()
        self._names = Names(max_series)
        self._loads = Loads()
        self._series: dict[Series, SeriesTotals] = {}
        self._states: dict[Load, LoadState] = {}

    def started(self, run: Run) -> None:
        with self._lock:
            self._states.setdefault(self._loads.of(run), LoadState())
            self.version += 1

    def add(self, run: Run, snapshot: Snapshot) -> None:
        late, passes = sum(one.late for one in snapshot.delta.series.values()), snapshot.delta.passes
        with self._lock:
            load = self._loads.of(run)
            for series, totals in self._names.capped(load, snapshot.delta).items():
                self._series.setdefault(series, SeriesTotals()).merge(totals)
            before = self._states.get(load, LoadState())
            so_far = replace(before.passes)
            so_far.merge(passes)
            self._states[load] = LoadState(snapshot.health, late, passes.dropped, before.late_total + late, so_far)
            self.version += 1

    def ended(self, run: Run, summary: Summary) -> None:
        """Set the gauges to 0 after the load; otherwise they would keep their last value. From now on its intervals are known."""
        intervals = tuple(intervals_of(summary))
        with self._lock:
            load = self._loads.of(run)
            state = self._states.get(load, LoadState())
            self._states[load] = replace(state, health=Health(), late=0, dropped=0, intervals=intervals)
            self.version += 1

    def read(self, of_series: Callable[[Series, SeriesTotals], T]) -> tuple[list[T], list[tuple[Load, LoadState]]]:
        """`of_series` of every series, and the state of every load, all of one moment. It must be quick and keep no totals."""
        with self._lock:
            return [of_series(series, totals) for series, totals in self._series.items()], list(self._states.items())


def intervals_of(summary: Summary) -> Iterator[Interval]:
    """Of all hits: those that can be said."""
    if summary.trust is not None:
        yield from (one for one in summary.trust.precision.overall.intervals.values() if one.low is not None)


def bounds_of(interval: Interval) -> Iterator[tuple[str, float]]:
    """The ends of the interval and the value, by their names."""
    for bound, value in (("low", interval.low), ("value", interval.value), ("high", interval.high)):
        if value is not None:
            yield bound, value


def _merged(*parts: SeriesTotals) -> SeriesTotals:
    total = SeriesTotals()
    for part in parts:
        total.merge(part)
    return total
