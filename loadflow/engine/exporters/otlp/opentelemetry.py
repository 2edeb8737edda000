"""OpenTelemetry: the counts as OTLP metrics, every interval and once more at the end; and the spans of sampled hits.

What is sent are running totals since the exporter was started, so an export that fails loses nothing: the next one has it too.
The SDK's packages are imported when an exporter starts: nothing else needs them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from loadflow.engine.exporters.otlp.spans import Spans
from loadflow.engine.exporters.shared.buckets import exponential
from loadflow.engine.exporters.shared.counts import Counts, Load, LoadState, Series, bounds_of
from loadflow.engine.exporters.shared.exporter import Exporter
from loadflow.engine.exporters.shared.repeating import Repeated, Repeater
from loadflow.engine.exporters.shared.trouble import Unreachable
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.spans import SpanBatch
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.timings import TTFB
from loadflow.engine.records.totals import SeriesTotals

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import (
        ExponentialHistogramDataPoint,
        HistogramDataPoint,
        Metric,
        MetricExporter,
        MetricsData,
        NumberDataPoint,
    )
    from opentelemetry.sdk.resources import Resource

__all__ = ["OpenTelemetryExporter", "Readings"]

METER = "loaddensity"
NS_PER_MS = 1e6
LAST_SPANS_S = 1.0
INTERVAL_TEXT = "Between low and high the true value of an ended load lies; in ms, shares of 1, or per second, by its metric."
Attributes = dict[str, str]

# name, unit, what it says, its value; one for each load
GAUGES: Sequence[tuple[str, str, str, Callable[[LoadState], float]]] = (
    ("loaddensity.users", "{user}", "Users that run now.", lambda state: state.health.users),
    ("loaddensity.in_flight", "{request}", "Hits that wait for their answer now.", lambda state: state.health.in_flight),
    ("loaddensity.generator.cpu", "1", "Share of one core that the busiest engine process uses.", lambda state: state.health.cpu),
    ("loaddensity.generator.lag", "ms", "Longest that an engine process let a due timer wait.", lambda state: state.health.lag_ms),
)
COUNTERS: Sequence[tuple[str, str, Callable[[LoadState], int]]] = (
    ("loaddensity.late", "Hits that started later than they were due.", lambda state: state.late_total),
    ("loaddensity.due", "Passes that a rate asked for.", lambda state: state.passes.due),
    ("loaddensity.dropped", "Passes that a rate asked for and that found no free user.", lambda state: state.passes.dropped),
)


@dataclass(frozen=True, slots=True)
class Row:
    """The points of one series. `service` is empty where users, not a rate, decide when a hit starts."""

    requests: list[NumberDataPoint]
    latency: list[ExponentialHistogramDataPoint]
    service: list[ExponentialHistogramDataPoint]
    ttfb: list[ExponentialHistogramDataPoint]
    size: HistogramDataPoint


class Readings:
    """The counts as the SDK's own metrics data, all of one moment."""

    def __init__(self, counts: Counts, resource: Resource, started_unix_ns: int) -> None:
        self._counts = counts
        self._resource = resource
        self._started_unix_ns = started_unix_ns

    def at(self, unix_ns: int) -> MetricsData:
        from opentelemetry.sdk.metrics import export as otel
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._unix_ns = unix_ns
        rows, states = self._counts.read(self._of_series)
        total = otel.AggregationTemporality.CUMULATIVE
        requests = otel.Sum([point for row in rows for point in row.requests], total, is_monotonic=True)
        latency = otel.ExponentialHistogram([point for row in rows for point in row.latency], total)
        service = otel.ExponentialHistogram([point for row in rows for point in row.service], total)
        ttfb = otel.ExponentialHistogram([point for row in rows for point in row.ttfb], total)
        intervals = [
            self._number({**_of_load(load), "metric": one.metric, "bound": bound}, value)
            for load, state in states
            for one in state.intervals
            for bound, value in bounds_of(one)
        ]
        metrics = [
            otel.Metric("loaddensity.requests", "Hits, by their outcome.", "1", requests),
            otel.Metric("loaddensity.request.latency", "From when a hit was due to its end.", "ms", latency),
            otel.Metric("loaddensity.service.time", "From a hit's start to its end.", "ms", service),
            otel.Metric("loaddensity.ttfb", "From a hit's start to the first byte of its answer.", "ms", ttfb),
            otel.Metric(
                "loaddensity.response.size", "Bytes received, heads included.", "By", otel.Histogram([row.size for row in rows], total)
            ),
            otel.Metric("loaddensity.interval", INTERVAL_TEXT, "1", otel.Gauge(intervals)),
            *(
                otel.Metric(name, text, unit, otel.Gauge([self._number(_of_load(load), value(state)) for load, state in states]))
                for name, unit, text, value in GAUGES
            ),
            *(
                otel.Metric(
                    name,
                    text,
                    "1",
                    otel.Sum([self._number(_of_load(load), count(state)) for load, state in states], total, is_monotonic=True),
                )
                for name, text, count in COUNTERS
            ),
        ]
        return _data(self._resource, InstrumentationScope(METER), [metric for metric in metrics if metric.data.data_points])

    def _of_series(self, series: Series, totals: SeriesTotals) -> Row:
        of = {"request_type": series.name.method, "name": series.name.name, **_of_load(series.load)}
        by_outcome = [({**of, "outcome": "success"}, totals.succeeded), ({**of, "outcome": "failure"}, totals.failed)]
        return Row(
            [self._number(attributes, times.count) for attributes, times in by_outcome],
            [self._spread(attributes, times) for attributes, times in by_outcome if times.count],
            [self._spread(of, totals.service)] if totals.service.count else [],
            [self._spread(of, totals.timings[TTFB])] if TTFB in totals.timings else [],
            self._size(of, totals.hits, totals.received_bytes),
        )

    def _spread(self, attributes: Attributes, times: Histogram) -> ExponentialHistogramDataPoint:
        from opentelemetry.sdk.metrics.export import Buckets, ExponentialHistogramDataPoint

        spread = exponential(times)
        return ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._started_unix_ns,
            time_unix_nano=self._unix_ns,
            count=times.count,
            sum=times.sum_ns / NS_PER_MS,
            scale=spread.scale,
            zero_count=spread.zero_count,
            positive=Buckets(spread.offset, spread.counts),
            negative=Buckets(0, ()),
            flags=0,
            min=times.min_ns / NS_PER_MS,
            max=times.max_ns / NS_PER_MS,
        )

    def _size(self, attributes: Attributes, count: int, received_bytes: int) -> HistogramDataPoint:
        """One bucket for all sizes: only their sum is known, so there is no minimum or maximum either."""
        from opentelemetry.sdk.metrics.export import HistogramDataPoint

        unknown: Any = None
        return HistogramDataPoint(
            attributes, self._started_unix_ns, self._unix_ns, count, received_bytes, [count], [], min=unknown, max=unknown
        )

    def _number(self, attributes: Attributes, value: float) -> NumberDataPoint:
        from opentelemetry.sdk.metrics.export import NumberDataPoint

        return NumberDataPoint(attributes, self._started_unix_ns, self._unix_ns, value)


