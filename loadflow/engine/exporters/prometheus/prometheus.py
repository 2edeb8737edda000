"""Prometheus: the counts at an address that it scrapes, and pushed to where it can't.

prometheus_client is imported when an exporter starts: nothing else needs it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from loadflow.engine.exporters.prometheus.families import Families
from loadflow.engine.exporters.prometheus.native import with_native
from loadflow.engine.exporters.prometheus.scraping import ScrapeServer, last_scrape_wait_s
from loadflow.engine.exporters.shared.buckets import LATENCY_BOUNDS_MS
from loadflow.engine.exporters.shared.counts import Counts
from loadflow.engine.exporters.shared.exporter import Exporter
from loadflow.engine.exporters.shared.repeating import Repeated, Repeater
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["PrometheusExporter"]

log = logging.getLogger("loadflow.exporters")


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
        self._counts.ended(run, summary)

    def close(self) -> dict[str, object]:
        """Waits for one more scrape when one is due soon, so that the last second is scraped too; does not wait if the script was
        interrupted.
        """
        with self._closing:
            server, self._server = self._server, None
        if server is None:
            return {}
        try:
            pushed = {name: asdict(push.close(self._flush_s)) for name, push in self._pushes.items()}
            limit_s = self._last_scrape_s if sys.exc_info()[0] is None else 0.0
            wait_s = last_scrape_wait_s(server.scraped_at_s, time.monotonic(), limit_s)
            told = server.wait_for(self._version(), wait_s)
        finally:
            server.close()
        if server.scrapes and not told:
            log.warning("Prometheus did not scrape the last seconds: no scrape came within %g s", wait_s)
        return {"scrapes": server.scrapes, "all_scraped": told, **pushed}
