"""Mistakes that load generators are known for, each as a fact that holds here; the numbers are the items of the list.

PROVED_ELSEWHERE points to the tests that prove an item in other files; what is missing there of an item is below.
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

pytestmark = pytest.mark.usefixtures("forked_engines")
TESTS = Path(__file__).resolve().parent

PROVED_ELSEWHERE = {
    2: ("load/test_load.py::test_a_throttle_holds_its_rate_over_all_users",),
    3: (
        "load/test_load.py::test_each_attempt_is_a_hit_and_the_last_one_decides",
        "load/test_load.py::test_a_used_up_retry_fails_and_permanent_failures_are_not_retried",
    ),
    4: (
        "reliability/test_load.py::test_lost_attempts_are_hits_that_the_step_retries_as_transient",
        "reliability/test_load.py::test_without_a_retry_what_is_lost_has_failed",
        "reliability/test_load.py::test_added_latency_is_in_the_measured_time",
    ),
    6: ("load_test/test_model.py::test_refuses", "load/test_load.py::test_conditions_decide_per_user_and_hit"),
    7: (
        "protocols/http/test_http.py::test_tls_is_verified_unless_told_otherwise",
        "protocols/http/test_http.py::test_client_certificates_are_shown_as_a_pair_or_in_one_file",
        "protocols/http/test_http.py::test_users_have_cookies_tokens_and_connections_of_their_own",
    ),
    9: ("protocols/mqtt/test_mqtt_failures.py::test_how_a_broker_fails",),
    10: ("protocols/mqtt/test_mqtt_failures.py::test_a_load_ends_in_time_with_messages_unacknowledged",),
    11: ("protocols/grpc/test_grpc_ends.py::test_calls_of_all_users_are_under_way_at_once",),
    12: ("protocols/websocket/test_websocket.py::test_the_step_that_finds_the_connection_closed_fails_and_the_next_one_connects_anew",),
    14: (
        "load/test_load.py::test_requests_in_flight_at_the_end_are_drained_and_recorded",
        "load/test_rate.py::test_every_pass_that_is_due_is_sent_and_recorded_with_the_time_it_was_due",
        "load/test_rate.py::test_a_freeze_shows_at_a_rate_and_closed_loop_users_hide_it",
    ),
    15: (
        "resolve/test_template.py::test_a_template_becomes",
        "resolve/test_scope.py::test_once_run_out_is_a_missing_value_for_every_later_step_and_says_after_how_many",
    ),
    16: ("load/test_load.py::test_two_loads_at_once_in_one_process_do_not_mix",),
    # how much memory that is, benchmarks/memory.py measures
    17: ("records/test_hitlog.py::test_the_row_layout_is_the_published_one",),
    18: (
        "load/test_load.py::test_secrets_are_in_no_file_of_the_run_folder_and_not_in_the_summary",
        "cli/test_run.py::test_secrets_are_in_nothing_that_is_written",
    ),
    20: (
        "reliability/test_load.py::test_the_budget_sees_all_processes",
        "fleet/test_losses.py::test_a_failure_budget_of_the_coordinator_ends_the_load_of_all_agents",
    ),
    21: (
        "fleet/test_conservation.py::test_what_the_agents_recorded_is_what_the_target_received",
        "fleet/test_losses.py::test_a_slow_way_to_the_server_loses_nothing",
        "fleet/test_losses.py::test_agents_share_no_row_and_need_no_files",
    ),
    # what one record costs, benchmarks/budget.py measures
    22: (
        "reliability/test_budget.py::test_memory_does_not_grow_with_samples",
        "reliability/test_load.py::test_from_json_the_load_ends_within_a_second_as_failed",
    ),
    23: (
        "forked/test_watchdog.py::test_what_does_not_end_is_ended",
        "forked/test_watchdog.py::test_a_child_that_dies_is_told_apart_from_a_timeout",
    ),
    24: (
        "forked/test_orphans.py::test_a_load_whose_parent_lives_is_spared",
        "forked/test_orphans.py::test_a_foreign_process_is_spared_whatever_its_name",
        "forked/test_orphans.py::test_a_process_that_cannot_be_looked_into_does_not_end_the_sweep",
    ),
    25: (
        "reliability/test_classify.py::test_class",
        "reliability/test_retry_policy.py::test_no_delay_is_above_the_cap_or_below_zero",
        "reliability/test_retry_policy.py::test_what_is_no_exception_is_never_swallowed",
    ),
    26: (
        "exporters/test_prometheus.py::test_start_stop_and_start_again_on_the_same_port",
        "exporters/test_prometheus.py::test_a_taken_port_is_an_error",
    ),
    27: (
        "exporters/test_influxdb.py::test_any_text_is_one_tag_and_comes_back",
        "exporters/test_influxdb.py::test_a_server_that_is_away_for_a_while_misses_nothing_that_the_queue_holds",
        "exporters/test_courier.py::test_a_full_queue_drops_its_oldest_and_counts_them",
    ),
    28: (
        "records/test_compare.py::test_of_a_baseline_of_zero_no_relative_change_is_said",
        "records/test_compare.py::test_one_worse_name_makes_the_comparison_worse_and_names_of_one_run_are_told",
        "records/test_threshold.py::test_nothing_passes_without_a_hit",
        "records/test_threshold.py::test_what_a_threshold_says",
    ),
    29: ("cli/test_run.py::test_every_verdict_has_its_exit_code",),
    30: (
        "reports/test_record_reports.py::test_any_text_in_any_field_reads_back",
        "reports/test_record_reports.py::test_memory_does_not_grow_with_the_hits",
        "reports/test_junit.py::test_many_names_with_many_errors_stay_a_readable_file",
        "reports/test_html.py::test_the_worst_run_stays_below_5_mb_and_says_what_it_left_out",
    ),
    31: (
        "control/test_access.py::test_an_empty_token_is_refused_wherever_it_comes_from",
        "control/test_access.py::test_tokens_of_any_characters_are_compared",
        "control/test_access.py::test_half_a_pair_of_certificate_and_key_is_an_error",
        "control/test_access.py::test_a_handshake_that_never_comes_holds_up_nobody_and_is_closed",
        "control/test_access.py::test_without_a_token_others_may_not_connect",
        "control/test_hostile.py::test_a_silent_client_is_closed_in_time",
        "control/test_packages.py::test_clients_load_packages_only_where_the_server_says_so",
        "control/test_runs.py::test_a_load_is_stopped_on_request_and_keeps_its_results",
    ),
    32: (
        "load_test/test_schema.py::test_the_schema_is_one_and_is_json",
        "load_test/test_schema.py::test_what_the_checker_refuses_the_schema_refuses",
    ),
    33: (
        "recording/test_har_file.py::test_think_times",
        "recording/test_lifting.py::test_a_secret_is_lifted",
        "recording/test_lifting.py::test_cookies_that_a_response_set_are_left_to_the_jar",
        "recording/test_correlation.py::test_a_redirect_and_its_target_are_one_step",
    ),
    34: (
        "store/test_trouble.py::test_reading_can_not_write",
        "store/test_trouble.py::test_reading_makes_no_file_and_leaves_none",
        "store/test_trouble.py::test_a_run_that_is_persisted_again_is_not_stored_again",
        "store/test_trouble.py::test_foreign_keys_are_checked_and_writers_do_not_block_readers",
        "store/test_round_trip.py::test_times_are_when_it_happened_in_utc",
        "store/test_round_trip.py::test_hits_of_several_processes_stand_in_one_order_under_their_own_names",
    ),
    35: ("flows/test_observer.py::test_an_api_that_is_away_costs_a_bounded_time_and_fails_nothing",),
    36: ("resolve/test_template.py::test_constants_and_environment_leave_nothing_to_do_at_run_time",),
    37: (
        "protocols/websocket/test_websocket.py::test_text_bytes_templates_assertions_and_extracts",
        "protocols/websocket/test_websocket.py::test_a_mistake_is_told_before_anything_is_sent",
        "protocols/mqtt/test_mqtt.py::test_a_mistake_is_told_before_anything_is_sent",
    ),
}
PLACES = [place for places in PROVED_ELSEWHERE.values() for place in places]


@pytest.mark.parametrize("place", PLACES)
def test_a_test_that_is_pointed_to_exists(place: str) -> None:
    path, name = place.split("::")
    body = ast.parse((TESTS / path).read_text("utf-8")).body
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
    "status that is not a number": [get("/ok", assertions=[{"type": "status_code", "value": "abc"}])],
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
    subprocess.run([sys.executable, "-c", look + use + same], check=True, cwd=TESTS.parent)
