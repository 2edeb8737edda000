"""Pushes to a real Pushgateway and remote writes to a real Prometheus: the totals arrive, the last second too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from loadflow.engine.exporters.prometheus.command import start_prometheus_exporter, stop_prometheus_exporter
from loadflow.engine.exporters.prometheus.remote_write import snappy_block
from loadflow.engine.records.names import SeriesName
from loadflow.errors import CommandError
from tests.exporters.feeding import GET_A, Feed, a_run, session
from tests.exporters.servers import Prometheus, Pushgateway, fetch, free_port, wait_until


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with Prometheus().running() as server:
        yield server


def test_a_pushgateway_has_the_last_second_of_its_job(tmp_path: Path) -> None:
    with Pushgateway().running() as gateway, session() as one:
        start_prometheus_exporter(0, push_gateway=gateway.url, push_job="nightly/eu")
        feed = Feed(one.exporters["Prometheus"], a_run(tmp_path))
        for _ in range(3):
            feed.second({GET_A: ((5.0,), ())})
        assert stop_prometheus_exporter()["push_gateway"] == {"sent": 1, "failed": 0, "complete": True}
        families = text_string_to_metric_families(fetch(f"{gateway.url}/metrics").decode())
        found = [sample for family in families for sample in family.samples if sample.name == "loaddensity_requests_total"]
    assert {(one.labels["outcome"], one.labels["job"], one.labels["name"], one.value) for one in found} == {
        ("success", "nightly/eu", "/a", 3),
        ("failure", "nightly/eu", "/a", 0),
    }


def test_remote_writes_are_totals_that_promql_can_read(prometheus: Prometheus, tmp_path: Path) -> None:
    name = 'a "long" name, é ' + "x" * 200
    with session() as one:
        start_prometheus_exporter(0, remote_write=f"{prometheus.url}/api/v1/write", push_interval_s=0.1, push_headers={"X-Key": "abc"})
        exporter: Any = one.exporters["Prometheus"]
        feed = Feed(exporter, a_run(tmp_path))
        for number in range(1, 6):
            feed.second({SeriesName("GET", name): ((5.0, 50.0), (500.0,)), SeriesName("", "/b"): ((1.0,), ())})
            wait_until(lambda sent=number: exporter.pushed()["remote_write"].sent >= sent, "a write")
        feed.end()
        told = stop_prometheus_exporter()["remote_write"]
        assert (told["failed"], told["complete"]) == (0, True)
    found = prometheus.query("loaddensity_requests_total")
    assert {(one["metric"]["name"], one["metric"]["outcome"], one["value"][1]) for one in found} == {
        (name, "success", "10"),
        (name, "failure", "5"),
        ("/b", "success", "5"),
        ("/b", "failure", "0"),
    }
    assert {one["metric"]["job"] for one in found} == {"loadflow"}
    assert prometheus.number("sum(increase(loaddensity_requests_total[1m]))") > 0  # type: ignore[operator]
    assert prometheus.number('loaddensity_request_latency_ms_bucket{le="50.0",request_type="GET"}') in (5, 10)
    assert prometheus.number("loaddensity_users") == 0


def test_a_write_larger_than_a_piece_arrives_whole(prometheus: Prometheus, tmp_path: Path) -> None:
    with session() as one:
        start_prometheus_exporter(0, remote_write=f"{prometheus.url}/api/v1/write", push_job="large")
        feed = Feed(one.exporters["Prometheus"], a_run(tmp_path))
        feed.second({SeriesName("GET", f"/{number}/{'x' * 100}"): ((5.0,), ()) for number in range(300)})
        assert stop_prometheus_exporter()["remote_write"]["complete"]
    assert prometheus.number('sum(loaddensity_requests_total{job="large"})') == 300


def test_a_server_that_is_away_is_told_once_and_no_secret_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = f"ann:hunter22@127.0.0.1:{free_port()}"
    with session() as one, caplog.at_level(logging.DEBUG):
        urls = {"remote_write": f"http://{away}/api/v1/write", "push_gateway": f"http://{away}"}
        start_prometheus_exporter(0, **urls, push_interval_s=0.05, flush_s=0.3)  # type: ignore[arg-type]
        exporter: Any = one.exporters["Prometheus"]
        Feed(exporter, a_run(tmp_path)).second({GET_A: ((5.0,), ())})
        wait_until(lambda: all(push.failed > 1 for push in exporter.pushed().values()), "two failures of both")
        told = stop_prometheus_exporter()
    assert not told["remote_write"]["complete"]
    assert not told["push_gateway"]["complete"]
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("loadflow")]
    assert len([one for one in messages if "Connection refused" in one]) == 2
    assert "hunter22" not in caplog.text


@given(st.integers(0, 200_000))
def test_the_snappy_block_is_what_its_format_says(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    assert unpacked(snappy_block(data)) == data


def unpacked(block: bytes) -> bytes:
    """A reader of literals: the length of all, then pieces, each behind its tag and its length less one."""
    length = shift = at = 0
    while True:
        length |= (block[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if block[at - 1] < 0x80:
            break
    found = b""
    while at < len(block):
        assert block[at] == 61 << 2
        size = int.from_bytes(block[at + 1 : at + 3], "little") + 1
        found += block[at + 3 : at + 3 + size]
        at += 3 + size
    assert len(found) == length
    return found


@pytest.mark.parametrize("name", ["push_gateway", "remote_write"])
def test_what_is_no_url_is_a_mistake(name: str) -> None:
    for value in ("127.0.0.1:9091", "http://[::1", "http://a:port/"):
        with session(), pytest.raises(CommandError, match=f"{name}: is not an http:// or https:// URL"):
            start_prometheus_exporter(0, **{name: value})  # type: ignore[arg-type]
