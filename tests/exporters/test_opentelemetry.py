"""The OpenTelemetry exporter: what real receivers of OTLP decode is what was counted, over gRPC and HTTP."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme

from loadflow.engine.exporters.otlp.command import start_opentelemetry_exporter, stop_opentelemetry_exporter
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import SeriesName
from loadflow.engine.session.guard import Guard
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError
from tests.exporters.feeding import GET_A, Feed, a_run, session
from tests.exporters.otlp_peers import GrpcPeer, HttpPeer
from tests.exporters.servers import wait_until

PEERS = {"grpc": GrpcPeer, "http": HttpPeer}
LABELS = {"run": "r1", "scenario": "examples/shop.json", "target": "http://shop.test:8080"}
OF_A = {"request_type": "GET", "name": "/a", **LABELS}
ALL = {"status": "stopped", "failed": 0, "all_exported": True}


def feed_of(one: Session, folder: Path) -> Feed:
    return Feed(one.exporters["OpenTelemetry"], a_run(folder, id="r1"))


@pytest.mark.parametrize("protocol", PEERS)
def test_what_is_decoded_is_what_was_counted(protocol: str, tmp_path: Path) -> None:
    times = [float(value) for value in np.random.default_rng(5).lognormal(3, 1, 1_000)]
    with PEERS[protocol]() as peer, session() as one:
        assert start_opentelemetry_exporter(peer.url, "nightly", protocol=protocol, resource={"team": "shop"}, headers={"X-Key": "abc"})
        feed = feed_of(one, tmp_path)
        feed.second(
            {GET_A: (times[:500], (200,))},
            health=Health(users=5, in_flight=3, cpu=0.5, lag_ms=2),
            late=2,
            dropped=4,
            service_ms=times[:500],
        )
        feed.second({GET_A: (times[500:], ())}, health=Health(users=5, in_flight=3, cpu=0.5, lag_ms=2))
        told = stop_opentelemetry_exporter()
    assert told == {**ALL, "exports": 1}
    assert {"service.name": "nightly", "team": "shop"}.items() <= peer.resource().items()
    assert peer.headers[-1]["x-key"] == "abc"
    assert {name: metric.unit for name, metric in peer.metrics().items()} == {
        "loaddensity.requests": "1",
        "loaddensity.request.latency": "ms",
        "loaddensity.service.time": "ms",
        "loaddensity.response.size": "By",
        "loaddensity.users": "{user}",
        "loaddensity.in_flight": "{request}",
        "loaddensity.generator.cpu": "1",
        "loaddensity.generator.lag": "ms",
        "loaddensity.late": "1",
        "loaddensity.due": "1",
        "loaddensity.dropped": "1",
    }
    counts = {labels["outcome"]: (labels, point.as_int) for labels, point in peer.points("loaddensity.requests")}
    assert counts == {"success": ({**OF_A, "outcome": "success"}, 1_000), "failure": ({**OF_A, "outcome": "failure"}, 1)}
    latency = {labels["outcome"]: point for labels, point in peer.points("loaddensity.request.latency")}
    spread = latency["success"]
    assert (spread.count, sum(spread.positive.bucket_counts), spread.zero_count) == (1_000, 1_000, 0)
    assert spread.sum == pytest.approx(sum(times))
    assert (spread.min, spread.max) == (pytest.approx(min(times), rel=1e-4), pytest.approx(max(times), rel=1e-4))
    base = 2 ** (2**-spread.scale)
    edges = base ** (spread.positive.offset + 1 + np.arange(len(spread.positive.bucket_counts)))
    upper = edges[np.searchsorted(np.cumsum(spread.positive.bucket_counts), 950)]
    assert upper / base * 0.999 <= np.sort(times)[949] <= upper * 1.001, "the 95th percentile lies in the bucket that says so"
    assert latency["failure"].count == 1
    ((labels, service),) = peer.points("loaddensity.service.time")
    assert (labels, service.count, sum(service.positive.bucket_counts)) == (OF_A, 500, 500)
    ((labels, size),) = peer.points("loaddensity.response.size")
    assert (labels, size.count, size.sum, list(size.bucket_counts), size.HasField("max")) == (OF_A, 1_001, 100_100, [1_001], False)
    of_load = {name: peer.points(f"loaddensity.{name}")[0] for name in ("users", "in_flight", "late", "due", "dropped", "generator.cpu")}
    assert {name: point.as_double or point.as_int for name, (_, point) in of_load.items()} == {
        "users": 5,
        "in_flight": 3,
        "late": 2,
        "due": 20,
        "dropped": 4,
        "generator.cpu": 0.5,
    }
    assert {frozenset(labels.items()) for labels, _ in of_load.values()} == {frozenset(LABELS.items())}


def test_totals_grow_from_one_start_time_and_gauges_end_at_zero(tmp_path: Path) -> None:
    with GrpcPeer() as peer, session() as one:
        start_opentelemetry_exporter(peer.url, export_interval_ms=100)
        feed = feed_of(one, tmp_path)
        for second in range(1, 4):
            feed.second({GET_A: ((5.0,), ())})
            wait_until(lambda expected=second: peer.requests_counted() == expected, "an export")
        feed.end()
        assert stop_opentelemetry_exporter()["all_exported"]
        assert peer.points("loaddensity.users")[0][1].as_int == 0
        starts = {
            point.start_time_unix_nano
            for request in peer.requests
            for metric in request.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "loaddensity.requests"
            for point in metric.sum.data_points
        }
        assert len(starts) == 1


@pytest.mark.parametrize("protocol", PEERS)
def test_tls_trusts_whom_it_is_told_to(protocol: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with PEERS[protocol](authority) as peer, session() as one:
        start_opentelemetry_exporter(peer.url, protocol=protocol, ca_file=str(tmp_path / "ca.pem"), compression=True)
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        assert stop_opentelemetry_exporter() == {**ALL, "exports": 1}
        start_opentelemetry_exporter(peer.url, protocol=protocol, timeout=0.5, flush_s=0.1, export_interval_ms=100)
        exporter: Any = one.exporters["OpenTelemetry"]
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        wait_until(lambda: exporter.so_far().failed > 0, "an export failed")
        told = stop_opentelemetry_exporter()
        assert (told["exports"], told["all_exported"]) == (0, False)
    assert peer.requests_counted() == 1


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = authority.issue_cert("loadflow.test")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    files = {"ca_file": str(tmp_path / "ca.pem"), "cert_file": str(tmp_path / "own.pem"), "key_file": str(tmp_path / "own.key")}
    with GrpcPeer(authority, ask_client=True) as peer, session() as one:
        start_opentelemetry_exporter(peer.url, **files)
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        assert stop_opentelemetry_exporter() == {**ALL, "exports": 1}


def test_a_receiver_that_is_away_for_a_while_misses_nothing(tmp_path: Path) -> None:
    with session() as one:
        peer = GrpcPeer()
        peer.start()
        start_opentelemetry_exporter(peer.url, export_interval_ms=100, timeout=1.0)
        feed = feed_of(one, tmp_path)
        feed.second({GET_A: ((5.0,), ())})
        wait_until(lambda: peer.requests_counted() == 1, "an export")
        peer.stop()
        exporter: Any = one.exporters["OpenTelemetry"]
        for _ in range(10):
            feed.second({GET_A: ((5.0,), ())})
        wait_until(lambda: exporter.so_far().failed > 0, "an export failed")
        peer.start()
        try:
            wait_until(lambda: peer.requests_counted() == 11, "an export after the receiver came back")
            assert stop_opentelemetry_exporter()["all_exported"]
        finally:
            peer.stop()


def test_many_names_travel_in_several_requests_and_none_is_lost(tmp_path: Path) -> None:
    with GrpcPeer() as peer, session() as one:
        start_opentelemetry_exporter(peer.url, max_series=1_500, timeout=60)  # a busy machine takes longer than usual for so many
        feed_of(one, tmp_path).second({SeriesName("GET", f"/{number}"): ((5.0,), ()) for number in range(2_000)})
        assert stop_opentelemetry_exporter() == {**ALL, "exports": 1}
    counted: dict[str, int] = {}
    for request in peer.requests:
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.exponential_histogram.data_points:
                (name,) = (entry.value.string_value for entry in point.attributes if entry.key == "name")
                assert name not in counted
                counted[name] = point.count
    assert len(peer.requests) > 1
    assert (len(counted), counted["(other)"], sum(counted.values())) == (1_501, 500, 2_000)


def test_no_secret_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with session() as one, caplog.at_level(logging.DEBUG):
        one.variables.register("key", "s3cret-k3y")
        start_opentelemetry_exporter("http://127.0.0.1:1", headers={"Authorization": "Bearer ${var.key}"}, timeout=0.3, flush_s=0.5)
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        stop_opentelemetry_exporter()
    assert "the last counts could not be sent" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("protocol", PEERS)
def test_headers_of_the_environment_go_along_but_not_for_a_script_that_may_not_read_them(
    protocol: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=s3cret-k3y")
    with PEERS[protocol]() as peer, session() as one:
        start_opentelemetry_exporter(peer.url, protocol=protocol)
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        stop_opentelemetry_exporter()
        assert peer.headers[-1]["x-key"] == "s3cret-k3y"
        one.guard = Guard(tmp_path, env=frozenset())
        with pytest.raises(CommandError, match="the server's environment has OTEL_EXPORTER_OTLP_HEADERS"):
            start_opentelemetry_exporter(peer.url, protocol=protocol)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": "127.0.0.1:4317"}, "endpoint: is not an http:// or https:// URL"),
    ({"protocol": "udp"}, "protocol: 'udp' is not a protocol"),
    ({"ca_file": "/no/such.pem"}, "ca_file: '/no/such.pem' can't be read: No such file"),
    ({"protocol": "http", "endpoint": "https://a", "ca_file": "/no/such.pem"}, "ca_file: '/no/such.pem' can't be read: No such file"),
    ({"cert_file": "own.pem"}, "key_file: is missing"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_is_told_before_anything_is_sent(arguments: dict[str, Any], message: str) -> None:
    with session() as one, pytest.raises(CommandError, match=message):
        start_opentelemetry_exporter(**arguments)
    assert one.observers == []
