"""What was counted: per series and over all, mergeable over time, shards and runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes

__all__ = ["ErrorCount", "SeriesTotals", "Totals"]


@dataclass(slots=True)
class SeriesTotals:
    """The hits of one series (or of all).

    `succeeded` and `failed` hold response times: from when a hit was due to its end. `service` holds service times, from
    its start to its end, where a rate says when hits are due; with users in a closed loop it is empty, because there both are
    the same. `timings` say where the time of those hits went of which that is known.
    """

    succeeded: Histogram = field(default_factory=Histogram)
    failed: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    retries: int = 0  # attempts after the first
    superseded: int = 0  # attempts that another one followed; in one second, or while a load runs: that one is to follow
    superseded_failed: int = 0
    drained: int = 0  # ended within the drain, after the load's own end
    late: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    out_of_rows: int = 0  # the last hits of users that stopped because a source of rows had run out
    events: int = 0  # of streams
    tokens: int = 0
    timings: dict[str, Histogram] = field(default_factory=dict)  # of records.timings.TIMINGS, those that some hits have

    @property
    def hits(self) -> int:
        return self.succeeded.count + self.failed.count

    @property
    def failures(self) -> int:
        """Failed attempts, also those that a retry replaced."""
        return self.failed.count

    @property
    def final_hits(self) -> int:
        """The hits that decide: without attempts that a retry replaced."""
        return self.hits - self.superseded

    @property
    def final_failures(self) -> int:
        return self.failures - self.superseded_failed

    @property
    def failure_rate(self) -> float:
        """The one there is: failures per hit, of those that decide; 0.0 where there is none."""
        return self.final_failures / self.final_hits if self.final_hits > 0 else 0.0

    def merge(self, other: SeriesTotals) -> None:
        self.succeeded.merge(other.succeeded)
        self.failed.merge(other.failed)
        self.service.merge(other.service)
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, timing in other.timings.items():
            self.timing(name).merge(timing)

    def timing(self, name: str) -> Histogram:
        """One of `timings`, to be added to."""
        return self.timings.setdefault(name, Histogram())

    def response(self) -> Histogram:
        """Successes and failures together."""
        return Histogram.merged((self.succeeded, self.failed))

    def to_json(self) -> JsonObject:
        counts = {name: getattr(self, name) for name in COUNTS}
        timings = {"timings": {name: one.to_json() for name, one in self.timings.items()}} if self.timings else {}
        return {**counts, **{name: getattr(self, name).to_json() for name in HISTOGRAMS}, **timings}

    @classmethod
    def from_json(cls, data: JsonObject) -> SeriesTotals:
        succeeded, failed, service = (Histogram.from_json(data[name]) for name in HISTOGRAMS)
        totals = cls(succeeded, failed, service, *(data.get(name, 0) for name in COUNTS))
        totals.timings = {name: Histogram.from_json(one) for name, one in data.get("timings", {}).items()}
        return totals


# in the order of the fields
HISTOGRAMS = ("succeeded", "failed", "service")
COUNTS = (
    "retries",
    "superseded",
    "superseded_failed",
    "drained",
    "late",
    "sent_bytes",
    "received_bytes",
    "out_of_rows",
    "events",
    "tokens",
)


@dataclass(slots=True)
class ErrorCount:
    count: int
    first_s: float  # seconds from the run's start to the end of the first such hit
    last_s: float
    superseded: int = 0  # of them, as in SeriesTotals

    @property
    def final(self) -> int:
        """Those that decide: without attempts that a retry replaced."""
        return self.count - self.superseded

    def merge(self, other: ErrorCount) -> None:
        self.count += other.count
        self.superseded += other.superseded
        self.first_s = min(self.first_s, other.first_s)
        self.last_s = max(self.last_s, other.last_s)


@dataclass(slots=True)
class Totals:
    """All counts of a run, a second, or several runs.

    `first_start_ns` and `last_end_ns` are nanoseconds since the run's start; both None while nothing was counted. `duration_s` is the time
    of the load, over which rates are: `Run.totals` sets it, a second's counts have none, and several runs' add up.
    """

    series: dict[SeriesName, SeriesTotals] = field(default_factory=dict)
    errors: dict[tuple[SeriesName, ErrorText], ErrorCount] = field(default_factory=dict)
    first_start_ns: int | None = None
    last_end_ns: int | None = None
    passes: Passes = field(default_factory=Passes)
    duration_s: float = 0.0

    @property
    def load(self) -> list[SeriesTotals]:
        """The series of the load itself, without those of `on_start` and `on_stop`."""
        return [totals for name, totals in self.series.items() if not name.is_setup]

    @property
    def setup(self) -> list[SeriesTotals]:
        """The series of `on_start` and `on_stop`."""
        return [totals for name, totals in self.series.items() if name.is_setup]

    @property
    def hits(self) -> int:
        return sum(totals.hits for totals in self.load)

    @property
    def all_hits(self) -> int:
        """With those of `on_start` and `on_stop`: as many as there are rows."""
        return sum(totals.hits for totals in self.series.values())

    @property
    def failures(self) -> int:
        return sum(totals.failures for totals in self.load)

    def overall(self) -> SeriesTotals:
        """All hits of the load together."""
        total = SeriesTotals()
        for one in self.load:
            total.merge(one)
        return total

    def span(self, start_ns: int, end_ns: int) -> None:
        """Widen the time covered."""
        self.first_start_ns = start_ns if self.first_start_ns is None else min(self.first_start_ns, start_ns)
        self.last_end_ns = end_ns if self.last_end_ns is None else max(self.last_end_ns, end_ns)

    def merge(self, other: Totals) -> None:
        for name, totals in other.series.items():
            self.series.setdefault(name, SeriesTotals()).merge(totals)
        for key, error in other.errors.items():
            if key in self.errors:
                self.errors[key].merge(error)
            else:
                self.errors[key] = replace(error)
        self.passes.merge(other.passes)
        self.duration_s += other.duration_s
        if other.first_start_ns is not None and other.last_end_ns is not None:
            self.span(other.first_start_ns, other.last_end_ns)

    @classmethod
    def merged(cls, parts: Iterable[Totals]) -> Totals:
        total = cls()
        for part in parts:
            total.merge(part)
        return total

    def to_json(self) -> JsonObject:
        return {
            "series": [{"method": name.method, "name": name.name, **totals.to_json()} for name, totals in self.series.items()],
            "errors": [
                {
                    "method": name.method,
                    "name": name.name,
                    "outcome": int(error.outcome),
                    "text": error.text,
                    "count": count.count,
                    "superseded": count.superseded,
                    "first_s": count.first_s,
                    "last_s": count.last_s,
                }
                for (name, error), count in self.errors.items()
            ],
            "first_start_ns": self.first_start_ns,
            "last_end_ns": self.last_end_ns,
            "passes": self.passes.to_json(),
            "duration_s": self.duration_s,
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> Totals:
        return cls(
            series={SeriesName(one["method"], one["name"]): SeriesTotals.from_json(one) for one in data["series"]},
            errors={
                (SeriesName(one["method"], one["name"]), ErrorText(Outcome(one["outcome"]), one["text"])): ErrorCount(
                    one["count"], one["first_s"], one["last_s"], one.get("superseded", 0)
                )
                for one in data["errors"]
            },
            first_start_ns=data["first_start_ns"],
            last_end_ns=data["last_end_ns"],
            passes=Passes.from_json(data.get("passes")),
            duration_s=data.get("duration_s", 0.0),
        )
