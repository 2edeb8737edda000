"""The commands that start and stop exporters in the current session."""

from __future__ import annotations

from typing import Any

from loadflow.engine.exporters.buckets import LATENCY_BOUNDS_MS
from loadflow.engine.exporters.exporter import start_in, stop_in
from loadflow.engine.exporters.prometheus import PrometheusExporter
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["start_prometheus_exporter", "stop_prometheus_exporter"]

MAX_SERIES = 500


def start_prometheus_exporter(
    port: int = 9646,
    addr: str = "127.0.0.1",
    *,
    buckets_ms: list[float] | None = None,
    max_series: int = MAX_SERIES,
    last_scrape_s: float = 15.0,
) -> int:
    """Serve the counts of this script's loads to Prometheus; returns the port, which is a free one when 0 is asked for.

    `buckets_ms`: upper bounds of the latency histogram, ascending; None: LoadDensity's. `max_series`: different loads and names that
    are told apart; hits of further ones count under the name "(other)". When it is stopped and a scraper's next visit is due within
    `last_scrape_s`, it waits for that, so that the last second is told too. Raises RunError when the port is taken.

    >>> start_prometheus_exporter(port=0)  # doctest: +SKIP
    41873
    """
    bounds = LATENCY_BOUNDS_MS if buckets_ms is None else tuple(float(bound) for bound in buckets_ms)
    if list(bounds) != sorted(set(bounds)):
        raise CommandError([Mistake("buckets_ms", "must be ascending, each once", "write them from the smallest to the largest")])
    arguments = {"port": port, "addr": addr, "buckets_ms": bounds, "max_series": max_series, "last_scrape_s": last_scrape_s}

    def make() -> PrometheusExporter:
        return PrometheusExporter(port, addr, bounds_ms=bounds, max_series=max_series, last_scrape_s=last_scrape_s)

    return start_in(current_session(), PrometheusExporter, arguments, make).port


def stop_prometheus_exporter() -> dict[str, Any]:
    """Free the port; does no harm where nothing was started."""
    return stop_in(current_session(), PrometheusExporter)