def _of_load(load: Load) -> Attributes:
    return dict(load.labels)


def _data(resource: Resource, scope: Any, metrics: list[Metric]) -> MetricsData:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


class OpenTelemetryExporter(Exporter):
    """Exports from a thread of its own, every `interval_s` and at the end."""

    kind: ClassVar[str] = "OpenTelemetry"

    def __init__(
        self,
        exporter: MetricExporter,
        resource: Resource,
        *,
        interval_s: float,
        max_series: int,
        flush_s: float,
        traces: TraceRule | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.traces = traces
        self._spans = spans
        self._exporter = exporter
        self._counts = Counts(max_series)
        self._readings = Readings(self._counts, resource, time.time_ns())
        self._flush_s = flush_s
        self._closing = threading.Lock()
        self._closed = False
        self._repeater = Repeater("OpenTelemetry", self._export, lambda: self._counts.version, interval_s)

    def run_started(self, run: Run) -> None:
        self._counts.started(run)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self._counts.add(run, snapshot)

    def spans(self, run: Run, batch: SpanBatch) -> None:
        if self._spans is not None:
            self._spans.put(run, batch)

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._counts.ended(run, summary)

    def so_far(self) -> Repeated:
        return self._repeater.so_far()

    def close(self) -> dict[str, object]:
        with self._closing:
            done, self._closed = self._closed, True
        if done:
            return {}
        until_s = time.monotonic() + self._flush_s
        result = self._repeater.close(self._flush_s)
        self._exporter.shutdown()  # ends an export that still waits for its server
        # spans have been sent all along, so what is left is little, also where the receiver of metrics took all the time
        spans = self._spans.close(max(LAST_SPANS_S, until_s - time.monotonic())) if self._spans is not None else {}
        return {"exports": result.sent, "failed": result.failed, "all_exported": result.complete, **spans}

    def _export(self) -> None:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        if self._exporter.export(self._readings.at(time.time_ns())) is not MetricExportResult.SUCCESS:
            raise Unreachable("an export failed")  # the SDK logs why, and tried again by itself for as long as its timeout says
