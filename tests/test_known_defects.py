"""Mistakes that load generators are known for, each as a fact that holds here; the numbers are the items of the list.

Where another file proves an item, PROVED_ELSEWHERE points there, and PROVED_IN_PART where it leaves something of the item open, which
its comment names. Items that have no row yet: 9, 10, 12, 17, 21, 27, 32, 33 and 35 to 37. Items 6, 15 and 29 are here in part: no
condition operator, CSV end or exit code.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.outcome import Outcome
from loadflow.errors import LoadflowError, ScriptError
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
    11: ("tests/protocols/test_grpc.py::test_calls_of_all_users_are_under_way_at_once",),
    16: ("tests/load/test_load.py::test_two_loads_at_once_in_one_process_do_not_mix",),
    24: (
        "tests/reliability/test_orphans.py::test_a_load_whose_parent_lives_is_spared",
        "tests/reliability/test_orphans.py::test_a_foreign_process_is_spared_whatever_its_name",
        "tests/reliability/test_orphans.py::test_a_process_that_cannot_be_looked_into_does_not_end_the_sweep",
    ),
}

PROVED_IN_PART = {
    # still open: cookies that a step writes itself; test_7 below adds the timeout
    7: (
        "tests/load/test_http.py::test_tls_is_verified_unless_told_otherwise",
        "tests/load/test_http.py::test_client_certificates_are_shown_as_a_pair_or_in_one_file",
    ),
    # still open: the pace without waits, arrivals
    14: ("tests/load/test_load.py::test_requests_in_flight_at_the_end_are_drained_and_recorded",),
    # still open is what is logged
    18: ("tests/load/test_load.py::test_secrets_are_in_no_file_of_the_run_folder_and_not_in_the_summary",),
    # still open: exporters of a load of several processes
    20: ("tests/reliability/test_load.py::test_the_budget_sees_all_processes",),
    # still open: the cost of one record
    22: (
        "tests/reliability/test_budget.py::test_memory_does_not_grow_with_samples",
        "tests/reliability/test_load.py::test_from_json_the_load_ends_within_a_second_as_failed",
    ),
    # still open: a callable that raises SystemExit
    23: (
        "tests/reliability/test_watchdog.py::test_what_does_not_end_is_ended",
        "tests/reliability/test_watchdog.py::test_a_child_that_dies_is_told_apart_from_a_timeout",
    ),
    # still open: the class of a subclass
    25: (
        "tests/reliability/test_retry_policy.py::test_no_delay_is_above_the_cap_or_below_zero",
        "tests/reliability/test_retry_policy.py::test_what_is_no_exception_is_never_swallowed",
    ),
    # still open: OpenTelemetry that is started again
    26: (
        "tests/exporters/test_prometheus.py::test_start_stop_and_start_again_on_the_same_port",
        "tests/exporters/test_prometheus.py::test_a_taken_port_is_an_error",
    ),
    # still open: comparing runs, limits per name
    28: ("tests/records/test_threshold.py::test_nothing_passes_without_a_hit",),
    # still open is the JUnit file
    30: ("tests/reports/test_record_reports.py::test_any_text_in_any_field_reads_back",),
    # still open: packages, stopping a run
    31: (
        "tests/control/test_access.py::test_an_empty_token_is_refused_wherever_it_comes_from",
        "tests/control/test_access.py::test_tokens_of_any_characters_are_compared",
        "tests/control/test_access.py::test_half_a_pair_of_certificate_and_key_is_an_error",
        "tests/control/test_access.py::test_a_handshake_that_never_comes_holds_up_nobody_and_is_closed",
        "tests/control/test_access.py::test_without_a_token_others_may_not_connect",
        "tests/control/test_hostile.py::test_a_silent_client_is_closed_in_time",
    ),
    # still open: order, busy database, persisting twice
    34: ("tests/store/test_trouble.py::test_reading_can_not_write",),
}
PLACES = [place for table in (PROVED_ELSEWHERE, PROVED_IN_PART) for places in table.values() for place in places]


@pytest.mark.parametrize("place", PLACES)
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


def test_5_a_certificate_file_that_is_not_there_is_told_and_nothing_is_sent(target: Target, tmp_path: Path) -> None:
    target.reset()
    with pytest.raises(LoadflowError, match=r"gone\.pem"):
        load(tmp_path, [get("/ok", client_cert=str(tmp_path / "gone.pem"))], host=target.url)
    assert target.counts() == {}


@pytest.mark.parametrize("user", USERS)
def test_7_every_user_keeps_the_timeout_of_a_step(user: str, target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/delay/20000", name="it", timeout=0.3)], host=target.url, user=user)
    assert [hit.outcome for hit in done.hits] == [Outcome.TIMEOUT]


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


def test_19_importing_changes_nothing_in_the_process_that_imports() -> None:
    look = "import logging, socket, sys; before = socket.socket, list(logging.root.handlers), logging.root.level; "
    use = "import loadflow; loadflow.start_test; loadflow.execute_action; "
    same = "assert before == (socket.socket, logging.root.handlers, logging.root.level); assert 'gevent' not in sys.modules"
    subprocess.run([sys.executable, "-c", look + use + same], check=True, cwd=ROOT)
