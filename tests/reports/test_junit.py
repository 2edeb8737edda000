"""The JUnit report: valid for CI servers, and never better than the verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree

from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reports.junit import write_junit_report
from tests.builders import Failure, build_run, facts, make_rows
from tests.reports.hit_runs import rows_of, tiny_run

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))
BUSY = Health(users=5, cpu=0.99, lag_ms=300.0)
TIMEOUT = Failure(
    Outcome.TIMEOUT, "no answer within 5 s", 0, {"user": 7, "request": {"method": "GET", "url": "/items", "body": "x" * 9_000}}
)


def document(runs: Sequence[Run], folder: Path, *, per_request: bool = False) -> Any:
    """The report's root, valid and with counts that are those of its cases."""
    root = etree.parse(write_junit_report(runs, folder / "made" / "junit.xml", per_request=per_request)).getroot()
    SCHEMA.assertValid(root)
    for element in (root, *root):
        assert int(element.get("tests")) == len(element.findall(".//testcase"))
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(attribute, len(element.findall(f".//{tag}")))) == len(element.findall(f".//{tag}"))
    return root


def results(root: Any) -> dict[str, str]:
    """`classname name` of each case to the element that says why it did not pass, with its type; "" for passed."""
    found = {}
    for case in root.findall(".//testcase"):
        problem = next((child for child in case if child.tag != "system-out"), None)
        words = "" if problem is None else f"{problem.tag} {problem.get('type', '')}".strip()
        found[f"{case.get('classname')} {case.get('name')}"] = words
    return found


def run_of(folder: Path, failed_of_100: Sequence[int], **changes: Any) -> Run:
    """100 hits of each name, so many of them failed."""
    rows = make_rows(100 * len(failed_of_100), failure_rate=0.0)
    rows["series"] = np.arange(len(rows)) // 100
    rows["error"] = np.concatenate([np.arange(100) < failed for failed in failed_of_100])
    names = [("GET", f"/{number}") for number in range(len(failed_of_100))]
    return build_run(folder, rows, names=names, failures=[TIMEOUT], **changes)


RULE = [
    # what happened, failed of 100 hits of each name, max_failure_rate, end, health, verdict's case, each name's case
    ("all passed", [0, 0], 0.0, EndReason.COMPLETED, None, "", ["", ""]),
    ("one name failed", [0, 3], 0.0, EndReason.COMPLETED, None, "failure failed", ["", "failure timeout"]),
    ("a name within the limit passes", [1, 90], 0.02, EndReason.COMPLETED, None, "failure failed", ["", "failure timeout"]),
    ("no name fails in a run that passed", [0, 9], 0.05, EndReason.COMPLETED, None, "", ["", ""]),
    ("ended early", [0, 0], 0.0, EndReason.STOPPED, None, "error interrupted", ["skipped", "skipped"]),
    ("ended early, with failures", [0, 2], 0.0, EndReason.STOPPED, None, "error interrupted", ["skipped", "failure timeout"]),
    ("the engine died", [0, 0], 0.0, EndReason.ENGINE_LOST, None, "error error", ["skipped", "skipped"]),
    ("the generator was the limit", [0, 0], 0.0, EndReason.COMPLETED, BUSY, "error inconclusive", ["skipped", "skipped"]),
]


@pytest.mark.parametrize(
    ("failed", "allowed", "reason", "health", "verdict", "names"), [row[1:] for row in RULE], ids=[row[0] for row in RULE]
)
def test_a_case_passes_only_where_the_verdict_allows_it(
    tmp_path: Path, failed: list[int], allowed: float, reason: EndReason, health: Health | None, verdict: str, names: list[str]
) -> None:
    run = run_of(tmp_path / "run", failed, max_failure_rate=allowed, end=RunEnd(reason, "", 30.0, 30.0), health=health)
    root = document([run], tmp_path)
    assert results(root) == {"loadflow verdict": verdict, **{f"GET /{number}": words for number, words in enumerate(names)}}
    (suite,) = root
    reasons = run.summary().verdict.reasons
    problem = suite[1].find("*")
    assert (problem.get("message") if problem is not None and problem.tag != "system-out" else None) == (reasons[0] if reasons else None)


def test_a_run_without_a_hit_is_no_passed_test(tmp_path: Path) -> None:
    for per_request in (False, True):
        root = document([build_run(tmp_path / str(per_request), make_rows(0))], tmp_path, per_request=per_request)
        assert results(root) == {"loadflow verdict": "error inconclusive", "loadflow hits": "skipped"}
        assert root.find(".//skipped").get("message") == "no hit was recorded"


