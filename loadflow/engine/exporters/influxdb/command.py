"""The commands that start and stop the InfluxDB sink in the current session."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loadflow.engine.exporters.shared.arguments import MAX_SERIES, filled, readable, refuse_host, url_of
from loadflow.engine.exporters.shared.exporter import start_in, stop_in
from loadflow.engine.plan.target import HostLists
from loadflow.engine.script.command import QUICK, SERVER, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from loadflow.engine.exporters.influxdb.influxdb import Writer


__all__ = ["INFLUX_EXAMPLE", "START", "STOP", "start_influxdb_sink", "stop_influxdb_sink"]

# The exporter is imported when one starts, and its library with it: most scripts have none.


INFLUX_EXAMPLE = "http://127.0.0.1:8086/write?db=load, or http://127.0.0.1:8086 with a bucket"


def start_influxdb_sink(
    transport: str = "udp",
    host: str = "127.0.0.1",
    port: int = 8089,
    url: str | None = None,
    token: str | None = None,
    measurement: str = "loaddensity_request",
    timeout: float = 2.0,
    *,
    org: str | None = None,
    bucket: str | None = None,
    ca_file: str | None = None,
    tags: dict[str, str] | None = None,
    max_series: int = MAX_SERIES,
    queue_points: int = 100_000,
    batch_points: int = 5_000,
    flush_s: float = 10.0,
) -> None:
    """Write a point for each name and second of this script's loads to InfluxDB.

    `transport` "udp" sends lines to `host` and `port`; "http" posts them to `url` as it is (InfluxDB 1.x), or, with `bucket` (and
    `org`), writes them by influxdb-client to the server at `url` (InfluxDB 2 and 3). `timeout`: seconds for one answer. A server that is
    away is tried again, while up to `queue_points` wait; beyond that the oldest are dropped, and counted. `flush_s`: how long
    stopping may take. `url`, `token` and `org` may hold ${env.…}, ${var.…} and ${secret.…}. `ca_file`: whom to trust, PEM. `tags`: for
    every point.

    >>> start_influxdb_sink("http", url="http://127.0.0.1:8086/write?db=load")  # doctest: +SKIP
    """
    given = dict(locals())
    from loadflow.engine.exporters.influxdb.influxdb import InfluxdbSink

    session = current_session()
    url, token, org = (filled(name, given[name], session) for name in ("url", "token", "org"))
    arguments = {**given, "url": url, "token": token, "org": org}
    if transport == "udp":
        refuse_host("host", host, session)
    else:
        url = url_of("url", url, INFLUX_EXAMPLE, session)

    _refuse_misfit(transport, url, token, org, bucket)
    _refuse_measurement(measurement)
    readable(ca_file=ca_file)

    def make() -> InfluxdbSink:
        return InfluxdbSink(
            _influx_writer(transport, host, port, url, token, timeout, org, bucket, ca_file, session.target.export_lists()),
            measurement=measurement,
            tags=tags or {},
            max_series=max_series,
            queue_points=queue_points,
            batch_points=batch_points,
            flush_s=flush_s,
        )

    start_in(session, InfluxdbSink, arguments, make)


def stop_influxdb_sink() -> dict[str, object]:
    """Write what is waiting and stop; returns how many points were written and dropped. Does no harm where nothing was started."""
    return stop_in(current_session(), "InfluxDB")


def _influx_writer(
    transport: str,
    host: str,
    port: int,
    url: str | None,
    token: str | None,
    timeout_s: float,
    org: str | None,
    bucket: str | None,
    ca_file: str | None,
    lists: HostLists,
) -> Writer:
    """Of arguments that go together."""
    from loadflow.engine.exporters.influxdb.writers import BucketWriter, UrlWriter
    from loadflow.engine.exporters.shared.lines import UdpWriter

    if url is None or transport == "udp":
        try:
            return UdpWriter(host, port, lists)
        except OSError as error:
            raise CommandError([Mistake("host", f"{host!r} can't be sent to: {error.strerror}", "give a name or an address")]) from None
    if bucket is None:
        return UrlWriter(url, token, timeout_s, ca_file, lists)
    return BucketWriter(url, token, org or "", bucket, timeout_s, ca_file, lists)


def _refuse_misfit(transport: str, url: str | None, token: str | None, org: str | None, bucket: str | None) -> None:
    """Raises CommandError for arguments of the sink that do not go together."""
    if transport == "udp":
        extra = [name for name, value in (("url", url), ("token", token), ("org", org), ("bucket", bucket)) if value is not None]
        if extra:
            raise CommandError([Mistake(extra[0], "is of no use over UDP", 'use "transport": "http", or leave it out')])
        return
    if transport != "http":
        raise CommandError([Mistake("transport", f"{transport!r} is not a transport", 'use "udp" or "http"')])
    if url is None:
        raise CommandError([Mistake("url", "is missing", f"such as {INFLUX_EXAMPLE}")])
    parts = urlsplit(url)
    if bucket is None:
        if parts.path in ("", "/"):
            raise CommandError([Mistake("url", "names no path to write to", "add /write?db=NAME for InfluxDB 1, or give a bucket")])
    elif parts.query or parts.path.rstrip("/").endswith("/write"):
        raise CommandError([Mistake("url", "is the server's own address where a bucket is given", "leave /api/v2/write and the query out")])


def _refuse_measurement(name: str) -> None:
    """Raises CommandError for a name that line protocol reads as something else."""
    if not name or name.startswith("#") or "\\" in name or not name.isprintable():
        hint = "use a word such as loaddensity_request; it can't start with # or hold a backslash"
        raise CommandError([Mistake("measurement", f"{name!r} can't be written", hint)])


START = Command(
    "LD_start_influxdb_sink",
    start_influxdb_sink,
    "Write the counts of later loads to InfluxDB.",
    SERVER,
    model="loadflow.engine.exporters.influxdb.model:StartInfluxdbSink",
    dry=True,
    servers=frozenset({"url"}),
    group="exporters",
    returns="null",
    example={"transport": "http", "url": "http://127.0.0.1:8086/write?db=load"},
)
STOP = Command(
    "LD_stop_influxdb_sink",
    stop_influxdb_sink,
    "Write the waiting points, and stop writing to InfluxDB.",
    QUICK,
    dry=True,
    group="exporters",
    returns="object: status, points written and dropped",
)
