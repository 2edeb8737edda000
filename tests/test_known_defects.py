"""Mistakes that load generators are known for, each as a fact that holds here; the numbers are the items of the list.

Where another file proves an item in full, PROVED_ELSEWHERE points there. Items that have no row yet: 7, 9 to 12, 14, 17 to 28
and 30 to 37. Items 5, 6, 15 and 29 are here in part: no missing certificate file, condition operator, CSV end or exit code.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.outcome import Outcome
from loadflow.errors import ScriptError
from tests.load.harness import USERS, get, load, post
from tests.targets.fixture import Target

ROOT = Path(__file__).resolve().parents[1]

PROVED_ELSEWHERE = {
    2: ("tests/load/test_load.py::test_a_throttle_holds_its_rate_over_all_users",),
    3: (
        "tests/load/test_load.py::test_each_attempt_is_a_hit_and_the_last_one_decides",
        "tests/load/test_load.py::test_a_used_up_retry_fails_and_permanent_failures_are_not_retried",
    ),
    4: (
        "tests/reliability/test_load.py::test_lost_attempts_are_hits_that_the_step_retries_as_transient",
        "tests/reliability/test_load.py::test_without_a_retry_what_is_lost_has_failed",
        "tests/reliability/test_load.py::test_added_latency_is_in_the_measured_time",
    ),
    16: ("tests/load/test_load.py::test_two_loads_at_once_in_one_process_do_not_mix",),
}


@pytest.mark.parametrize("place", [place for places in PROVED_ELSEWHERE.values() for place in places])
def test_a_test_that_is_pointed_to_exists(place: str) -> None:
    path, name = place.split("::")
    body = ast.parse((ROOT / path).read_text("utf-8")).body
    assert name in {node.name for node in body if isinstance(node, ast.FunctionDef)}


STATUS_EXTRACT = {"extract": [{"var": "seen", "from": "status_code"}]}
HEADER_EXTRACT = {"extract": [{"var": "kind", "from": "header", "name": "Content-Length"}]}
NOT_CONTAINS = {"assertions": [{"type": "not_contains", "value": "never in a body"}]}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("passing", [STATUS_EXTRACT, HEADER_EXTRACT, NOT_CONTAINS], ids=["status", "header", "not_contains"])
def test_1_what_passes_does_not_make_a_failed_status_a_success(user: str, passing: dict[str, Any], target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/status/500", name="it", **passing)], host=target.url, user=user)
    assert [(hit.outcome, hit.status) for hit in done.hits] == [(Outcome.STATUS, 500)]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("passing", [STATUS_EXTRACT, NOT_CONTAINS], ids=["status", "not_contains"])
def test_1_no_check_makes_a_refused_connection_a_success(user: str, passing: dict[str, Any], unused_port: int, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/ok", name="it", **passing)], host=f"http://127.0.0.1:{unused_port}", user=user)
    assert [hit.outcome for hit in done.hits] == [Outcome.CONNECT]


WRONG_WORDS: dict[str, Any] = {
    "assertion type": [get("/ok", assertions=[{"type": "status_cod", "value": 200}])],
    "extract source": [get("/ok", extract=[{"var": "a", "from": "json_pth", "path": "a"}])],
    "step key": [get("/ok", assertion=[])],
    "method": [{"method": "fetch", "request_url": "/ok"}],
    "mode": {"mode": "weigted", "tasks": [get("/ok")]},
    "status that is no number": [get("/ok", assertions=[{"type": "status_code", "value": "abc"}])],
    "assertion without its value": [get("/ok", assertions=[{"type": "status_code"}])],
    "step without a URL": [{"method": "get"}],
}


@pytest.mark.parametrize("what", WRONG_WORDS)
def test_5_and_6_a_word_that_is_not_known_is_a_mistake_before_anything_is_sent(what: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    with pytest.raises(ScriptError):
        load(tmp_path, WRONG_WORDS[what], host=target.url)
    assert target.counts() == {}


@pytest.mark.parametrize("user", USERS)
def test_8_a_status_assertion_does_not_hide_that_the_connection_was_refused(user: str, unused_port: int, tmp_path: Path) -> None:
    wanted = [{"type": "status_code", "value": 200}]
    done = load(tmp_path, [get("/ok", name="it", assertions=wanted)], host=f"http://127.0.0.1:{unused_port}", user=user)
    assert done.outcome("it") is Outcome.CONNECT
    assert "refused" in done.error_text("it").lower()


def test_13_a_name_of_which_every_hit_failed_is_in_the_summary(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/status/500", name="down"), get("/ok", name="up")], host=target.url, iterations=3)
    names = done.summary["per_name"]
    assert {name: (one["count"], one["failures"]) for name, one in names.items()} == {"down": (3, 3), "up": (3, 0)}


@pytest.mark.parametrize("user", USERS)
def test_15_a_number_stays_a_number_in_a_json_body(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        get("/ok", extract=[{"var": "seen", "from": "status_code"}]),
        post("/echo", json={"n": "${var.seen}", "text": "is ${var.seen}"}),
    ]
    load(tmp_path, steps, host=target.url, user=user)
    assert [record.json for record in target.records("/echo")] == [{"n": 200, "text": "is 200"}]


@pytest.mark.parametrize("user", USERS)
def test_15_a_placeholder_without_a_value_is_a_failure_and_is_not_sent(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        get("/status/404", name="first", extract=[{"var": "id", "from": "header", "name": "X-None"}]),
        get("/ok/${var.id}", name="second"),
    ]
    done = load(tmp_path, steps, host=target.url, user=user)
    assert set(target.counts()) == {"/status/404"}
    assert done.outcome("second") is Outcome.TEMPLATE


def test_29_a_load_of_failures_only_has_not_passed(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/status/500")], host=target.url)
    assert done.summary["verdict"]["verdict"] == "failed"