def test_a_failed_name_tells_its_errors_and_a_bounded_sample(tmp_path: Path) -> None:
    root = document([run_of(tmp_path / "run", [3])], tmp_path)
    failure = root.findall(".//failure")[1]
    assert failure.get("message") == "3 of 100 hits failed (3.00%); max_failure_rate allows none"
    assert failure.text.startswith("3 × timeout: no answer within 5 s\n\na sample of timeout: no answer within 5 s\nuser: 7\n")
    assert "GET /items" in failure.text
    assert len(failure.text) < 4_200
    assert failure.getparent().findtext("system-out").startswith("hits: 100, 3 failed\nrate: 3.")


def test_a_suite_names_its_run_and_what_was_measured(tmp_path: Path) -> None:
    own = facts(environment={"host": "runner-7"}, label="")
    run = run_of(tmp_path / "run", [0], run_facts=own)
    (suite,) = document([run], tmp_path)
    overall = run.summary().overall
    assert (suite.get("name"), suite.get("hostname"), suite.get("timestamp")) == ("examples/shop.json", "runner-7", "2026-09-21T14:13:20")
    properties = {one.get("name"): one.get("value") for one in suite.find("properties")}
    assert properties["verdict"] == "passed"
    assert (properties["hits"], properties["p99_ms"]) == ("100", f"{overall.latency.p99_ms:.3f}")
    cases = suite.findall("testcase")
    assert cases[0].get("time") == suite.get("time") == f"{run.totals().duration_s:.3f}"
    assert cases[1].get("time") == f"{overall.latency.mean_ms / 1e3:.3f}"


def test_a_failed_attempt_that_a_retry_replaced_fails_nothing(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    assert set(results(document([run], tmp_path)).values()) == {""}
    root = document([run], tmp_path, per_request=True)
    assert results(root) == {"loadflow verdict": "", "GET /items #1": "", "POST login #2": "skipped", "POST login #3": ""}
    assert root.find(".//skipped").get("message") == 'to be tried again: status: status 503, "busy"'


def test_one_case_per_request_to_the_letter(tmp_path: Path) -> None:
    rows = rows_of({"end_ns": 12_345_678, "status": 200}, {"end_ns": 2_000_000_000, "error": 1, "flags": HitFlag.DRAINED})
    run = build_run(tmp_path / "run", rows, failures=[Failure(Outcome.CLOSED, 'reset <"by">\npeer')])
    text = write_junit_report([run], tmp_path / "junit.xml", per_request=True).read_text()
    assert text.partition("</testcase>\n")[2] == (
        '\t\t<testcase classname="GET" name="/items #1" time="0.012"/>\n'
        '\t\t<testcase classname="GET" name="/items #2" time="2.000"><failure type="closed"'
        ' message="reset &lt;&quot;by&quot;&gt;&#10;peer">reset &lt;"by"&gt;\npeer</failure></testcase>\n'
        "\t</testsuite>\n</testsuites>\n"
    )


def test_each_run_is_a_suite_in_the_order_they_started(tmp_path: Path) -> None:
    later = run_of(tmp_path / "b", [0], run_facts=facts(label="later", started_unix_s=1_790_009_999.0))
    root = document([later, run_of(tmp_path / "a", [2])], tmp_path)
    assert [(suite.get("name"), suite.get("id"), suite.get("failures")) for suite in root] == [("smoke", "0", "2"), ("later", "1", "0")]
    per_request = document([later, run_of(tmp_path / "c", [2])], tmp_path, per_request=True)
    assert per_request.get("tests") == "202"


def test_many_names_with_many_errors_stay_a_readable_file(tmp_path: Path) -> None:
    names = [("GET", f"/{number}") for number in range(120)]
    failures = [Failure(Outcome.ASSERTION, f"{number} <&>" + "x" * 490, 200, {"body": "<" * 9_000}) for number in range(40)]
    run = build_run(tmp_path / "run", make_rows(8_000, series=120, failures=40, failure_rate=0.9), names=names, failures=failures)
    path = write_junit_report([run], tmp_path / "junit.xml")
    root = document([run], tmp_path)
    assert path.stat().st_size < 4_000_000
    assert len(root.findall(".//testcase")) == 121
    assert "more kinds of failure" in root.findall(".//failure")[1].text
    assert root.findall(".//failure")[-1].text == "(left out here; the summary has it)"
