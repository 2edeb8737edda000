"""Exporters send only where whoever runs the process lets them, and say so before anything is sent."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.exporters.influxdb.command import start_influxdb_sink
from loadflow.engine.exporters.influxdb.writers import BucketWriter, UrlWriter
from loadflow.engine.exporters.otlp.command import start_opentelemetry_exporter
from loadflow.engine.exporters.otlp.otlp import Otlp
from loadflow.engine.exporters.prometheus.command import start_prometheus_exporter
from loadflow.engine.exporters.prometheus.pushing import gateway_push
from loadflow.engine.exporters.shared import way
from loadflow.engine.exporters.shared.lines import UdpWriter
from loadflow.engine.exporters.shared.posting import Post
from loadflow.engine.exporters.shared.trouble import Unreachable
from loadflow.engine.exporters.statsd.command import start_statsd_exporter
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.session.execute import execute_action
from loadflow.errors import CommandError, ScriptError
from tests.exporters.feeding import session
from tests.exporters.servers import Answering

TARGETS = "LOADFLOW_ALLOWED_HOSTS"
EXPORTS = "LOADFLOW_ALLOWED_EXPORT_HOSTS"

# each way out of the machine, as a command and the argument that names the host
WAYS: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("a Pushgateway", start_prometheus_exporter, "push_gateway", {"port": 0, "push_gateway": "http://HOST:9091"}),
    ("remote write", start_prometheus_exporter, "remote_write", {"port": 0, "remote_write": "http://HOST:9090/api/v1/write"}),
    ("InfluxDB by UDP", start_influxdb_sink, "host", {"host": "HOST"}),
    ("InfluxDB 1 by HTTP", start_influxdb_sink, "url", {"transport": "http", "url": "http://me:secret@HOST:8086/write?db=load"}),
    ("InfluxDB 2", start_influxdb_sink, "url", {"transport": "http", "url": "http://HOST:8086", "bucket": "b", "org": "o"}),
    ("StatsD", start_statsd_exporter, "host", {"host": "HOST"}),
    ("StatsD by TCP", start_statsd_exporter, "host", {"host": "HOST", "transport": "tcp"}),
    ("OTLP", start_opentelemetry_exporter, "endpoint", {"endpoint": "http://HOST:4317", "flush_s": 0}),
    (
        "OTLP traces",
        start_opentelemetry_exporter,
        "traces_endpoint",
        {"endpoint": "http://127.0.0.1:1", "trace_sample_rate": 1, "traces_endpoint": "http://HOST:4317", "flush_s": 0},
    ),
]


def at(host: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {key: value.replace("HOST", host) if isinstance(value, str) else value for key, value in arguments.items()}


@pytest.mark.parametrize(("start", "argument", "arguments"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_no_way_leads_to_a_host_that_is_not_allowed(
    start: Any, argument: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EXPORTS, "grafana.test, 10.0.0.0/8")
    with session() as one:
        with pytest.raises(CommandError, match=f"{argument}: 192.0.2.1 may not be exported to; allowed: grafana.test, 10.0.0.0/8") as told:
            start(**at("192.0.2.1", arguments))
        assert (EXPORTS in str(told.value), "secret" in str(told.value), one.observers) == (True, False, [])
        start(**at("127.0.0.1", arguments))
        assert len(one.observers) == 1


LISTS: list[tuple[str, str | None, str | None, tuple[str, ...] | None, str, bool]] = [
    ("without a list any host may be exported to", None, None, None, "192.0.2.1", True),
    ("hosts that may be loaded may be exported to", "192.0.2.0/24", None, None, "192.0.2.1", True),
    ("other hosts may not", "192.0.2.0/24", None, None, "198.51.100.1", False),
    ("a target's own list counts as well", None, None, ("shop.test",), "192.0.2.1", False),
    ("a list for exporters stands in the place of both", "shop.test", "192.0.2.1", ("shop.test",), "192.0.2.1", True),
    ("and does not add to them", "192.0.2.1", "grafana.test", None, "192.0.2.1", False),
    ("an empty list allows this machine", None, "", None, "127.0.0.1", True),
    ("and no other", None, "", None, "192.0.2.1", False),
]


@pytest.mark.parametrize(("targets", "exports", "own", "host", "allowed"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_which_list_holds(
    targets: str | None, exports: str | None, own: tuple[str, ...] | None, host: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, text in ((TARGETS, targets), (EXPORTS, exports)):
        monkeypatch.setenv(variable, text) if text is not None else monkeypatch.delenv(variable, raising=False)
    with session() as one:
        one.target = TargetRules(allowed_hosts=own)
        if not allowed:
            with pytest.raises(CommandError, match="may not be exported to"):
                start_influxdb_sink(host=host)
        else:
            start_influxdb_sink(host=host)


# each reads as one host to urllib.parse and as another one to a client
@pytest.mark.parametrize(
    "url", ["http://evil.test\\@grafana.test/write", "http://grafana.test /write", "http://evil.test\t@grafana.test/write"]
)
def test_a_url_that_hides_its_host_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXPORTS, "grafana.test")
    with session(), pytest.raises(CommandError, match="is not an http:// or https:// URL"):
        start_influxdb_sink("http", url=url)


def test_what_the_environment_says_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXPORTS, "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.1:4317")
    with session():
        assert start_opentelemetry_exporter(flush_s=0)


def test_a_script_that_fills_the_host_in_is_refused_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(EXPORTS, "")
    monkeypatch.setenv("COLLECTOR", "192.0.2.1")
    with session() as one:
        one.runs_dir = tmp_path
        with pytest.raises(ScriptError, match=r"endpoint: 192\.0\.2\.1 may not be exported to"):
            execute_action([["LD_start_opentelemetry_exporter", {"endpoint": "http://${env.COLLECTOR}:4317"}]])


class Resolver:
    """Answers `localhost` with the next of its addresses, the last one for ever; other hosts as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self._addresses = list(addresses)
        self.asked = 0
        self._known = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, *rest: Any, **options: Any) -> Any:
        if host != "localhost":
            return self._known(host, *rest, **options)
        self.asked += 1
        return self._known(self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0], *rest, **options)


