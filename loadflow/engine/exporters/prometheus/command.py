"""The commands that start and stop the Prometheus exporter in the current session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from loadflow.engine.exporters.shared.arguments import MAX_SERIES, filled, readable, url_of
from loadflow.engine.exporters.shared.exporter import start_in, stop_in
from loadflow.engine.script.command import QUICK, SERVER, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


__all__ = ["PUSH_TIMEOUT_S", "START", "STOP", "start_prometheus_exporter", "stop_prometheus_exporter"]

# The exporter is imported when one starts, and its library with it: most scripts have none.


PUSH_TIMEOUT_S = 5.0  # for one push


def start_prometheus_exporter(
    port: int = 9646,
    addr: str = "127.0.0.1",
    *,
    buckets_ms: list[float] | None = None,
    max_series: int = MAX_SERIES,
    last_scrape_s: float = 15.0,
    push_gateway: str | None = None,
    remote_write: str | None = None,
    push_job: str = "loadflow",
    push_interval_s: float = 5.0,
    push_headers: dict[str, str] | None = None,
    ca_file: str | None = None,
    flush_s: float = 10.0,
) -> int:
    """Serve the counts of this script's loads to Prometheus; returns the port, which is a free one when 0 is asked for.

    `buckets_ms`: upper bounds of the latency histogram, ascending; None: LoadDensity's. `max_series`: different loads and names that
    are counted separately; hits of further names count under "(other)". When it is stopped and a scraper's next visit is due within
    `last_scrape_s`, it waits for that visit, so that the last second is scraped too. Raises RunError when the port is taken.

    If no Prometheus can scrape: `push_gateway` is the URL of a Pushgateway, `remote_write` one that takes remote writes, such as
    http://prometheus:9090/api/v1/write; both are sent to every `push_interval_s` and at the end, as `push_job`. `push_headers` go with
    remote writes, `ca_file` says whom these trust. URLs and headers may hold ${env.…}, ${var.…} and ${secret.…}. `flush_s`: how long
    the last push may take.

    >>> start_prometheus_exporter(port=0)  # doctest: +SKIP
    41873
    """
    given = dict(locals())
    from loadflow.engine.exporters.prometheus import pushing
    from loadflow.engine.exporters.prometheus.prometheus import PrometheusExporter
    from loadflow.engine.exporters.shared.buckets import LATENCY_BOUNDS_MS

    bounds = LATENCY_BOUNDS_MS if buckets_ms is None else tuple(float(bound) for bound in buckets_ms)
    if list(bounds) != sorted(set(bounds)):
        raise CommandError([Mistake("buckets_ms", "must be ascending, each once", "write them from the smallest to the largest")])
    session = current_session()
    lists = session.target.export_lists()
    known = {name: filled(name, given[name], session) for name in ("push_gateway", "remote_write", "push_headers")}
    pushes: dict[str, Callable[[CollectorRegistry], Callable[[], None]]] = {}
    if gateway := url_of("push_gateway", known["push_gateway"], "http://127.0.0.1:9091", session):
        pushes["push_gateway"] = lambda registry: pushing.gateway_push(gateway, push_job, registry, PUSH_TIMEOUT_S, lists)
    if remote := url_of("remote_write", known["remote_write"], "http://127.0.0.1:9090/api/v1/write", session):
        headers = known["push_headers"] or {}
        pushes["remote_write"] = lambda registry: pushing.remote_write(
            remote, push_job, registry, PUSH_TIMEOUT_S, headers=headers, ca_file=ca_file, lists=lists
        )

    readable(ca_file=ca_file)

    def make() -> PrometheusExporter:
        return PrometheusExporter(
            port,
            addr,
            bounds_ms=bounds,
            max_series=max_series,
            last_scrape_s=last_scrape_s,
            pushes=pushes,
            push_interval_s=push_interval_s,
            flush_s=flush_s,
        )

    return start_in(session, PrometheusExporter, {**given, **known, "buckets_ms": bounds}, make).port


def stop_prometheus_exporter() -> dict[str, object]:
    """Free the port; does no harm where nothing was started."""
    return stop_in(current_session(), "Prometheus")


START = Command(
    "LD_start_prometheus_exporter",
    start_prometheus_exporter,
    "Serve the counts of later loads to Prometheus; returns the port.",
    SERVER,
    model="loadflow.engine.exporters.prometheus.model:StartPrometheusExporter",
    dry=True,
    secrets=frozenset({"push_headers"}),
    group="exporters",
    returns="number: the port",
    example={"port": 9646},
)
STOP = Command(
    "LD_stop_prometheus_exporter",
    stop_prometheus_exporter,
    "Stop serving Prometheus.",
    QUICK,
    dry=True,
    group="exporters",
    returns="object: status, and how often it was scraped",
)
