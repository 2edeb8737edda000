"""The counts of the newest run for Prometheus, at the server's own address; they stay after the run, as LoadPilot's do."""

from __future__ import annotations

from collections.abc import Callable

from loadflow.engine.exporters.prometheus.families import Families
from loadflow.engine.exporters.prometheus.native import with_native
from loadflow.engine.exporters.shared.arguments import MAX_SERIES
from loadflow.engine.exporters.shared.buckets import LATENCY_BOUNDS_MS
from loadflow.engine.exporters.shared.counts import Counts
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.session.observer import Observer

__all__ = ["Metrics"]


class Metrics(Observer):
    """`renew` begins from nothing; `page` is for any thread."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """A run begins: a server that lives for months must not keep the series of all its runs."""
        self._counts = Counts(MAX_SERIES)

    def run_started(self, run: Run) -> None:
        self._counts.started(run)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self._counts.add(run, snapshot)

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._counts.ended(run, summary)

    def page(self, accept: str) -> tuple[bytes, str]:
        """What a scraper that accepts these media types gets, and its own media type."""
        from prometheus_client import CollectorRegistry, make_wsgi_app

        families = Families(self._counts, LATENCY_BOUNDS_MS)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(families)
        app = with_native(make_wsgi_app(registry, disable_compression=True), lambda: families.with_spread(native=True))
        media_type = ""

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            nonlocal media_type
            media_type = dict(headers)["Content-Type"]
            return lambda data: None

        parts = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": "", "HTTP_ACCEPT": accept}, start)
        return b"".join(parts), media_type
