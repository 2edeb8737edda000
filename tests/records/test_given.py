"""LD_summary of records that are given: as a table of records and what is made of them."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from loadflow.engine.records.given import summary_of_records
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.reports.summary_json import summary_schema
from loadflow.errors import CommandError

GOOD = {"Method": "GET", "name": "a", "test_url": "http://x/a", "status_code": "200", "response_time_ms": 5.0, "response_length": 10}
BAD = {"Method": "GET", "name": "a", "status_code": "503", "response_time_ms": "20", "error": "busy"}


def test_counts_times_errors_and_verdict() -> None:
    summary = summary_of_records([GOOD, {**GOOD, "response_time_ms": 15.0}], [BAD])
    Draft202012Validator(summary_schema()).validate(summary.to_json())
    (one,) = summary.series
    assert (one.method, one.name, one.count, one.failures, one.received_bytes) == ("GET", "a", 3, 1, 20)
    assert (one.latency.min_ms, one.latency.max_ms, one.failed.max_ms) == (5.0, 20.0, 20.0)
    assert [(error.kind, error.message, error.count) for error in summary.errors] == [("status", "busy", 1)]
    assert str(summary.verdict) == "failed: 1 of 3 hits failed (33.33%); max_failure_rate allows none"
    assert (summary.duration_s, summary.overall.rate_per_s) == (0.0, 0.0)


def test_start_times_give_duration_and_rate() -> None:
    records = [{**GOOD, "start_time": 1_790_000_000.0 + second} for second in range(10)]
    summary = summary_of_records(records, [])
    assert summary.duration_s == pytest.approx(9.005)
    assert summary.overall.rate_per_s == pytest.approx(10 / 9.005)
    assert str(summary.verdict) == "passed"


def test_nothing_given_says_nothing() -> None:
    assert summary_of_records([], []).verdict.reasons == ("no hit was recorded, so nothing was tested",)


@pytest.mark.parametrize(
    ("record", "kind", "name"),
    [
        ({**BAD, "status_code": "0"}, "connect", "a"),
        ({**BAD, "status_code": "None"}, "connect", "a"),
        ({**BAD, "status_code": 200, "error": None}, "assertion", "a"),
        ({**BAD, "outcome_kind": "timeout"}, "timeout", "a"),
        ({"test_url": "http://x/b", "response_time_ms": 1}, "connect", "http://x/b"),
        ({"response_time_ms": 1}, "connect", "unknown"),
    ],
)
def test_kind_and_name_of_a_failure(record: dict[str, Any], kind: str, name: str) -> None:
    (error,) = summary_of_records([], [record]).errors
    assert (error.kind, error.name) == (kind, name)
    assert kind in {outcome.label for outcome in Outcome}


@pytest.mark.parametrize("value", [None, "fast", float("nan"), float("inf"), -1, 1e300, [5]])
def test_a_record_without_a_time_is_pointed_at(value: Any) -> None:
    with pytest.raises(CommandError, match=r"failures\[1\].response_time_ms: .* is not a time; give milliseconds, 0 or more"):
        summary_of_records([GOOD], [BAD, {**BAD, "response_time_ms": value}])


def test_what_is_no_record_is_pointed_at_and_the_list_of_mistakes_ends() -> None:
    with pytest.raises(CommandError) as caught:
        summary_of_records(["a"] * 1000, [])  # type: ignore[list-item]
    assert len(caught.value.mistakes) == 20
    assert str(caught.value.mistakes[0]) == "success[0]: a record is an object, not str; give what a record report holds"
