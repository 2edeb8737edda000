"""The InfluxDB sink: a real InfluxDB 1 over UDP and HTTP, and a real server of InfluxDB 2's API; also while they are away."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.exporters.influxdb.command import start_influxdb_sink, stop_influxdb_sink
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import SeriesName
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError, ScriptError
from tests.builders import STARTED_UNIX_S
from tests.exporters.feeding import GET_A, Feed, a_run, session
from tests.exporters.servers import Answering, InfluxDB1, VictoriaMetrics, wait_until

NASTY = ["/a b,c=d", 'say "hi"', "é ✓ 漢", "tab\tand\nfeed", "C:\\dir\\", "\\,x", "a\\\\b", "#no comment", "x=1 2", "'", "\ud800", " "]
READ = ["/a b,c=d", 'say "hi"', "é ✓ 漢", "tab and feed", "C:\\dir/", "/,x", "a/b", "#no comment", "x=1 2", "'", "?", " "]


@pytest.fixture(scope="module")
def influx() -> Iterator[InfluxDB1]:
    with InfluxDB1().running() as server:
        yield server


@pytest.fixture(scope="module")
def victoria() -> Iterator[VictoriaMetrics]:
    with VictoriaMetrics().running() as server:
        yield server


def feed_of(one: Session, folder: Path, **facts: Any) -> Feed:
    return Feed(one.exporters["InfluxDB"], a_run(folder, **facts))


def test_a_point_over_http_has_the_tags_and_fields_that_the_docs_promise(influx: InfluxDB1, tmp_path: Path) -> None:
    with session() as one:
        start_influxdb_sink("http", url=f"{influx.url}/write?db=load", measurement="of_http", tags={"env": "ci"})
        feed = feed_of(one, tmp_path, id="http")
        feed.second({GET_A: ((10, 20, 30), (40,))}, health=Health(5, 3, 0.5, 2.0), late=2, dropped=1, service_ms=(10, 20))
        assert stop_influxdb_sink() == {"status": "stopped", "points_written": 2, "points_dropped": 0}
    (point,) = influx.query("SELECT * FROM of_http")
    latency = {key.removeprefix("latency_"): point.pop(key) for key in list(point) if key.startswith("latency_")}
    expected = {"ms": 25, "min_ms": 10, "p50_ms": 20, "p90_ms": 40, "p95_ms": 40, "p99_ms": 40, "max_ms": 40}
    assert latency == pytest.approx(expected, rel=0.001)
    assert (point.pop("service_ms"), point.pop("service_p95_ms")) == (15, 20)
    assert point == {
        "time": (STARTED_UNIX_S + 1) * 1_000,
        "env": "ci",
        "run": "http",
        "scenario": "examples/shop.json",
        "target": "http://shop.test:8080",
        "request_type": "GET",
        "name": "/a",
        "response_bytes": 100,
        "success": False,
        "error": "status 503",
        "hits": 4,
        "failures": 1,
        "late": 2,
        "retries": 0,
        "sent_bytes": 40,
        "received_bytes": 400,
    }
    (load,) = influx.query("SELECT * FROM loaddensity_load WHERE run = 'http'")
    names = ("users", "in_flight", "late", "due", "dropped", "generator_cpu", "generator_lag_ms")
    assert [load[name] for name in names] == [5, 3, 2, 10, 1, 0.5, 2.0]


def test_every_point_arrives_over_udp(influx: InfluxDB1, tmp_path: Path) -> None:
    with session() as one:
        start_influxdb_sink(host="127.0.0.1", port=influx.udp_port, measurement="of_udp")
        feed = feed_of(one, tmp_path)
        for _ in range(20):
            feed.second({SeriesName("GET", f"/{number}"): ((5.0,), ()) for number in range(10)})
        assert stop_influxdb_sink()["points_dropped"] == 0
    wait_until(lambda: influx.query("SELECT sum(hits) AS hits FROM of_udp") == [{"time": 0, "hits": 200}], "all points are there")


@pytest.mark.parametrize("transport", ["udp", "http"])
def test_any_text_is_one_tag_and_comes_back(influx: InfluxDB1, transport: str, tmp_path: Path) -> None:
    measurement = f"nasty_{transport}"
    with session() as one:
        if transport == "udp":
            start_influxdb_sink("udp", "127.0.0.1", influx.udp_port, measurement=measurement)
        else:
            start_influxdb_sink("http", url=f"{influx.url}/write?db=load", measurement=measurement)
        feed_of(one, tmp_path).second({SeriesName(name, name): ((), (5.0,)) for name in NASTY}, error=NASTY[0] + NASTY[1] + "\\")
        assert stop_influxdb_sink()["points_dropped"] == 0
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        found[:] = influx.query(f'SELECT "request_type", "name", "error" FROM {measurement}')
        return len(found) == len(NASTY)

    wait_until(arrived, "all points are there")
    assert sorted((row["request_type"], row["name"]) for row in found) == sorted(zip(READ, READ, strict=True))
    assert {row["error"] for row in found} == {NASTY[0] + NASTY[1] + "\\"}


def test_the_api_of_influxdb_2_gets_every_line_and_can_read_it(victoria: VictoriaMetrics, tmp_path: Path) -> None:
    with session() as one:
        start_influxdb_sink("http", url=victoria.url, org="us", bucket="load", token="s3cret-t0ken")
        feed = feed_of(one, tmp_path)
        for _ in range(5):
            feed.second({SeriesName("GET", name): ((5.0, 6.0), ()) for name in NASTY})
        assert stop_influxdb_sink() == {"status": "stopped", "points_written": 65, "points_dropped": 0}
    hits = victoria.export("loaddensity_request_hits")
    assert {series["metric"]["name"] for series in hits} == set(READ)
    assert sum(sum(series["values"]) for series in hits) == 120
    assert victoria.own('vm_rows_invalid_total{type="influx"}') == 0


def away(server: Any, meanwhile: Callable[[], None]) -> None:
    server.stop()
    try:
        meanwhile()
    finally:
        server.start()


def test_a_server_that_is_away_for_a_while_misses_nothing_that_the_queue_holds(victoria: VictoriaMetrics, tmp_path: Path) -> None:
    with session() as one:
        start_influxdb_sink("http", url=victoria.url, bucket="load", measurement="held")
        feed = feed_of(one, tmp_path)
        for _ in range(5):
            feed.second({GET_A: ((5.0,), ())})
        away(victoria, lambda: [feed.second({GET_A: ((5.0,), ())}) for _ in range(10)] and None)
        for _ in range(5):
            feed.second({GET_A: ((5.0,), ())})
        assert stop_influxdb_sink() == {"status": "stopped", "points_written": 40, "points_dropped": 0}
    (series,) = victoria.export("held_hits")
    assert series["timestamps"] == [round((STARTED_UNIX_S + second + 1) * 1_000) for second in range(20)]
    assert set(series["values"]) == {1}


def test_beyond_the_queue_the_oldest_are_dropped_and_counted(influx: InfluxDB1, tmp_path: Path) -> None:
    with session() as one:
        start_influxdb_sink("http", url=f"{influx.url}/write?db=load", measurement="beyond", queue_points=10)
        feed = feed_of(one, tmp_path)

        def load() -> None:
            for _ in range(20):
                feed.second({GET_A: ((5.0,), ())})

        away(influx, load)
        told = stop_influxdb_sink()
    assert told["points_written"] + told["points_dropped"] == 40
    assert told["points_written"] == 10
    seconds = [row["time"] for row in influx.query("SELECT hits FROM beyond")]
    assert seconds[-1] == (STARTED_UNIX_S + 20) * 1_000
    assert len(seconds) in (4, 5, 6)  # the first few may have been in hand when the server went


def test_an_end_without_a_server_is_quick_and_tells_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one_port:
        port = one_port.getsockname()[1]
    with session() as one, caplog.at_level(logging.DEBUG):
        start_influxdb_sink("http", url=f"http://ann:hunter22@127.0.0.1:{port}/write?db=x&p=hunter22", token="s3cret-t0ken", flush_s=0.2)
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        wait_until(lambda: "can't be reached" in caplog.text, "a try")
        assert stop_influxdb_sink() == {"status": "stopped", "points_written": 0, "points_dropped": 2}
    told = caplog.text
    assert f"http://127.0.0.1:{port}/write can't be reached (Connection refused)" in told
    assert "2 of 2 were not delivered" in told
    assert "hunter22" not in told
    assert "s3cret" not in told


ANSWERS = [
    ("busy, then fine", [(503, ""), (429, ""), (500, "")], 4, 2, 0),
    ("refused", [(401, "unauthorized")], 1, 0, 2),
    ("one line refused", [(400, '{"error":"partial write: field type conflict dropped=1"}')], 1, 1, 1),
]


@pytest.mark.parametrize("bucket", [None, "load"], ids=["1.x", "2.x"])
@pytest.mark.parametrize(("what", "answers", "requests", "written", "dropped"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_what_an_answer_means(
    what: str, answers: list[tuple[int, str]], requests: int, written: int, dropped: int, bucket: str | None, tmp_path: Path
) -> None:
    with Answering(*answers) as server, session() as one:
        start_influxdb_sink("http", url=server.url + ("" if bucket else "/write?db=x"), bucket=bucket, token="s3cret-t0ken")
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        assert stop_influxdb_sink() == {"status": "stopped", "points_written": written, "points_dropped": dropped}
        assert len(server.requests) == requests
        assert {head["authorization"] for head, _ in server.requests} == {"Token s3cret-t0ken"}


def test_a_token_may_be_a_variable_of_the_environment_a_secret_or_a_registered_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "of-env")
    monkeypatch.setenv("LOADFLOW_SECRET_INFLUX", "of-secret")
    found = []
    for token in ("${env.INFLUX_TOKEN}", "${secret.INFLUX}", "${var.influx}"):
        with Answering() as server, session() as one:
            one.variables.register("influx", "of-var")
            start_influxdb_sink("http", url=f"{server.url}/write?db=x", token=token)
            feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
            stop_influxdb_sink()
            found.append(server.requests[0][0]["authorization"])
    assert found == ["Token of-env", "Token of-secret", "Token of-var"]


def test_the_old_form_posts_plain_text_and_the_user_of_the_url(tmp_path: Path) -> None:
    with Answering() as server, session() as one:
        start_influxdb_sink("http", url=server.url.replace("://", "://ann:p%40ss@") + "/write?db=x")
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        stop_influxdb_sink()
        ((head, body),) = server.requests
    assert head["content-type"] == "text/plain; charset=utf-8"
    assert head["authorization"] == "Basic YW5uOnBAc3M="
    assert not body.endswith(b"\n")


MISTAKES = [
    ({"transport": "tcp"}, r"transport: 'tcp' is not a transport"),
    ({"transport": "http"}, "url: is missing; such as"),
    ({"transport": "http", "url": "ftp://a/b"}, "url: is not an http:// or https:// URL"),
    ({"transport": "http", "url": "http://a"}, "url: names no path to write to"),
    ({"transport": "http", "url": "http://a/api/v2/write?bucket=b", "bucket": "b"}, "url: is the server's own address"),
    ({"transport": "http", "url": "http://a/write?db=${env.NO_SUCH_DATABASE}"}, r"url: \$\{env.NO_SUCH_DATABASE\}"),
    ({"url": "http://a/write?db=x"}, "url: is of no use over UDP"),
    ({"host": "no.such.host.invalid"}, "host: .* can't be sent to"),
    ({"transport": "http", "url": "https://a/write", "ca_file": "/no/such.pem"}, "ca_file: '/no/such.pem' can't be read"),
    ({"measurement": "#x"}, "measurement: '#x' can't be written"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_is_told_before_anything_is_sent(arguments: dict[str, Any], message: str) -> None:
    with session() as one, pytest.raises(CommandError, match=message):
        start_influxdb_sink(**arguments)
    assert one.observers == []


def test_a_script_with_an_unknown_transport_is_refused_before_it_runs() -> None:
    with pytest.raises(ScriptError, match=r"actions\[0\].transport: 'upd' is not a transport; did you mean 'udp'"):
        load_script([["LD_start_influxdb_sink", {"transport": "upd"}]], session=Session())
