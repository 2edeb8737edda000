"""Traces: the spans that a real receiver decodes are the hits whose `traceparent` the target received, and no others."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from loadflow.engine.exporters.otlp.command import start_opentelemetry_exporter, stop_opentelemetry_exporter
from loadflow.engine.forked.watchdog import with_watchdog
from loadflow.engine.generator.tracing import Sampler
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError
from tests.exporters.feeding import session
from tests.exporters.otlp_peers import GrpcPeer, HttpPeer, Received
from tests.fleet.machines import TOKEN, agents
from tests.load.harness import USERS, detail, get, post
from tests.services import free_port
from tests.targets.fixture import Target

PEERS = {"grpc": GrpcPeer, "http": HttpPeer}
FIELD = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01")
CLIENT = 3  # SPAN_KIND_CLIENT
ERROR = 2  # STATUS_CODE_ERROR
PLENTY = 1e6  # traces per second
ENGINES = pytest.mark.parametrize("user", ["fast_http_user", "native"])


@contextmanager
def traced(peer: Received, folder: Path, **arguments: Any) -> Iterator[Session]:
    with session() as one:
        one.runs_dir = folder
        start_opentelemetry_exporter(peer.url, **{"trace_sample_rate": 1.0, "traces_per_s": PLENTY, **arguments})  # type: ignore[attr-defined]
        yield one


def run_load(target: Target, steps: Any, user: str = "fast_http_user", **arguments: Any) -> Run:
    given = {"user_count": 3, "spawn_rate": 100, "iterations": 20, "host": target.url, "max_failure_rate": 1, **arguments}
    return Run.open(start_test(detail(user), tasks=steps, **given)["run_dir"])


def sent_ids(target: Target) -> list[tuple[str, str]]:
    """Trace and span of each request that carried a field."""
    fields = [record.header("traceparent") for record in target.records()]
    found = [FIELD.fullmatch(field) for field in fields if field is not None]
    assert all(found), fields
    return [(match[1], match[2]) for match in found if match]


def received_ids(peer: Received) -> list[tuple[str, str]]:
    return [(span.trace_id.hex(), span.span_id.hex()) for span in peer.spans]


def attributes(span: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in span.attributes}


@pytest.mark.parametrize(("user", "protocol"), [("fast_http_user", "grpc"), ("http_user", "http"), ("native", "grpc")])
def test_each_hit_is_a_span_of_the_ids_that_the_target_received(user: str, protocol: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    before_ns = time.time_ns()
    steps = [get("/ok?token=s3cret-t0ken", name="front"), get("/status/503"), post("/echo", json={})]
    with PEERS[protocol]() as peer, traced(peer, tmp_path, protocol=protocol, resource={"team": "shop"}):
        run = run_load(target, steps, user)
        told = stop_opentelemetry_exporter()
    after_ns = time.time_ns()
    assert {key: told[key] for key in ("spans", "spans_dropped", "hits_over_traces_per_s")} == {
        "spans": 180,
        "spans_dropped": 0,
        "hits_over_traces_per_s": 0,
    }
    assert len(set(sent_ids(target))) == len(target.records()) == 180
    assert sorted(received_ids(peer)) == sorted(sent_ids(target))
    assert {"service.name": "loaddensity", "team": "shop"}.items() <= peer.span_resources[0].items()
    arrived = {FIELD.fullmatch(str(record.header("traceparent")))[2]: record for record in target.records()}  # type: ignore[index]
    for span in peer.spans:
        told_of, record = attributes(span), arrived[span.span_id.hex()]
        assert before_ns <= span.start_time_unix_nano <= span.end_time_unix_nano <= after_ns
        assert (span.kind, told_of["url.path"], told_of["http.request.method"]) == (CLIENT, record.path, record.method)
        assert (told_of["server.address"], told_of["server.port"]) == ("127.0.0.1", target.port)
        assert (told_of["loadflow.run"], told_of["loadflow.scenario"]) == (run.facts.id, "shop")
        assert "s3cret" not in str(span)
    assert {(span.name, attributes(span)["http.response.status_code"]) for span in peer.spans} == {
        ("GET front", 200),
        ("GET /status/503", 503),
        ("POST /echo", 200),
    }
    failed = [span for span in peer.spans if span.status.code == ERROR]
    assert {(span.name, attributes(span)["error.type"], attributes(span)["loadflow.outcome"]) for span in failed} == {
        ("GET /status/503", "503", "status")
    }
    assert len(failed) == 60
    assert {attributes(span)["loadflow.user"] for span in peer.spans} == {0, 1, 2}


@ENGINES
def test_about_the_share_that_was_asked_for_is_traced(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    with GrpcPeer() as peer, traced(peer, tmp_path, trace_sample_rate=0.1):
        run_load(target, [get("/ok")], user, iterations=500)
        stop_opentelemetry_exporter()
    assert sorted(received_ids(peer)) == sorted(sent_ids(target))
    assert 80 < len(peer.spans) < 230, "1,500 hits; six standard deviations around 150"


@ENGINES
def test_without_a_share_nothing_is_traced(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    with GrpcPeer() as peer, traced(peer, tmp_path, trace_sample_rate=0.0):
        run = run_load(target, [get("/ok")], user)
        told = stop_opentelemetry_exporter()
    assert (sent_ids(target), peer.spans, len(run.hits())) == ([], [], 60)
    assert "spans" not in told
    assert not run.spans_path(0).exists()


@ENGINES
def test_hits_over_the_limit_carry_no_field_and_are_counted(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    with HttpPeer() as peer, traced(peer, tmp_path, protocol="http", traces_per_s=0.001):
        run_load(target, [get("/ok")], user)
        told = stop_opentelemetry_exporter()
    assert (told["spans"], told["hits_over_traces_per_s"]) == (1, 59)
    assert received_ids(peer) == sent_ids(target)


@ENGINES
def test_a_field_of_the_script_wins_and_is_no_span_of_ours(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    own = f"00-{'ab' * 16}-{'cd' * 8}-01"
    with GrpcPeer() as peer, traced(peer, tmp_path):
        run_load(target, [get("/ok", headers={"Traceparent": own}), get("/echo")], user)
        told = stop_opentelemetry_exporter()
    assert {record.header("traceparent") for record in target.records("/ok")} == {own}
    assert (told["spans"], {span.name for span in peer.spans}) == (60, {"GET /echo"})


@ENGINES
def test_a_hit_that_was_due_before_it_started_says_so(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    with GrpcPeer() as peer, traced(peer, tmp_path):
        rate = {"mode": "constant", "rps": 40, "duration": 1}
        start_test(detail(user), rate=rate, host=target.url, tasks=[get("/delay/60")], user_count=1)
        stop_opentelemetry_exporter()
    assert len(peer.spans) == len(target.records()) > 0
    waited = [span for span in peer.spans if span.events]
    assert waited, "one user can't make 40 of these hits in a second"
    for span in waited:
        (due,) = span.events
        assert (due.name, due.time_unix_nano < span.start_time_unix_nano) == ("due", True)
        assert attributes(span)["loadflow.waited_ms"] == pytest.approx((span.start_time_unix_nano - due.time_unix_nano) / 1e6)


@ENGINES
def test_a_failure_without_an_answer_is_a_span_too(user: str, tmp_path: Path) -> None:
    with GrpcPeer() as peer, traced(peer, tmp_path):
        steps = [{"method": "get", "request_url": f"http://127.0.0.1:{free_port()}/s3cret-t0ken/${{var.n}}"}]
        given = {"user_count": 1, "iterations": 1, "max_failure_rate": 1, "variables": {"token": "s3cret-t0ken", "n": 1}}
        start_test(detail(user), tasks=steps, **given)
        stop_opentelemetry_exporter()
    (span,) = peer.spans
    told_of = attributes(span)
    assert (told_of["error.type"], told_of["url.path"], span.status.code) == ("connect", "/***/1", ERROR)
    assert "http.response.status_code" not in told_of


@pytest.mark.parametrize("user", USERS)
def test_a_redirect_is_a_part_of_its_hit_and_a_retry_is_none(user: str, target: Target, tmp_path: Path) -> None:
    """Also with a body, and with cookies that the first answer set."""
    target.reset()
    steps = [
        get("/set-cookie?c=basket%3D7"),
        get("/redirect/2", name="redirected"),
        post("/status/503", json={"a": "${uuid()}"}, retry={"transient": 2, "base_delay": 0.01}),
    ]
    with GrpcPeer() as peer, traced(peer, tmp_path):
        run_load(target, steps, user, user_count=1, iterations=1)
        stop_opentelemetry_exporter()
    assert [span.name for span in peer.spans] == ["GET /set-cookie?c=basket%3D7", "GET redirected", *["POST /status/503"] * 3]
    assert [attributes(span)["loadflow.retry"] for span in peer.spans] == [False, False, False, True, True]
    sent = sent_ids(target)
    assert len(sent) == len(target.records()) == 7
    assert list(dict.fromkeys(sent)) == received_ids(peer)
    assert sent.count(received_ids(peer)[1]) == 3
    for record in target.records("/status/503"):
        assert (set(record.json), record.header("cookie")) == ({"a"}, "basket=7")


def test_spans_of_a_load_under_a_watchdog_arrive(target: Target, tmp_path: Path) -> None:
    target.reset()
    with HttpPeer() as peer, traced(peer, tmp_path, protocol="http"):
        with_watchdog(run_load, target, [get("/ok")], timeout_seconds=120)
        stop_opentelemetry_exporter()
    assert sorted(received_ids(peer)) == sorted(sent_ids(target))
    assert len(peer.spans) == 60


def test_spans_of_agents_travel_by_the_server(target: Target, tmp_path: Path, forked_below: None, monkeypatch: pytest.MonkeyPatch) -> None:
    target.reset()
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", TOKEN)
    port = free_port()
    with GrpcPeer() as peer, traced(peer, tmp_path), agents(tmp_path, port, 2) as commands:
        given = {"runner_mode": "master", "master_bind_host": "127.0.0.1", "master_bind_port": port, "expected_workers": 2}
        run_load(target, [get("/ok")], **given, worker_startup_timeout=60)
        assert [one.wait() for one in commands] == [0, 0]
        stop_opentelemetry_exporter()
    assert sorted(received_ids(peer)) == sorted(sent_ids(target))
    assert len(peer.spans) == 60


def test_a_receiver_without_spans_delays_nothing_and_is_told_of(tmp_path: Path, target: Target, caplog: pytest.LogCaptureFixture) -> None:
    target.reset()
    nobody = f"http://127.0.0.1:{free_port()}"
    with GrpcPeer() as peer, traced(peer, tmp_path, traces_endpoint=nobody, timeout=0.3, flush_s=0.5):
        run_load(target, [get("/ok")])
        told = stop_opentelemetry_exporter()
    assert (told["all_exported"], told["spans"], told["spans_dropped"]) == (True, 0, 60)
    assert "OpenTelemetry traces: 60 of 60 were not delivered" in caplog.text


@pytest.mark.parametrize(("rate", "limit", "hits", "expected"), [(1.0, 100.0, 1_000, 198), (1.0, 1e9, 1_000, 1_000), (0.0, 1.0, 1_000, 0)])
def test_a_sampler_draws_its_share_and_no_more_than_its_limit(rate: float, limit: float, hits: int, expected: int) -> None:
    """1,000 hits in a second, which begins with the limit of one second free."""
    sampler = Sampler(TraceRule(rate, limit), Random(1))
    drawn = sum(sampler.draws(round(number * 1e6)) for number in range(hits))
    assert abs(drawn - expected) <= 2
    assert sampler.over_cap == (hits - drawn if rate else 0)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"trace_sample_rate": 1.5}, "trace_sample_rate: 1.5 is not a share"),
    ({"traces_endpoint": "http://127.0.0.1:1"}, "traces_endpoint: is of no use where no hit is traced"),
    (
        {"trace_sample_rate": 1.0, "protocol": "http", "endpoint": "http://127.0.0.1:1/mine"},
        "traces_endpoint: is missing, and the path of the endpoint does not say it",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_is_told_before_anything_is_sent(arguments: dict[str, Any], message: str) -> None:
    with session(), pytest.raises(CommandError, match=message):
        start_opentelemetry_exporter(**arguments)
