"""The commands that start and stop the StatsD exporter in the current session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadflow.engine.exporters.shared.arguments import MAX_SERIES, filled, refuse_host
from loadflow.engine.exporters.shared.exporter import start_in, stop_in
from loadflow.engine.script.command import QUICK, SERVER, Command
from loadflow.engine.session.session import Session, current_session
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from loadflow.engine.exporters.statsd.statsd import Writer

__all__ = ["START", "STOP", "start_statsd_exporter", "stop_statsd_exporter"]

# The exporter is imported when one starts: most scripts have none.


def start_statsd_exporter(
    host: str = "127.0.0.1",
    port: int = 8125,
    transport: str = "udp",
    *,
    prefix: str = "loadflow",
    tag_format: str = "none",
    tags: dict[str, str] | None = None,
    timeout: float = 2.0,
    max_series: int = MAX_SERIES,
    queue_lines: int = 100_000,
    batch_lines: int = 5_000,
    flush_s: float = 10.0,
) -> None:
    """Send the counts of each second of this script's loads to a StatsD server, by `transport` "udp" or "tcp".

    Each line is a counter or a gauge whose name begins with `prefix`. With `tag_format` "dogstatsd" method, name, run, scenario and
    target are tags in Datadog's form, and so are `tags`; with "none" method and name are parts of the metric's name. `timeout`: seconds
    to connect and to send over TCP. A server that is away is tried again over TCP, while up to `queue_lines` wait; beyond that the
    oldest are dropped, and counted. `flush_s`: how long stopping may take. `host` may hold ${env.…} and ${var.…}.

    >>> start_statsd_exporter("127.0.0.1", 8125)  # doctest: +SKIP
    """
    given = dict(locals())
    from loadflow.engine.exporters.statsd.statsd import StatsdExporter

    session = current_session()
    host = str(filled("host", host, session))
    refuse_host("host", host, session)

    def make() -> StatsdExporter:
        return StatsdExporter(
            _writer(transport, host, port, timeout, session),
            prefix=prefix.strip("."),
            tags=(tags or {}) if tag_format == "dogstatsd" else None,
            max_series=max_series,
            queue_lines=queue_lines,
            batch_lines=batch_lines,
            flush_s=flush_s,
        )

    start_in(session, StatsdExporter, {**given, "host": host}, make)


def stop_statsd_exporter() -> dict[str, object]:
    """Send what is waiting and stop; returns how many lines were written and dropped. Does no harm where nothing was started."""
    return stop_in(current_session(), "StatsD")


def _writer(transport: str, host: str, port: int, timeout_s: float, session: Session) -> Writer:
    from loadflow.engine.exporters.shared.lines import TcpWriter, UdpWriter

    lists = session.target.export_lists()
    if transport == "tcp":
        return TcpWriter(host, port, timeout_s, lists)
    try:
        return UdpWriter(host, port, lists)
    except OSError as error:
        raise CommandError([Mistake("host", f"{host!r} can't be sent to: {error.strerror}", "give a name or an address")]) from None


START = Command(
    "LD_start_statsd_exporter",
    start_statsd_exporter,
    "Send the counts of later loads to a StatsD server.",
    SERVER,
    model="loadflow.engine.exporters.statsd.model:StartStatsdExporter",
    dry=True,
    group="exporters",
    returns="null",
    example={"host": "127.0.0.1", "port": 8125, "tag_format": "dogstatsd", "tags": {"env": "ci"}},
)
STOP = Command(
    "LD_stop_statsd_exporter",
    stop_statsd_exporter,
    "Send the waiting lines, and stop sending to StatsD.",
    QUICK,
    dry=True,
    group="exporters",
    returns="object: status, lines written and dropped",
)
