"""The counts as Prometheus' metric families, in LoadDensity's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadflow.engine.exporters.prometheus.native import Labels, Spread
from loadflow.engine.exporters.shared.buckets import Exponential, below, exponential
from loadflow.engine.exporters.shared.counts import Counts, Load, LoadState, Series, bounds_of
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.timings import TTFB
from loadflow.engine.records.totals import SeriesTotals

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily, Metric

__all__ = ["Families"]

LOAD_LABELS = ("run", "scenario", "target", "population")  # the last only where a test has several; so it stands last everywhere
SERIES_LABELS = ("request_type", "name", *LOAD_LABELS)
NS_PER_MS = 1e6
INTERVAL = "loadflow_interval"
INTERVAL_LABELS = ("metric", "bound", *LOAD_LABELS)

# name, what it says, its value; one for each load
GAUGES: Sequence[tuple[str, str, Callable[[LoadState], float]]] = (
    ("loaddensity_users", "Users that run now.", lambda state: state.health.users),
    ("loaddensity_in_flight", "Hits that wait for their answer now.", lambda state: state.health.in_flight),
    ("loaddensity_late", "Hits of the last second that started later than they were due.", lambda state: state.late),
    ("loaddensity_dropped", "Passes that were due in the last second and found no free user.", lambda state: state.dropped),
    ("loaddensity_generator_cpu", "Share of one core that the busiest engine process uses.", lambda state: state.health.cpu),
    ("loaddensity_generator_lag_ms", "Longest that an engine process let a due timer wait, ms.", lambda state: state.health.lag_ms),
)
COUNTERS: Sequence[tuple[str, str, Callable[[LoadState], int]]] = (
    ("loaddensity_late_requests_total", "Hits that started later than they were due.", lambda state: state.late_total),
    ("loaddensity_due_passes_total", "Passes that a rate asked for.", lambda state: state.passes.due),
    ("loaddensity_dropped_passes_total", "Passes that a rate asked for and that found no free user.", lambda state: state.passes.dropped),
)


@dataclass(frozen=True, slots=True)
class Times:
    """A histogram's samples. `native` None: the scraper did not ask for a native histogram."""

    count: int
    sum_ms: float
    below: Sequence[int]
    native: Exponential | None


@dataclass(frozen=True, slots=True)
class Row:
    """One series. `service` None where users, not a rate, decide when a hit starts: there it is the same as `latency`."""

    labels: list[str]
    succeeded: int
    failed: int
    latency: Times
    service: Times | None
    ttfb: Times | None
    received_bytes: int


class Families:
    """A collector of prometheus_client: every series anew for each scrape, all of one moment."""

    def __init__(self, counts: Counts, bounds_ms: Sequence[float]) -> None:
        self._counts = counts
        self._bounds_ms = tuple(bounds_ms)
        self._edges = [*(repr(bound) for bound in self._bounds_ms), "+Inf"]

    def collect(self) -> Iterator[Metric]:
        return iter(self.with_spread()[0])

    def with_spread(self, *, native: bool = False) -> tuple[list[Metric], Spread]:
        """The families, and with `native` the exponential buckets of their histograms."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily

        rows, states = self._counts.read(lambda series, totals: self._row(series, totals, native))
        requests = CounterMetricFamily("loaddensity_requests", "Hits, by their outcome.", labels=("outcome", *SERIES_LABELS))
        latency = HistogramMetricFamily("loaddensity_request_latency_ms", "From when a hit was due to its end, ms.", labels=SERIES_LABELS)
        service = HistogramMetricFamily("loaddensity_service_time_ms", "From a hit's start to its end, ms.", labels=SERIES_LABELS)
        ttfb = HistogramMetricFamily("loaddensity_ttfb_ms", "From a hit's start to the first byte of its answer, ms.", labels=SERIES_LABELS)
        size = SummaryMetricFamily("loaddensity_response_bytes", "Bytes received, heads included.", labels=SERIES_LABELS)
        for row in rows:
            requests.add_metric(["success", *row.labels], row.succeeded)
            requests.add_metric(["failure", *row.labels], row.failed)
            size.add_metric(row.labels, row.latency.count, row.received_bytes)
        spread = {
            **self._add(latency, ((row.labels, row.latency) for row in rows)),
            **self._add(service, ((row.labels, row.service) for row in rows if row.service is not None)),
            **self._add(ttfb, ((row.labels, row.ttfb) for row in rows if row.ttfb is not None)),
        }
        families: list[Metric] = [requests, latency, service, ttfb, size]
        for name, text, value in GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=LOAD_LABELS)
            for load, state in states:
                gauge.add_metric(_load_labels(load), value(state))
            families.append(gauge)
        interval = GaugeMetricFamily(
            INTERVAL, "Between low and high the true value of an ended load lies; ms, shares, /s.", labels=INTERVAL_LABELS
        )
        for load, state in states:
            for one in state.intervals:
                for bound, bound_value in bounds_of(one):
                    interval.add_metric([one.metric, bound, *_load_labels(load)], bound_value)
        families.append(interval)
        for name, text, count in COUNTERS:
            counter = CounterMetricFamily(name, text, labels=LOAD_LABELS)
            for load, state in states:
                counter.add_metric(_load_labels(load), count(state))
            families.append(counter)
        return families, spread

    def _row(self, series: Series, totals: SeriesTotals, native: bool) -> Row:
        return Row(
            [series.name.method, series.name.name, *_load_labels(series.load)],
            totals.succeeded.count,
            totals.failed.count,
            self._times(totals.response(), native),
            self._times(totals.service, native) if totals.service.count else None,
            self._times(totals.timings[TTFB], native) if TTFB in totals.timings else None,
            totals.received_bytes,
        )

    def _times(self, times: Histogram, native: bool) -> Times:
        spread = exponential(times) if native else None
        return Times(times.count, times.sum_ns / NS_PER_MS, below(times, self._bounds_ms), spread)

    def _add(self, family: HistogramMetricFamily, of: Iterable[tuple[list[str], Times]]) -> dict[tuple[str, Labels], Exponential]:
        spread = {}
        for labels, times in of:
            family.add_metric(labels, list(zip(self._edges, [*times.below, times.count], strict=True)), times.sum_ms)
            if times.native is not None:
                spread[family.name, tuple(zip(SERIES_LABELS, labels, strict=False))] = times.native
        return spread


def _load_labels(load: Load) -> list[str]:
    return list(load.labels.values())
