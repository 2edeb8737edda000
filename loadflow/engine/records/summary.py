"""The summary of one run, or of several taken together: every number that reports, tables and verdict lines show.

`Summary.to_json` is the published form (`SUMMARY_VERSION`). Its `totals`, `latency_overall` and `per_name` keep the keys that
LoadDensity's readers know and add to them; latencies are milliseconds, from when a hit was due to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.in_python import InPython
from loadflow.engine.records.judge import Warning_
from loadflow.engine.records.knee import Knee
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.passes import Passes, RateSummary
from loadflow.engine.records.threshold import ThresholdResult
from loadflow.engine.records.timings import EVENT_GAP, TIMINGS
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.records.trust import Trust
from loadflow.engine.records.workers import WorkerRecord

__all__ = ["SUMMARY_VERSION", "ErrorSummary", "Latency", "RunFacts", "SeriesSummary", "Summary", "summarise", "users_peak_of"]

SUMMARY_VERSION = 1
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; all 0.0 when `count` is 0. Percentiles are off by at most 0.1 %; minimum, mean and maximum are exact."""

    count: int = 0
    min_ms: float = 0.0
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    max_ms: float = 0.0

    @classmethod
    def of(cls, histogram: Histogram) -> Latency:
        p50, p90, p95, p99, p999 = (value_ns / NS_PER_MS for value_ns in histogram.quantiles_ns((0.5, 0.9, 0.95, 0.99, 0.999)))
        return cls(
            histogram.count,
            histogram.min_ns / NS_PER_MS,
            histogram.mean_ns / NS_PER_MS,
            p50,
            p90,
            p95,
            p99,
            p999,
            histogram.max_ns / NS_PER_MS,
        )


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One name, or all hits together."""

    method: str
    name: str
    count: int  # every hit, retries included
    failures: int  # of the hits that decide
    replaced: int  # failed attempts that a retry followed
    retries: int
    late: int
    rate_per_s: float  # over the whole time of the load
    sent_bytes: int
    received_bytes: int
    latency: Latency  # of every hit
    succeeded: Latency
    failed: Latency
    service: Latency | None  # None with users in a closed loop: there it is the same as `latency`
    events: int = 0  # of streams
    tokens: int = 0
    events_per_s: float = 0.0  # of all streams together, over the whole time of the load
    tokens_per_s: float = 0.0
    timings: Mapping[str, Latency] = field(default_factory=dict)  # of records.timings.TIMINGS, those that some hits have

    @property
    def decided(self) -> int:
        """The hits that decide: `count` without those that were replaced."""
        return self.count - self.replaced

    @property
    def failure_rate(self) -> float:
        """A share, 0 to 1, of the hits that decide."""
        return self.failures / self.decided if self.decided else 0.0

    @classmethod
    def of(cls, name: SeriesName, totals: SeriesTotals, duration_s: float) -> SeriesSummary:
        return cls(
            method=name.method,
            name=name.name,
            count=totals.hits,
            failures=totals.final_failures,
            replaced=totals.superseded,
            retries=totals.retries,
            late=totals.late,
            rate_per_s=totals.hits / duration_s if duration_s > 0 else 0.0,
            sent_bytes=totals.sent_bytes,
            received_bytes=totals.received_bytes,
            latency=Latency.of(totals.response()),
            succeeded=Latency.of(totals.succeeded),
            failed=Latency.of(totals.failed),
            service=Latency.of(totals.service) if totals.service.count else None,
            events=totals.events,
            tokens=totals.tokens,
            events_per_s=totals.events / duration_s if duration_s > 0 else 0.0,
            tokens_per_s=totals.tokens / duration_s if duration_s > 0 else 0.0,
            timings={name: Latency.of(totals.timings[name]) for name in TIMINGS if name in totals.timings},
        )

    def to_json(self) -> JsonObject:
        return {
            "method": self.method,
            **asdict(self.latency),
            "failures": self.failures,
            "replaced": self.replaced,
            "failure_rate": self.failure_rate,
            "retries": self.retries,
            "late": self.late,
            "rate_per_s": self.rate_per_s,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
            "succeeded": asdict(self.succeeded),
            "failed": asdict(self.failed),
            "service": asdict(self.service) if self.service else None,
            "timings": {name: asdict(one) for name, one in self.timings.items()},
            "stream": self.stream_to_json(),
        }

    def stream_to_json(self) -> dict[str, object] | None:
        """Of streams of events; None where there was none."""
        if not self.events:
            return None
        stream = {name: getattr(self, name) for name in ("events", "events_per_s", "tokens", "tokens_per_s")}
        return {**stream, "tokens_per_s_each": self.tokens_per_s_each}

    @property
    def tokens_per_s_each(self) -> float:
        """How many a second one stream gives, from its first event on; 0.0 where no stream has two events."""
        gaps = self.timings.get(EVENT_GAP)
        flowing_s = gaps.mean_ms * gaps.count / 1000 if gaps else 0.0
        return self.tokens / self.events * (gaps.count if gaps else 0) / flowing_s if flowing_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """One kind of failure of one name. `samples`: the first few, whole but bounded and redacted."""

    kind: str
    message: str
    method: str
    name: str
    count: int
    first_s: float
    last_s: float
    samples: tuple[JsonMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was run, where and when; all text is redacted already.

    `target` is the host or hosts asked; `plan` is the plan as JSON (`Plan.to_json`); `environment` names versions and machine.
    `why_not_native` says why the native core did not make the load; "" where it did, or where Locust was asked for.
    `revision` is the target's build or commit, as given by the script or the command line, else as its answers said: `revisions` are the
    values that they said, sorted; `more_revisions`: there were more than are kept. `tls`: the versions and ciphers
    that TLS agreed on with servers, as OpenSSL calls them.
    `calibration` is the machine's as it holds for this run (`Ceiling.to_json`); None where it was not calibrated for such a load.
    `flow_run_ids` are those of the flow runs that ran the script, the outermost first, () without Prefect; `flow_run_url` is the page of
    the outermost, "" where there is none.
    `population` is the run's name among those that one test made side by side, and `test` the id of the first of these; "" for a test of
    one population.
    """

    id: str
    label: str
    script: str
    folder: str
    protocol: str
    engine: str
    target: str
    users: int
    planned_s: float | None
    started_unix_s: float
    plan: JsonMapping = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    why_not_native: str = ""
    revision: str = ""
    revisions: tuple[str, ...] = ()
    more_revisions: bool = False
    tls: tuple[str, ...] = ()
    flow_run_ids: tuple[str, ...] = ()
    flow_run_url: str = ""
    calibration: JsonMapping | None = None
    population: str = ""
    test: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """`duration_s` is the time of the load, over which every rate is: until it was ended, without the drain, and for a pace at most the
    pace's own time; added up over the runs, of those side by side the longest."""

    runs: tuple[RunFacts, ...]
    verdict: Verdict
    duration_s: float
    overall: SeriesSummary
    series: tuple[SeriesSummary, ...]
    errors: tuple[ErrorSummary, ...]
    warnings: tuple[Warning_, ...]
    users_peak: int
    cpu_peak: float
    lag_peak_ms: float
    python: InPython | None = None  # None where no function of a scenario ran in the core
    rate: RateSummary | None = None  # None where users, not a rate, decide
    passes: Passes = field(default_factory=Passes)
    thresholds: tuple[ThresholdResult, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()  # with a master: who made the load
    trust: Trust | None = None  # how far the numbers can be trusted; None for several runs, and for one that has no end
    knee: Knee | None = None  # of one run whose rate rises in steps

    def to_json(self) -> JsonObject:
        return {
            "format": "loadflow-summary",
            "version": SUMMARY_VERSION,
            "verdict": {
                "verdict": str(self.verdict.kind),
                "passed": self.verdict.kind is VerdictKind.PASSED,
                "reasons": list(self.verdict.reasons),
                "exit_code": self.verdict.exit_code,
            },
            "runs": [
                {**asdict(run), "flow_run_ids": list(run.flow_run_ids), "revisions": list(run.revisions), "tls": list(run.tls)}
                for run in self.runs
            ],
            "duration_s": self.duration_s,
            "totals": {
                "requests": self.overall.count,
                "successes": self.overall.decided - self.overall.failures,
                "failures": self.overall.failures,
                "replaced": self.overall.replaced,
                "failure_rate": self.overall.failure_rate,
                "retries": self.overall.retries,
                "late": self.overall.late,
                "rate_per_s": self.overall.rate_per_s,
                "sent_bytes": self.overall.sent_bytes,
                "received_bytes": self.overall.received_bytes,
                "users_peak": self.users_peak,
            },
            "passes": self.passes.to_json(),
            "rate": asdict(self.rate) if self.rate else None,
            "knee": self.knee.to_json() if self.knee else None,
            "latency_overall": asdict(self.overall.latency),
            "latency_succeeded": asdict(self.overall.succeeded),
            "latency_failed": asdict(self.overall.failed),
            "latency_service": asdict(self.overall.service) if self.overall.service else None,
            "timings": {name: asdict(one) for name, one in self.overall.timings.items()},
            "stream": self.overall.stream_to_json(),
            "per_name": {key: one.to_json() for key, one in zip(self._keys(), self.series, strict=True)},
            "thresholds": [{**asdict(one), "state": str(one.state)} for one in self.thresholds],
            "errors": [{**asdict(error), "samples": list(error.samples)} for error in self.errors],
            "warnings": [asdict(warning) for warning in self.warnings],
            "generator": {
                "cpu_peak": self.cpu_peak,
                "lag_peak_ms": self.lag_peak_ms,
                **({"python": self.python.to_json()} if self.python else {}),
            },
            "workers": [asdict(worker) for worker in self.workers],
            "precision": self.trust.to_json(self._keys_of_names()) if self.trust else None,
        }

    def _keys_of_names(self) -> dict[SeriesName, str]:
        return {SeriesName(one.method, one.name): key for key, one in zip(self._keys(), self.series, strict=True)}

    def _keys(self) -> list[str]:
        """A key for each series: its name, with the method before it where several share the name, and never one key twice."""
        methods = Counter(one.name for one in self.series)
        taken: set[str] = set()
        keys = []
        for one in self.series:
            plain = one.name if methods[one.name] == 1 else f"{one.method} {one.name}"
            key, number = plain, 2
            while key in taken:
                key, number = f"{plain} ({number})", number + 1
            taken.add(key)
            keys.append(key)
        return keys


def users_peak_of(health: Iterable[Health]) -> int:
    """The most users at once; of several engine processes an upper bound, see `Health`. Older releases looked once a second."""
    return max((max(one.users, one.users_peak) for one in health), default=0)


def summarise(
    totals: Totals,
    *,
    duration_s: float,
    runs: Sequence[RunFacts],
    verdict: Verdict,
    warnings: Sequence[Warning_],
    health: Sequence[Health],
    samples: Mapping[tuple[SeriesName, ErrorText], Sequence[Mapping[str, object]]],
    thresholds: Sequence[ThresholdResult] = (),
    rate: RateSummary | None = None,
    workers: Sequence[WorkerRecord] = (),
    trust: Trust | None = None,
    knee: Knee | None = None,
) -> Summary:
    """Fold counts into the numbers that people read. Series come in the order of first use, errors by count, falling.

    `rate`: of the runs in which a rate said when passes are due.
    """
    errors = [
        ErrorSummary(
            error.outcome.label,
            error.text,
            name.method,
            name.name,
            count.count,
            count.first_s,
            count.last_s,
            tuple(samples.get((name, error), ())),
        )
        for (name, error), count in totals.errors.items()
    ]
    return Summary(
        runs=tuple(runs),
        verdict=verdict,
        duration_s=duration_s,
        overall=SeriesSummary.of(SeriesName("", "all"), totals.overall(), duration_s),
        series=tuple(SeriesSummary.of(name, one, duration_s) for name, one in totals.series.items()),
        errors=tuple(sorted(errors, key=lambda error: -error.count)),
        warnings=tuple(warnings),
        users_peak=users_peak_of(health),
        cpu_peak=max((one.cpu for one in health), default=0.0),
        lag_peak_ms=max((one.lag_ms for one in health), default=0.0),
        python=InPython.of(health, runs),
        rate=rate,
        passes=replace(totals.passes),
        thresholds=tuple(thresholds),
        workers=tuple(workers),
        trust=trust,
        knee=knee,
    )
