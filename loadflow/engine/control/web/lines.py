"""A run as lines of ndjson with LoadPilot's fields: one for each second of load, and one at the end with the verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.pace import Segment
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import OTHER
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot

__all__ = ["RunLines", "mean_rate_per_s", "phase_of"]

MOST_TASKS = 50  # of one line; the others are taken together
MOST_NAMES = 1_000  # that are counted apart
NS_PER_MS = 1e6


class RunLines:
    """Folds the seconds of one script. `second` and `end` are for the run's own thread; after `end` only `last` is left.

    Totals and response times are those of the load so far, all its hits together; `target_rps` and `current_rps` are of that second. Where
    a script has several loads, each begins from zero; the last line is over all of them.
    """

    def __init__(self, run: str = "") -> None:
        self.run = run
        self.last = b""  # the line of the end, "" until then
        self._load = ""
        self._now = _Counts()
        self._ended = _Counts()
        self._elapsed_s = 0.0  # of the loads that are over

    def second(self, run: Run, snapshot: Snapshot) -> JsonObject:
        """The line of one second."""
        if run.facts.id != self._load:
            self._turn()
            self._load = run.facts.id
        before_users = self._now.users
        self._now.add(snapshot)
        begin_s, end_s = float(snapshot.second), snapshot.second + 1.0
        segments = run.pace.segments if run.pace is not None else ()
        users = snapshot.health.users
        phase = phase_of(segments, (begin_s + end_s) / 2) if segments else _crowd(before_users, users)
        return {
            "timestamp_secs": snapshot.unix_s,
            "elapsed_secs": end_s,
            "current_rps": float(snapshot.delta.hits),
            "target_rps": mean_rate_per_s(segments, begin_s, end_s),
            **self._now.to_json(),
            "active_workers": snapshot.health.in_flight,
            "phase": phase,
            "run": self.run,
            "load": self._load,
        }

    def end(self, result: JsonMapping) -> None:
        """Make `last`, and forget what it was made from."""
        self._turn()
        line = {
            "timestamp_secs": time.time(),
            "elapsed_secs": self._elapsed_s,
            "current_rps": 0.0,
            "target_rps": 0.0,
            **self._ended.to_json(),
            "active_workers": 0,
            "phase": "done",
            "run": self.run,
            "ok": result["ok"],
            "verdict": result["verdict"],
            "loads": result["loads"],
        }
        self.last = _line(line)
        self._now, self._ended = _Counts(), _Counts()

    def waiting(self) -> bytes:
        """A line for a time in which no load runs: a connection over which nothing comes is closed by proxies."""
        zero = {"timestamp_secs": time.time(), "elapsed_secs": 0.0, "current_rps": 0.0, "target_rps": 0.0}
        return _line({**zero, **_Counts().to_json(), "active_workers": 0, "phase": "ramp_up", "run": self.run})

    def _turn(self) -> None:
        self._ended.merge(self._now)
        self._elapsed_s += self._now.seconds
        self._now = _Counts()


def _line(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":"), default=str).encode()


class _Counts:
    """Hits by name, all methods of it together."""

    def __init__(self) -> None:
        self.seconds = 0
        self.users = 0
        self._failures: dict[str, int] = {}
        self._times: dict[str, Histogram] = {}

    def add(self, snapshot: Snapshot) -> None:
        self.seconds = snapshot.second + 1
        self.users = snapshot.health.users
        for series, totals in snapshot.delta.series.items():
            self._count(series.name, totals.failures, (totals.succeeded, totals.failed))

    def merge(self, other: _Counts) -> None:
        for name, times in other._times.items():
            self._count(name, other._failures[name], (times,))

    def _count(self, name: str, failures: int, parts: Sequence[Histogram]) -> None:
        name = name if name in self._times or len(self._times) < MOST_NAMES else OTHER
        times = self._times.setdefault(name, Histogram())
        for part in parts:
            times.merge(part)
        self._failures[name] = self._failures.get(name, 0) + failures

    def to_json(self) -> dict[str, object]:
        everything = Histogram.merged(self._times.values())
        return {
            "requests_total": everything.count,
            "errors_total": sum(self._failures.values()),
            "latency": _latency(everything),
            **({"tasks": self._tasks()} if self._times else {}),
        }

    def _tasks(self) -> list[dict[str, object]]:
        most = sorted(self._times, key=lambda name: -self._times[name].count)
        shown, rest = (most, []) if len(most) <= MOST_TASKS else (most[: MOST_TASKS - 1], most[MOST_TASKS - 1 :])
        tasks = [_task(name, self._failures[name], self._times[name]) for name in sorted(shown)]
        if rest:
            together = Histogram.merged(self._times[name] for name in rest)
            tasks.append(_task(OTHER, sum(self._failures[name] for name in rest), together))
        return tasks


def _task(name: str, failures: int, times: Histogram) -> dict[str, object]:
    return {"name": name, "requests": times.count, "errors": failures, "latency": _latency(times)}


def _latency(times: Histogram) -> dict[str, float]:
    """Milliseconds; all 0 without a hit."""
    p50, p95, p99 = times.quantiles_ns((0.5, 0.95, 0.99)) if times.count else (0.0, 0.0, 0.0)
    values = {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": times.max_ns, "min_ms": times.min_ns, "mean_ms": times.mean_ns}
    return {name: round(value / NS_PER_MS, 3) if times.count else 0.0 for name, value in values.items()}


def mean_rate_per_s(segments: Sequence[Segment], begin_s: float, end_s: float) -> float:
    """What a pace asked for between two times, on average; 0.0 where users, not a rate, decide, and after its end.

    >>> mean_rate_per_s([Segment(10, 0, 100), Segment(60, 100, 100)], 0, 1)
    5.0
    """
    due = at_s = 0.0
    for one in segments:
        first, last = max(begin_s, at_s) - at_s, min(end_s, at_s + one.duration_s) - at_s
        if last > first and one.duration_s > 0:
            slope = (one.to_per_s - one.from_per_s) / one.duration_s
            due += (last - first) * (one.from_per_s + slope * (first + last) / 2)
        at_s += one.duration_s
    return round(due / (end_s - begin_s), 6)


def phase_of(segments: Sequence[Segment], at_s: float) -> str:
    """LoadPilot's word for where a rate is: on its way up or down, or steady; of a spike the middle and the last third are such ways.

    >>> [phase_of([Segment(2, 1, 1), Segment(2, 9, 9), Segment(2, 1, 1)], at_s) for at_s in (1, 3, 5)]
    ['steady', 'ramp_up', 'ramp_down']
    """
    heights = [(one.from_per_s, one.to_per_s) for one in segments]
    level = all(a == b for a, b in heights)
    spike = len(heights) == 3 and level and heights[0] == heights[2] and heights[1] > heights[0]
    begin_s = 0.0
    for number, one in enumerate(segments):
        begin_s += one.duration_s
        if at_s < begin_s:
            if spike:
                return ("steady", "ramp_up", "ramp_down")[number]
            return "steady" if one.from_per_s == one.to_per_s else "ramp_up" if one.from_per_s < one.to_per_s else "ramp_down"
    return "steady"


def _crowd(before: int, now: int) -> str:
    return "steady" if before == now else "ramp_up" if before < now else "ramp_down"
