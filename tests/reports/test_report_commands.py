"""The report commands of a session: what they return, where their files are, from a script and from Python."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import loadflow
from loadflow.engine.reports import record_files
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.session import Session, use_session
from loadflow.engine.session.table import TABLE
from loadflow.errors import CommandError, RunError
from tests.builders import build_run, make_rows
from tests.reports.hit_runs import tiny_run

FILES = [
    ("LD_generate_csv_report", {"csv_name": "a.b"}, ["a.b.csv"]),
    ("LD_generate_json_report", {"json_file_name": "a.b"}, ["a.b_success.json", "a.b_failure.json"]),
    ("LD_generate_xml_report", {"xml_file_name": "a.b"}, ["a.b_success.xml", "a.b_failure.xml"]),
    ("LD_generate_junit_report", {"report_name": "a.b"}, ["a.b.xml"]),
    ("LD_generate_junit_report", {"report_name": "deep/er/r", "per_request": True}, ["deep/er/r.xml"]),
    ("LD_generate_csv_report", {}, ["default_name.csv"]),
    ("LD_generate_json_report", {}, ["default_name_success.json", "default_name_failure.json"]),
    ("LD_generate_xml_report", {}, ["default_name_success.xml", "default_name_failure.xml"]),
    ("LD_generate_junit_report", {}, ["loaddensity-junit.xml"]),
    ("LD_generate_summary_report", {}, ["loaddensity-summary.json"]),
    ("LD_generate_html_report", {}, ["default_name.html"]),
]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.delenv("TEST_PIONEER_ARTIFACT_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    with use_session(Session(report_dir=tmp_path / "reports")) as session:
        session.keep(tiny_run(tmp_path / "run"))
        yield session


def value_of(name: str, arguments: dict[str, Any] | None = None) -> Any:
    """What a script's action gives."""
    results = execute_action([[name, arguments] if arguments else [name]])
    results.raise_for_failure()
    return results.results[0].value


@pytest.mark.parametrize(("name", "arguments", "files"), FILES)
def test_files_stand_below_the_report_folder_and_their_paths_are_returned(
    session: Session, name: str, arguments: dict[str, Any], files: list[str]
) -> None:
    value = value_of(name, arguments)
    assert [value] if isinstance(value, str) else list(value) == [str(session.report_dir / file) for file in files]
    for file in files:
        assert (session.report_dir / file).stat().st_size > 0


def test_an_absolute_name_stays_where_it_says(session: Session, tmp_path: Path) -> None:
    assert value_of("LD_generate_csv_report", {"csv_name": str(tmp_path / "else" / "x")}) == str(tmp_path / "else" / "x.csv")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sub/x", "artifacts/sub/x.csv"), ("../x", "../x.csv"), ("a/../../x", "a/../../x.csv"), ("..x", "artifacts/..x.csv")],
)
def test_artifacts_of_a_harness_are_collected_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    here = tmp_path / "here"
    (here / "a").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("TEST_PIONEER_ARTIFACT_DIR", "artifacts")
    with use_session(Session()) as session:
        session.keep(tiny_run(tmp_path / "run"))
        assert value_of("LD_generate_csv_report", {"csv_name": name}) == expected
        assert (here / expected).exists()
    with use_session(Session(report_dir="chosen")) as session:
        session.keep(tiny_run(tmp_path / "run2"))
        assert value_of("LD_generate_csv_report", {"csv_name": "x"}) == "chosen/x.csv"


def test_records_are_returned_as_values(session: Session) -> None:
    success, failure = value_of("LD_generate_json")
    assert success["Success_Test1"]["status_code"] == "200"
    assert failure["Failure_Test1"]["error"] == 'status 503, "busy"'
    texts = value_of("LD_generate_xml")
    assert [len(ElementTree.fromstring(text)) for text in texts] == [2, 1]
    paths = value_of("LD_generate_json_report")
    assert [json.loads(Path(path).read_text()) for path in paths] == [success, failure]


@pytest.mark.parametrize("name", ["LD_generate_json", "LD_generate_xml"])
def test_more_records_than_memory_should_hold_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(record_files, "MOST_IN_MEMORY", 2)
    with pytest.raises(CommandError, match=rf"{name}: 3 hits are too many to return \(at most 2\); use {name}_report"):
        value_of(name)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in FILES} | {"LD_generate_json", "LD_generate_xml"}))
def test_without_a_run_there_is_no_report(tmp_path: Path, name: str) -> None:
    with use_session(Session(report_dir=tmp_path)), pytest.raises(RunError, match="give at least one run folder"):
        TABLE[name].function()
    assert not list(tmp_path.iterdir())


def test_a_summary_of_given_records_is_of_these_alone(session: Session) -> None:
    own = value_of("LD_summary", {"success": [{"name": "x", "response_time_ms": 3}]})
    assert list(own["per_name"]) == ["x"]
    assert own["totals"]["requests"] == 1
    assert value_of("LD_summary", {"failures": []})["totals"]["requests"] == 0
    assert value_of("LD_summary")["totals"]["requests"] == 3
    success, failure = value_of("LD_generate_json")
    again = loadflow.summary(list(success.values()), list(failure.values()))
    for key in ("requests", "successes", "failures", "received_bytes"):
        assert again["totals"][key] == value_of("LD_summary")["totals"][key]


def test_every_run_since_the_records_were_cleared_is_in(session: Session, tmp_path: Path) -> None:
    session.keep(build_run(tmp_path / "second", make_rows(20)))
    assert len(value_of("LD_generate_json")[0]) + len(value_of("LD_generate_json")[1]) == 23
    value_of("LD_clear_records")
    session.keep(build_run(tmp_path / "third", make_rows(5)))
    assert sum(len(side) for side in value_of("LD_generate_json")) == 5


def test_each_command_is_a_public_function_too() -> None:
    for name in TABLE:
        if name.startswith("LD_generate_"):
            assert getattr(loadflow, name.removeprefix("LD_")) is TABLE[name].function