def posted(url: str, lists: Any) -> None:
    Post(url, {}, 2.0, None, lists)(b"x")


def pushed(url: str, lists: Any) -> None:
    from prometheus_client import CollectorRegistry

    gateway_push(url, "job", CollectorRegistry(), 2.0, lists)()


def exported(url: str, lists: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    MeterProvider([reader]).get_meter("m").create_counter("c").add(1)
    Otlp(url, "http", timeout_s=1.0, lists=lists).metric_exporter().export(reader.get_metrics_data())


SENDERS: list[tuple[str, Any]] = [
    ("a POST", posted),
    ("a Pushgateway", pushed),
    ("InfluxDB 1", lambda url, lists: UrlWriter(f"{url}/write", None, 2.0, None, lists)(["a b=1"])),
    ("InfluxDB 2", lambda url, lists: BucketWriter(url, "t", "o", "b", 2.0, None, lists)(["a b=1"])),
    ("OTLP over HTTP", exported),
]


@pytest.mark.parametrize("send", [row[1] for row in SENDERS], ids=[row[0] for row in SENDERS])
def test_what_was_looked_at_is_what_is_connected_to(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's second answer is one that may not be sent to: it is never asked for."""
    with Answering() as server:
        resolver = Resolver(monkeypatch, "127.0.0.1", "192.0.2.1")
        send(server.url.replace("127.0.0.1", "localhost"), ((),))
        assert (len(server.requests), resolver.asked) == (1, 1)
        assert server.requests[0][0]["host"].startswith("localhost:"), "the server's name stays"


@pytest.mark.parametrize("send", [row[1] for row in SENDERS], ids=[row[0] for row in SENDERS])
def test_localhost_that_is_another_machine_gets_no_connection(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, "192.0.2.1")
    connected: list[Any] = []
    known = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: (connected.append(address), known(self, address))[1])
    try:
        send("http://localhost:9", ((),))
    except Unreachable as error:
        assert "can't be reached" in str(error)
    assert [address for address in connected if address[0] == "192.0.2.1"] == []


def test_datagrams_and_channels_stay_with_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, "127.0.0.1", "127.0.0.1", "192.0.2.1")
    UdpWriter("localhost", 9, ((),)).close()
    assert way.grpc_options("http://localhost:4317", ((),))[0] == "ipv4:127.0.0.1:4317"
    assert resolver.asked == 2
    for ask in (lambda: UdpWriter("localhost", 9, ((),)), lambda: way.grpc_options("https://localhost", ((),))):
        with pytest.raises(PermissionError, match="localhost is not only this machine"):
            ask()


@pytest.mark.parametrize(("start", "argument", "arguments"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_a_command_refuses_localhost_that_is_another_machine(
    start: Any, argument: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EXPORTS, "grafana.test")
    Resolver(monkeypatch, "192.0.2.1")
    with session(), pytest.raises(CommandError, match=f"{argument}: localhost may not be exported to; allowed: grafana.test"):
        start(**at("localhost", arguments))
