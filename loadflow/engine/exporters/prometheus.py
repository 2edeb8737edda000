"""Prometheus: the counts at an address that it scrapes, in LoadDensity's names.

prometheus_client is imported when an exporter starts: nothing else needs it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from loadflow.engine.exporters.buckets import LATENCY_BOUNDS_MS, Exponential, below, exponential
from loadflow.engine.exporters.counts import Counts, Load, LoadState, Series
from loadflow.engine.exporters.exporter import Exporter
from loadflow.engine.exporters.native import Spread, with_native
from loadflow.engine.exporters.repeating import Repeated, Repeater
from loadflow.engine.exporters.scraping import ScrapeServer, last_scrape_wait_s
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.totals import SeriesTotals

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

__all__ = ["GAUGES", "Families", "PrometheusExporter"]

log = logging.getLogger("loadflow.exporters")

LOAD_LABELS = ("run", "scenario", "target")
SERIES_LABELS = ("request_type", "name", *LOAD_LABELS)
NS_PER_MS = 1e6

# name, what it says, its value; one for each load
GAUGES: Sequence[tuple[str, str, Callable[[LoadState], float]]] = (
    ("loaddensity_users", "Users that run now.", lambda state: state.health.users),
    ("loaddensity_in_flight", "Hits that wait for their answer now.", lambda state: state.health.in_flight),
    ("loaddensity_late", "Hits of the last second that started later than they were due.", lambda state: state.late),
    ("loaddensity_dropped", "Hits of the last second that the network conditioner lost on purpose.", lambda state: state.dropped),
    ("loaddensity_generator_cpu", "Share of one core that the busiest engine process uses.", lambda state: state.health.cpu),
    ("loaddensity_generator_lag_ms", "Longest that an engine process let a due timer wait, ms.", lambda state: state.health.lag_ms),
)
COUNTERS: Sequence[tuple[str, str, Callable[[LoadState], int]]] = (
    ("loaddensity_late_requests_total", "Hits that started later than they were due.", lambda state: state.late_total),
    ("loaddensity_dropped_requests_total", "Hits that the network conditioner lost on purpose.", lambda state: state.dropped_total),
)


class Families:
    """A collector of prometheus_client: every series anew for each scrape, all of one moment."""

    def __init__(self, counts: Counts, bounds_ms: Sequence[float]) -> None:
        self._counts = counts
        self._bounds_ms = tuple(bounds_ms)

    def collect(self) -> Iterator[Metric]:
        return iter(self.with_spread()[0])

    def with_spread(self, *, native: bool = False) -> tuple[list[Metric], Spread]:
        """The families, and with `native` the exponential buckets of each latency histogram."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily

        requests = CounterMetricFamily("loaddensity_requests", "Hits, by their outcome.", labels=(*SERIES_LABELS, "outcome"))
        latency = HistogramMetricFamily("loaddensity_request_latency_ms", "From when a hit was due to its end, ms.", labels=SERIES_LABELS)
        size = SummaryMetricFamily("loaddensity_response_bytes", "Bytes received, heads included.", labels=SERIES_LABELS)
        edges = [*(repr(bound) for bound in self._bounds_ms), "+Inf"]
        rows, states = self._counts.read(lambda series, totals: (_labels(series), *_values(totals, self._bounds_ms, native)))
        spread: dict[tuple[tuple[str, str], ...], Exponential] = {}
        for labels, succeeded, failed, sum_ms, buckets, received_bytes, exponential_buckets in rows:
            requests.add_metric([*labels, "success"], succeeded)
            requests.add_metric([*labels, "failure"], failed)
            latency.add_metric(labels, list(zip(edges, [*buckets, succeeded + failed], strict=True)), sum_ms)
            size.add_metric(labels, succeeded + failed, received_bytes)
            if exponential_buckets is not None:
                spread[tuple(zip(SERIES_LABELS, labels, strict=True))] = exponential_buckets
        families: list[Metric] = [requests, latency, size]
        for name, text, value in GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=LOAD_LABELS)
            for load, state in states:
                gauge.add_metric(_load_labels(load), value(state))
            families.append(gauge)
        for name, text, count in COUNTERS:
            counter = CounterMetricFamily(name, text, labels=LOAD_LABELS)
            for load, state in states:
                counter.add_metric(_load_labels(load), count(state))
            families.append(counter)
        return families, spread


def _values(totals: SeriesTotals, bounds_ms: Sequence[float], native: bool) -> tuple[int, int, float, list[int], int, Exponential | None]:
    buckets = [a + b for a, b in zip(below(totals.succeeded, bounds_ms), below(totals.failed, bounds_ms), strict=True)]
    sum_ms = (totals.succeeded.sum_ns + totals.failed.sum_ns) / NS_PER_MS
    spread = exponential(totals.response()) if native else None
    return totals.succeeded.count, totals.failed.count, sum_ms, buckets, totals.received_bytes, spread


def _labels(series: Series) -> list[str]:
    return [series.name.method, series.name.name, *_load_labels(series.load)]


def _load_labels(load: Load) -> list[str]:
    return [load.run, load.scenario, load.target]


class PrometheusExporter(Exporter):
    """Serves the counts from the moment it is made, and pushes them. Raises RunError when the port can't be listened on.

    `pushes`: by name, what makes of the registry a function that sends once; every `push_interval_s`, and at the end.
    """

    kind: ClassVar[str] = "Prometheus"

    def __init__(
        self,
        port: int,
        addr: str,
        *,
        bounds_ms: Sequence[float] = LATENCY_BOUNDS_MS,
        max_series: int,
        last_scrape_s: float,
        pushes: Mapping[str, Callable[[CollectorRegistry], Callable[[], None]]],
        push_interval_s: float,
        flush_s: float,
    ) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app

        self._counts = Counts(max_series)
        registry = CollectorRegistry(auto_describe=False)
        families = Families(self._counts, bounds_ms)
        registry.register(families)
        self._last_scrape_s = last_scrape_s
        self._flush_s = flush_s
        self._closing = threading.Lock()
        app = with_native(make_wsgi_app(registry), lambda: families.with_spread(native=True))
        self._server: ScrapeServer | None = ScrapeServer(addr, port, app, self._version)
        self.port = self._server.port
        self._pushes = {name: Repeater(name, make(registry), self._version, push_interval_s) for name, make in pushes.items()}

    def pushed(self) -> dict[str, Repeated]:
        """How the pushes are doing, by name."""
        return {name: push.so_far() for name, push in self._pushes.items()}

    def _version(self) -> int:
        return self._counts.version

    @property
    def scrapes(self) -> int:
        """How often all was fetched."""
        return self._server.scrapes if self._server is not None else 0

    def run_started(self, run: Run) -> None:
        self._counts.started(run)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self._counts.add(run, snapshot)

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._counts.ended(run)

    def close(self) -> dict[str, Any]:
        """Waits for one more scrape when one is due soon, so that the last second is told too."""
        with self._closing:
            server, self._server = self._server, None
        if server is None:
            return {}
        try:
            pushed = {name: asdict(push.close(self._flush_s)) for name, push in self._pushes.items()}
            wait_s = last_scrape_wait_s(server.scraped_at_s, time.monotonic(), self._last_scrape_s)
            told = server.wait_for(self._version(), wait_s)
        finally:
            server.close()
        if server.scrapes and not told:
            log.warning("Prometheus did not scrape the last seconds: its next scrape was not due within %g s", self._last_scrape_s)
        return {"scrapes": server.scrapes, "all_scraped": told, **pushed}
