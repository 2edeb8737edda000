"""The Prometheus exporter, scraped by a real Prometheus and by hand."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadflow.engine.exporters.prometheus.command import start_prometheus_exporter, stop_prometheus_exporter
from loadflow.engine.exporters.prometheus.native import asks_for_protobuf
from loadflow.engine.exporters.prometheus.prometheus import PrometheusExporter
from loadflow.engine.exporters.prometheus.scraping import last_scrape_wait_s
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import SeriesName
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.own_commands import add_command_to_executor
from loadflow.errors import CommandError, RunError
from tests.exporters.feeding import GET_A, Feed, a_run, session
from tests.exporters.servers import Prometheus, fetch, free_port, wait_until
from tests.targets.fixture import Target

LABELS = {"run": "r1", "scenario": "examples/shop.json", "target": "http://shop.test:8080"}
Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def started(one: Any, **options: Any) -> PrometheusExporter:
    start_prometheus_exporter(0, **options)
    exporter = one.exporters["Prometheus"]
    assert isinstance(exporter, PrometheusExporter)
    return exporter


def scraped(port: int) -> Found:
    """What a scraper reads: the value of each series by its name and labels."""
    families = text_string_to_metric_families(fetch(f"http://127.0.0.1:{port}/metrics").decode())
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}


def successes(found: Found) -> list[float]:
    return sorted(
        value for (name, labels), value in found.items() if name == "loaddensity_requests_total" and ("outcome", "success") in labels
    )


def test_names_labels_and_values_are_those_that_the_docs_promise(tmp_path: Path) -> None:
    with session() as one:
        exporter = started(one)
        feed = Feed(exporter, a_run(tmp_path, id="r1"))
        feed.second({GET_A: ((3, 7, 60), (200,))}, health=Health(users=5, in_flight=3, cpu=0.5, lag_ms=2.0), dropped=2, late=4)
        feed.second({GET_A: ((3,), ())}, health=Health(users=5, in_flight=3, cpu=0.5, lag_ms=2.0), late=1)
        found = scraped(exporter.port)
        of_a = {"request_type": "GET", "name": "/a", **LABELS}
        below = dict(zip((5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000), (2, 3, 3, 3, 4, 5, 5, 5, 5, 5, 5), strict=True))
        expected = [
            ("requests_total", {**of_a, "outcome": "success"}, 4),
            ("requests_total", {**of_a, "outcome": "failure"}, 1),
            *(("request_latency_ms_bucket", {**of_a, "le": f"{bound}.0"}, count) for bound, count in below.items()),
            ("request_latency_ms_bucket", {**of_a, "le": "+Inf"}, 5),
            ("request_latency_ms_sum", of_a, 273),
            ("request_latency_ms_count", of_a, 5),
            ("response_bytes_sum", of_a, 500),
            ("response_bytes_count", of_a, 5),
            ("users", LABELS, 5),
            ("in_flight", LABELS, 3),
            ("late", LABELS, 1),
            ("dropped", LABELS, 0),
            ("generator_cpu", LABELS, 0.5),
            ("generator_lag_ms", LABELS, 2),
            ("late_requests_total", LABELS, 5),
            ("due_passes_total", LABELS, 20),
            ("dropped_passes_total", LABELS, 2),
        ]
        assert found == {(f"loaddensity_{name}", frozenset(labels.items())): value for name, labels, value in expected}
        feed.end()
        assert scraped(exporter.port)["loaddensity_users", frozenset(LABELS.items())] == 0


def test_service_times_are_told_where_there_are_any(tmp_path: Path) -> None:
    with session() as one:
        exporter = started(one)
        Feed(exporter, a_run(tmp_path, id="r1")).second({GET_A: ((30, 70), ())}, service_ms=(20, 70))
        found = scraped(exporter.port)
    of_a = {"request_type": "GET", "name": "/a", **LABELS}
    below = {
        edge: found["loaddensity_service_time_ms_bucket", frozenset({**of_a, "le": edge}.items())] for edge in ("10.0", "25.0", "+Inf")
    }
    assert below == {"10.0": 0, "25.0": 1, "+Inf": 2}
    assert found["loaddensity_service_time_ms_sum", frozenset(of_a.items())] == 90


def test_a_real_prometheus_gives_the_right_rate_and_p95_and_gets_the_last_second(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    times = [float(value) for value in random.uniform(10, 200, 100)]
    bounds = [float(bound) for bound in range(10, 210, 10)]
    with session() as one:
        exporter = started(one, buckets_ms=bounds)
        with Prometheus(exporter.port).running() as prometheus:
            feed = Feed(exporter, a_run(tmp_path))
            fed = 0

            def next_second() -> None:
                nonlocal fed
                before = exporter.scrapes
                feed.second({GET_A: (times[:90], times[90:])})
                fed += 100
                wait_until(lambda: exporter.scrapes > before, "a scrape")

            def agrees() -> bool:
                """Held against the samples that Prometheus took, at its own times: a late scrape is not a wrong rate."""
                next_second()
                every = prometheus.query("sum(loaddensity_requests_total)")
                if not every:
                    return False
                at_s = every[0]["value"][0]
                rate = prometheus.number("sum(rate(loaddensity_requests_total[4s]))", at_s)
                samples = prometheus.query('loaddensity_requests_total{outcome="success"}[4s]', at_s)
                if rate is None or not samples or len(samples[0]["values"]) < 6:
                    return False
                (first_s, first), (last_s, last) = samples[0]["values"][0], samples[0]["values"][-1]
                slope = (float(last) - float(first)) / 0.9 / (last_s - first_s)
                return bool(abs(rate - slope) < 0.05 * slope)

            wait_until(agrees, "the rate is that of the hits")
            p95 = prometheus.number("histogram_quantile(0.95, sum by (le) (rate(loaddensity_request_latency_ms_bucket[4s])))")
            assert p95 == pytest.approx(np.quantile(times, 0.95), abs=10), "a bucket is 10 ms wide"
            feed.second({GET_A: (times, ())})
            feed.end()
            stopped = stop_prometheus_exporter()
            assert stopped["status"] == "stopped"
            assert stopped["all_scraped"]
            total = "sum(last_over_time(loaddensity_requests_total[10m]))"
            wait_until(lambda: prometheus.number(total) == fed + 100, "the last second is there")


def test_start_stop_and_start_again_on_the_same_port(tmp_path: Path) -> None:
    with session() as one:
        port = start_prometheus_exporter(0)
        assert stop_prometheus_exporter()["status"] == "stopped"
        with socket.create_server(("127.0.0.1", port)):
            pass
        assert start_prometheus_exporter(port) == port
        feed = Feed(one.observers[-1], a_run(tmp_path))
        feed.second({GET_A: ((1,), ())})
        assert successes(scraped(port)) == [1]
        assert start_prometheus_exporter(port) == port, "the same start again does no harm"
        with pytest.raises(CommandError, match="exported to already, with another max_series"):
            start_prometheus_exporter(port, max_series=1)
        stop_prometheus_exporter()
        assert (one.observers, stop_prometheus_exporter()) == ([], {"status": "not started"})


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, session() as one:
        with pytest.raises(RunError, match="can't be listened on for Prometheus: Address already in use"):
            start_prometheus_exporter(taken.getsockname()[1])
        assert one.observers == []


def test_many_names_are_one_beyond_the_cap_and_no_hit_is_lost(tmp_path: Path) -> None:
    with session() as one:
        exporter = started(one, max_series=3)
        for run in ("r1", "r2"):
            feed = Feed(exporter, a_run(tmp_path, id=run))
            for _ in range(2):
                feed.second({SeriesName("GET", f"/{number}"): ((1.0,), ()) for number in range(10)})
        assert successes(scraped(exporter.port)) == [2, 2, 2, 14, 20]


def test_what_a_name_holds_can_not_break_the_exposition(tmp_path: Path) -> None:
    name = 'a"b\\c\nd{e="f"} 1 # é ✓'
    with session() as one:
        exporter = started(one)
        Feed(exporter, a_run(tmp_path)).second({SeriesName("GET", name): ((1,), ())})
        with Prometheus(exporter.port).running() as prometheus:
            found = wait_until(lambda: prometheus.query('loaddensity_requests_total{outcome="success"}'), "a scrape")
            assert [one["metric"]["name"] for one in found] == [name]


def test_a_prometheus_that_asks_gets_native_histograms_and_the_same_numbers(tmp_path: Path) -> None:
    times = [float(value) for value in np.random.default_rng(3).lognormal(3, 1, 2_000)]
    with session() as one:
        exporter = started(one)
        feed = Feed(exporter, a_run(tmp_path))
        with Prometheus(exporter.port, flags=("--enable-feature=native-histograms",)).running() as prometheus:
            feed.second({GET_A: (times[:1_500], times[1_500:1_900]), SeriesName("GET", "/zero"): ((0.0, 0.0), ())})
            wait_until(lambda: prometheus.number("sum(loaddensity_requests_total)") == 1_902, "a scrape")
            feed.second({GET_A: (times[1_900:], ())})
            wait_until(lambda: prometheus.number("sum(loaddensity_requests_total)") == 2_002, "another scrape")
            native = 'loaddensity_request_latency_ms{name="/a"}'
            assert prometheus.number(f"histogram_count({native})") == 2_000
            assert prometheus.number(f"histogram_sum({native})") == pytest.approx(sum(times))
            assert prometheus.number('histogram_count(loaddensity_request_latency_ms{name="/zero"})') == 2
            for q in (0.01, 0.5, 0.95, 0.999):
                found = prometheus.number(f"histogram_quantile({q}, {native})")
                # 16 buckets for each power of two: each is 4.4 % wide
                assert found == pytest.approx(np.quantile(times, q, method="inverted_cdf"), rel=0.05)
            assert prometheus.number("loaddensity_users") == 5
            assert prometheus.number('loaddensity_response_bytes_sum{name="/a"}') == 200_000


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
ACCEPTS = [
    ("", False),
    ("text/plain;version=0.0.4", False),
    ("*/*", False),
    (PROTOBUF, True),
    (f"{PROTOBUF.replace(';', '; ')};q=0.7, text/plain;q=0.3", True),
    (f"application/openmetrics-text;q=0.8, {PROTOBUF};q=0.7", False),
    (PROTOBUF.replace("delimited", "text"), False),
    ("application/vnd.google.protobuf;q=high", False),
]


@pytest.mark.parametrize(("accept", "protobuf"), ACCEPTS)
def test_protobuf_is_for_those_who_like_it_best(accept: str, protobuf: bool) -> None:
    assert asks_for_protobuf(accept) is protobuf


WAITS = [
    ("nobody scrapes", [], 0.0),
    ("somebody looked once", [99.0], 0.0),
    ("the next is due in 2 s", [92.0, 97.0], 4.25),
    ("the last was just now", [85.0, 100.0], 19.75),
    ("the next is too far away", [10.0, 70.0], 0.0),
    ("the scraper went away", [50.0, 55.0], 0.0),
]


@pytest.mark.parametrize(("what", "scraped_at_s", "wait_s"), WAITS, ids=[row[0] for row in WAITS])
def test_the_end_waits_only_for_a_scrape_that_is_due(what: str, scraped_at_s: list[float], wait_s: float) -> None:
    assert last_scrape_wait_s(scraped_at_s, 100.0, 15.0) == wait_s
    assert last_scrape_wait_s(scraped_at_s, 100.0, 0.0) == 0.0, "told never to wait"


def test_a_script_stops_what_it_started_and_every_hit_was_told(target: Target, tmp_path: Path) -> None:
    """Also over two loads, and the port is free when the script is over."""
    port = free_port()
    test = {"user_count": 2, "spawn_rate": 100, "iterations": 5, "tasks": [{"method": "get", "request_url": f"{target.url}/ok"}]}
    load = ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, **test}]
    seen: Found = {}

    def look() -> None:
        seen.update(scraped(port))

    target.reset()
    with session() as one:
        one.runs_dir = tmp_path
        add_command_to_executor({"look": look})
        results = execute_action([["LD_start_prometheus_exporter", {"port": port}], load, load, ["look"]])
        results.raise_for_failure()
        assert (one.exporters, one.observers) == ({}, [])
    assert successes(seen) == [10, 10]
    assert target.counts() == {"/ok": 20}
    with socket.create_server(("127.0.0.1", port)):
        pass
