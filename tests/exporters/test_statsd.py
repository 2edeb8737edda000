"""The StatsD exporter: what a real socket receives over UDP and TCP, plain and with tags in Datadog's form."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.exporters.statsd.command import start_statsd_exporter, stop_statsd_exporter
from loadflow.engine.exporters.statsd.line import counter, gauge, metric_word
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import SeriesName
from loadflow.engine.session.execute import execute_action, load_script
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError, ScriptError
from tests.exporters.feeding import GET_A, Feed, a_run, session
from tests.exporters.servers import wait_until


class Receiver:
    """Keeps every line that comes, over UDP or TCP; TCP connections can be cut."""

    def __init__(self, kind: int, port: int = 0) -> None:
        self.text = ""
        self.connections: list[socket.socket] = []
        self._kind = kind
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            self._socket.listen()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def _listen(self) -> None:
        try:
            while True:
                if self._kind == socket.SOCK_DGRAM:
                    data = self._socket.recv(65_536)
                    if data == b"end":
                        return
                    self.text += data.decode() + "\n"
                else:
                    connection, _ = self._socket.accept()
                    self.connections.append(connection)
                    self._threads.append(threading.Thread(target=self._read, args=(connection,), daemon=True))
                    self._threads[-1].start()
        except OSError:
            return

    def _read(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65_536):
                self.text += data.decode()
        except OSError:
            return

    def close(self) -> None:
        if self._kind == socket.SOCK_DGRAM:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", ("127.0.0.1", self.port))
        else:
            self._socket.shutdown(socket.SHUT_RDWR)
            self.cut()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def cut(self) -> None:
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()


@contextmanager
def receiver(kind: int, port: int = 0) -> Iterator[Receiver]:
    made = Receiver(kind, port)
    try:
        yield made
    finally:
        made.close()


def feed_of(one: Session, folder: Path, **facts: Any) -> Feed:
    return Feed(one.exporters["StatsD"], a_run(folder, **facts))


OF_A = [
    "hits:4|c",
    "failures:1|c",
    "late:2|c",
    "retries:0|c",
    "sent_bytes:40|c",
    "received_bytes:400|c",
    "latency_ms.mean:25|g",
    "latency_ms.max:40|g",
]
OF_LOAD = ["due:10|c", "dropped:1|c", "users:5|g", "in_flight:3|g", "generator_cpu:0.5|g", "generator_lag_ms:2|g"]


@pytest.mark.parametrize(("transport", "kind"), [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM)])
def test_a_second_is_counters_and_gauges_of_each_name_and_of_the_load(transport: str, kind: int, tmp_path: Path) -> None:
    with receiver(kind) as server, session() as one:
        start_statsd_exporter("127.0.0.1", server.port, transport)
        feed = feed_of(one, tmp_path)
        feed.second({GET_A: ((10, 20, 30), (40,))}, health=Health(5, 3, 0.5, 2.0), late=2, dropped=1)
        told = stop_statsd_exporter()
        wait_until(lambda: len(server.lines) == 18, "all lines are there")
    assert told == {"status": "stopped", "lines_written": 18, "lines_dropped": 0}
    assert [line.removeprefix("loadflow.request.GET.a.") for line in server.lines[:8]] == OF_A
    quantiles = dict(line.removeprefix("loadflow.request.GET.a.latency_ms.").removesuffix("|g").split(":") for line in server.lines[8:12])
    assert {name: float(value) for name, value in quantiles.items()} == pytest.approx(
        {"p50": 20, "p90": 40, "p95": 40, "p99": 40}, rel=0.001
    )
    assert server.lines[12:] == [f"loadflow.load.{line}" for line in OF_LOAD]


def test_datadog_s_tags_are_behind_each_line(tmp_path: Path) -> None:
    with receiver(socket.SOCK_DGRAM) as server, session() as one:
        start_statsd_exporter(port=server.port, prefix="load.", tag_format="dogstatsd", tags={"env": "ci,1|#"})
        feed = feed_of(one, tmp_path, id="r1", script="shop.json", target="http://shop.test:8080")
        feed.second({GET_A: ((10,), ())}, health=Health(5, 3, 0.5, 2.0))
        stop_statsd_exporter()
        wait_until(lambda: len(server.lines) == 18, "all lines are there")
    load = "env:ci_1_,run:r1,scenario:shop.json,target:http://shop.test:8080"
    assert server.lines[0] == f"load.request.hits:1|c|#{load},request_type:GET,name:/a"
    assert f"load.load.users:5|g|#{load}" in server.lines


def test_two_names_that_are_written_alike_have_metrics_of_their_own(tmp_path: Path) -> None:
    with receiver(socket.SOCK_STREAM) as server, session() as one:
        start_statsd_exporter(port=server.port, transport="tcp")
        feed = feed_of(one, tmp_path)
        feed.second({SeriesName("GET", name): ((5.0,), ()) for name in ("/a/b", "/a.b", "/a:b|c\n", "")})
        stop_statsd_exporter()
        wait_until(lambda: server.text.count(".hits:") == 4, "all lines are there")
    hits = [line for line in server.lines if ".hits:" in line]
    assert hits == [f"loadflow.request.{word}.hits:1|c" for word in ("GET.a_b", "GET.a_b_2", "GET.a_b_c", "GET")]


def test_after_a_load_its_gauges_are_0(tmp_path: Path) -> None:
    with receiver(socket.SOCK_STREAM) as server, session() as one:
        start_statsd_exporter(port=server.port, transport="tcp")
        feed = feed_of(one, tmp_path)
        feed.second({GET_A: ((5.0,), ())}, health=Health(5, 3, 0.5, 2.0))
        feed.end()
        stop_statsd_exporter()
        wait_until(lambda: "load.users:0|g" in server.text, "the end is there")
    users = [line for line in server.lines if ".users:" in line]
    assert users == ["loadflow.load.users:5|g", "loadflow.load.users:0|g"]


def test_a_tcp_server_that_is_away_for_a_while_misses_nothing_that_the_queue_holds(tmp_path: Path) -> None:
    with session() as one:
        with receiver(socket.SOCK_STREAM) as first:
            port = first.port
            start_statsd_exporter(port=port, transport="tcp")
            feed = feed_of(one, tmp_path)
            feed.second({GET_A: ((5.0,), ())})
            wait_until(lambda: ".generator_lag_ms:" in first.text, "the first second is there")
        for _ in range(3):
            feed.second({GET_A: ((5.0,), ())})
        with receiver(socket.SOCK_STREAM, port) as second:
            told = stop_statsd_exporter()
            wait_until(lambda: second.text.count(".generator_lag_ms:") == 3, "the others are there")
            assert second.text.count(".hits:1|c") == 3
    assert told == {"status": "stopped", "lines_written": 72, "lines_dropped": 0}


def test_without_a_server_the_end_is_quick_and_says_what_was_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with session() as one:
        start_statsd_exporter(port=port, transport="tcp", flush_s=0.2)
        feed_of(one, tmp_path).second({GET_A: ((5.0,), ())})
        wait_until(lambda: "can't be reached" in caplog.text, "a try")
        assert stop_statsd_exporter() == {"status": "stopped", "lines_written": 0, "lines_dropped": 18}
    assert f"tcp://127.0.0.1:{port} can't be reached (Connection refused)" in caplog.text
    assert "18 of 18 were not delivered" in caplog.text


WORDS = [("/a b", "a_b"), ("", "_"), ("…", "_"), ("GET /cart/${id}?a=1&b", "GET_cart_id_a_1_b"), ("x" * 300, "x" * 200)]


@pytest.mark.parametrize(("text", "word"), WORDS)
def test_any_text_is_one_part_of_a_name(text: str, word: str) -> None:
    assert metric_word(text) == word


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    tags = {"a:b": "x\ny", "none": "", "k,": "|c|#é:1"}
    assert counter("m", 1, tags) == "m:1|c|#a_b:x_y,k_:_c_é:1"
    assert [gauge("m", value) for value in (float("nan"), -1, 1e-9, 1e12, 0.5)] == [
        "m:0|g",
        "m:0|g",
        "m:0|g",
        "m:1000000000000|g",
        "m:0.5|g",
    ]


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("tags in plain StatsD", {"tags": {"env": "ci"}}, "tags: can't be sent in plain StatsD"),
    ("another transport", {"transport": "http"}, "udp"),
    ("a port of none", {"port": 0}, "port"),
    ("a prefix with a separator", {"prefix": "a:b"}, "prefix"),
    ("a variable without a value", {"host": "${env.NO_SUCH_STATSD}"}, "NO_SUCH_STATSD"),
    ("an unknown key", {"prot": "udp"}, "did you mean"),
]


@pytest.mark.parametrize(("arguments", "told"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_told_before_anything_is_sent(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ScriptError, match=told) as error:
        load_script([["LD_start_statsd_exporter", arguments]], session=Session())
    assert "actions[0][1]" in str(error.value) or "LD_start_statsd_exporter" in str(error.value) or "[0]" in str(error.value)


def test_a_host_without_an_address_is_a_mistake_with_a_way_out() -> None:
    with session(), pytest.raises(CommandError, match=r"host: 'no-such-host\.invalid' can't be sent to.*; give a name or an address"):
        start_statsd_exporter("no-such-host.invalid")


def test_a_script_that_ends_stops_its_exporter(tmp_path: Path) -> None:
    with receiver(socket.SOCK_DGRAM) as server, session() as one:
        start = ["LD_start_statsd_exporter", {"port": server.port}]
        results = execute_action([start, start])
        assert list(results.values()) == [None, None]
        assert (one.exporters, one.observers) == ({}, [])
        stopped = execute_action([start, ["LD_stop_statsd_exporter"], ["LD_stop_statsd_exporter", {}]])
    assert list(stopped.values())[-1] == {"status": "not started"}
