"""The CSV, JSON and XML reports: every hit once, in the order they ended, and readable whatever is in its texts."""

import json
import re
import resource
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.names import printable
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reports.csv_report import quoted, write_csv_report
from loadflow.engine.reports.hit_fields import CSV_KEYS, FAILURE_KEYS, SUCCESS_KEYS
from loadflow.engine.reports.json_report import write_json_report
from loadflow.engine.reports.junit import write_junit_report
from loadflow.engine.reports.xml_report import write_xml_report
from loadflow.errors import RunError
from tests.builders import Failure, build_run, facts, make_rows
from tests.examples import examples
from tests.reports.hit_runs import csv_rows, json_pair, rows_of, run_of_shards, tiny_run, xml_pair
from tests.reports.test_junit import document as junit_document

LEGACY_HEADER = "outcome,Method,test_url,name,status_code,response_time_ms,response_length,error"
ANY_TEXT = st.text(st.characters(codec=None, categories=["Cc", "Cs", "L", "N", "P", "S", "Z", "Co", "Cn"]), max_size=60)
NASTY = (
    "=cmd|' /C calc'!A0",
    '"',
    '""',
    "a,b",
    "a\r\nb",
    "\r",
    "\n",
    "\x00\x08\x1b",
    "]]>",
    "--><x>",
    "%s %d",
    "&amp;",
    "\ud800",
    "\ufffe\uffff",
)
NASTY_TEXT = st.sampled_from(NASTY) | ANY_TEXT | st.lists(st.sampled_from(NASTY)).map("".join)
Write = Callable[[Sequence[Run], Path], object]
WRITERS: list[Write] = [
    write_csv_report,
    lambda runs, path: write_json_report(runs, path, path.with_suffix(".2")),
    lambda runs, path: write_xml_report(runs, path, path.with_suffix(".2")),
    write_junit_report,
    lambda runs, path: write_junit_report(runs, path, per_request=True),
]


def test_csv_to_the_letter(tmp_path: Path) -> None:
    path = write_csv_report([tiny_run(tmp_path / "run")], tmp_path / "hits.csv")
    run = "20260921-141320-smoke-1f2e3d4c"
    assert path.read_bytes().decode() == (
        f"{LEGACY_HEADER},started_at,due_ms,service_time_ms,sent_bytes,user,flags,outcome_kind,run\r\n"
        f"success,GET,http://shop.test:8080/items?full=1,/items,200,12.346,420,,"
        f"2026-09-21T14:13:20.001000Z,1.000,12.346,180,3,,ok,{run}\r\n"
        f'failure,POST,http://login.test/login,login,503,1500.000,0,"status 503, ""busy""",'
        f"2026-09-21T14:13:20.002000Z,2.000,1500.000,99,4,superseded,status,{run}\r\n"
        f"success,POST,http://login.test/login,login,204,100.500,12,,"
        f"2026-09-21T14:13:21.600000Z,1502.000,2.500,99,4,retry late,ok,{run}\r\n"
    )


def test_json_to_the_letter(tmp_path: Path) -> None:
    success, failure = write_json_report([tiny_run(tmp_path / "run")], tmp_path / "s.json", tmp_path / "f.json")
    assert (
        failure.read_text()
        == """{
    "Failure_Test1": {
        "Method": "POST",
        "test_url": "http://login.test/login",
        "name": "login",
        "status_code": "503",
        "error": "status 503, \\"busy\\"",
        "outcome_kind": "status",
        "response_time_ms": 1500.000,
        "response_length": 0,
        "start_time": 1790000000.002000,
        "service_time_ms": 1500.000,
        "due_ms": 2.000,
        "sent_bytes": 99,
        "user": 4,
        "flags": "superseded",
        "run": "20260921-141320-smoke-1f2e3d4c"
    }
}
"""
    )
    records = json.loads(success.read_bytes())
    assert list(records) == ["Success_Test1", "Success_Test2"]
    assert {key: records["Success_Test1"][key] for key in ("Method", "name", "status_code", "text", "content", "headers")} == {
        "Method": "GET",
        "name": "/items",
        "status_code": "200",
        "text": "",
        "content": "",
        "headers": "",
    }
    assert records["Success_Test2"]["response_time_ms"] == 100.5


def test_xml_to_the_letter(tmp_path: Path) -> None:
    success, failure = xml_pair(tiny_run(tmp_path / "run"), folder=tmp_path)
    assert (
        failure.decode()
        == """<?xml version="1.0" encoding="utf-8"?>
<!-- run 20260921-141320-smoke-1f2e3d4c: 3 hits, passed -->
<xml_data>
	<Failure_Test1>
		<Method>POST</Method>
		<test_url>http://login.test/login</test_url>
		<name>login</name>
		<status_code>503</status_code>
		<error>status 503, "busy"</error>
		<outcome_kind>status</outcome_kind>
		<response_time_ms>1500.000</response_time_ms>
		<response_length>0</response_length>
		<start_time>1790000000.002000</start_time>
		<service_time_ms>1500.000</service_time_ms>
		<due_ms>2.000</due_ms>
		<sent_bytes>99</sent_bytes>
		<user>4</user>
		<flags>superseded</flags>
		<run>20260921-141320-smoke-1f2e3d4c</run>
	</Failure_Test1>
</xml_data>
"""
    )
    root = ElementTree.fromstring(success)
    assert [element.tag for element in root] == ["Success_Test1", "Success_Test2"]
    assert [element.tag for element in root[0]] == list(SUCCESS_KEYS)


def test_the_columns_of_compatible_readers_come_first() -> None:
    assert ",".join(CSV_KEYS[:8]) == LEGACY_HEADER
    assert SUCCESS_KEYS[:7] == ("Method", "test_url", "name", "status_code", "text", "content", "headers")
    assert FAILURE_KEYS[:5] == ("Method", "test_url", "name", "status_code", "error")


def test_no_answer_is_status_0_and_a_success_without_a_status_has_none(tmp_path: Path) -> None:
    rows = rows_of({"end_ns": 5, "error": 1}, {"end_ns": 6, "status": 0})
    run = build_run(tmp_path / "run", rows, failures=[Failure(Outcome.CONNECT, "refused")])
    assert [row["status_code"] for row in csv_rows(run, folder=tmp_path)] == ["0", ""]


@settings(max_examples=examples(15), deadline=None)
@given(method=NASTY_TEXT, name=NASTY_TEXT, error=NASTY_TEXT, label=NASTY_TEXT, url=NASTY_TEXT)
def test_any_text_in_any_field_reads_back(
    tmp_path_factory: pytest.TempPathFactory, method: str, name: str, error: str, label: str, url: str
) -> None:
    """Whole in CSV and JSON; in XML whole but for what no XML document can hold. Lone surrogates are no characters: they are "?"."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = rows_of({"end_ns": 1, "series": 0}, {"end_ns": 2, "series": 0, "error": 1})
    own = facts(id=label, label=label, script=label, plan={"steps": [{"method": "GET", "request_url": url, "name": "x"}]})
    run = build_run(folder / "run", rows, names=[(method, name)], failures=[Failure(Outcome.ASSERTION, error, 200)], run_facts=own)
    method, name, error, label = (printable(text) for text in (method, name, error, label))

    read = csv_rows(run, folder=folder)
    assert [(row["Method"], row["name"], row["error"], row["run"]) for row in read] == [
        (in_csv(method), in_csv(name), "", in_csv(label)),
        (in_csv(method), in_csv(name), in_csv(error), in_csv(label)),
    ]
    assert not [cell for row in read for cell in row.values() if cell[:1] in BEGINS and cell and not is_number(cell)]
    success, failure = json_pair(run, folder=folder)
    assert success["Success_Test1"]["name"] == name
    assert (failure["Failure_Test1"]["error"], failure["Failure_Test1"]["Method"]) == (error, method)
    for document in xml_pair(run, folder=folder):
        for root in (ElementTree.fromstring(document), etree.fromstring(document)):
            assert (root[0].findtext("Method"), root[0].findtext("name")) == (in_xml(method), in_xml(name))
            assert root[0].findtext("error", in_xml(error)) == in_xml(error)
    for per_request in (False, True):
        root = junit_document([run], folder, per_request=per_request)
        assert root[0].get("name") == (in_xml(label) or "load test")
        assert root.findall(".//testcase")[-1].get("name").startswith(in_xml(name))


BEGINS = "=+-@\t\r\n＝＋－＠"


def in_csv(text: str) -> str:
    """A spreadsheet must not take it for a formula."""
    return f"'{text}" if text[:1] in tuple(BEGINS) and not is_number(text) else text


def is_number(text: str) -> bool:
    return re.fullmatch(r"[+-][0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text) is not None


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1-2", "'+1-2"),
        ("-cmd", "'-cmd"),
        ("\t=1", '"\'\t=1"'),
        ("\r=1", '"\'\r=1"'),
        ("a;=1", '"a;=1"'),
        ("-5", "-5"),
        ("+5.25e-3", "+5.25e-3"),
        ("GET", "GET"),
        ("", ""),
    ],
)
def test_a_cell_begins_no_formula_and_a_number_stays_one(text: str, cell: str) -> None:
    assert quoted(text) == cell


def in_xml(text: str) -> str:
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def test_hits_of_several_processes_come_in_the_order_they_ended_with_the_names_of_their_own(tmp_path: Path) -> None:
    shards = [make_rows(9_000, seconds=3, seed=1, failure_rate=0.1), make_rows(20_000, seconds=3, seed=2, failure_rate=0.1), make_rows(0)]
    run = run_of_shards(tmp_path / "run", shards)
    rows = csv_rows(run, folder=tmp_path)
    assert len(rows) == 29_000
    expected = sorted((int(row["end_ns"]), shard, int(row["series"]), int(row["error"])) for shard in (0, 1) for row in shards[shard])
    names = [f"/{shard}/{series}" for _, shard, series, _ in expected]
    assert [row["name"] for row in rows] == names
    assert [row["error"] for row in rows] == [f"shard {shard} timed out" if error else "" for _, shard, _, error in expected]


def test_names_that_are_lost_are_said_to_be(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", rows_of({"end_ns": 1, "series": 7}, {"end_ns": 2, "series": 9, "error": 1}), names=[("GET", "/")] * 8)
    run.names_path(0).write_bytes(b'{"series": 0, "method": "GET", "name": "/"}\n{"series": 1, "me')
    rows = csv_rows(run, folder=tmp_path)
    assert [(row["name"], row["error"]) for row in rows] == [("(name lost)", ""), ("(name lost)", "(text lost)")]


def test_several_runs_stand_one_after_another_numbered_through(tmp_path: Path) -> None:
    second = build_run(tmp_path / "b", make_rows(30, failure_rate=0.0), run_facts=facts(id="second", started_unix_s=1_790_009_999.0))
    first = build_run(tmp_path / "a", make_rows(20, failure_rate=0.0), run_facts=facts(id="first"))
    assert [row["run"] for row in csv_rows(second, first, folder=tmp_path)] == ["first"] * 20 + ["second"] * 30
    success, failure = json_pair(second, first, folder=tmp_path)
    assert list(success) == [f"Success_Test{number}" for number in range(1, 51)]
    assert failure == {}
    document, _ = xml_pair(second, first, folder=tmp_path)
    assert b"<!-- run first: 20 hits, passed; run second: 30 hits, passed -->" in document
    assert len(ElementTree.fromstring(document)) == 50


def test_a_run_without_a_hit_gives_valid_files_that_say_so(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(0))
    assert csv_rows(run, folder=tmp_path) == []
    assert json_pair(run, folder=tmp_path) == ({}, {})
    for document in xml_pair(run, folder=tmp_path):
        assert b": 0 hits, inconclusive: no hit was recorded, so nothing was tested -->" in document
        assert len(ElementTree.fromstring(document)) == 0


def test_a_run_that_was_cut_off_has_its_hits_up_to_the_last_whole_one(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(500, seconds=4.0), cut_off=True, stored_seconds=2)
    with run.hits_path(0).open("ab") as file:
        file.write(b"\x01" * 20)
    assert len(csv_rows(run, folder=tmp_path)) == 500
    document, _ = xml_pair(run, folder=tmp_path)
    assert b"500 hits, interrupted: stopped after 4.0 s of 30 s" in document


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(50), end=RunEnd(EndReason.STOPPED, "Ctrl--C", 30.0, 3.0))
    document, _ = xml_pair(run, folder=tmp_path)
    assert b"stopped after 3.0 s of 30 s (Ctrl- -C) -->" in document
    etree.fromstring(document)


@pytest.mark.parametrize("write", WRITERS)
def test_memory_does_not_grow_with_the_hits(tmp_path: Path, write: Write) -> None:
    run = build_run(tmp_path / "run", make_rows(100_000, failures=2, failure_rate=0.2), failures=[Failure(Outcome.STATUS, "a")] * 2)
    tracemalloc.start()
    try:
        write([run], tmp_path / "report")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000


def test_long_names_and_texts_do_not_make_it_grow_either(tmp_path: Path) -> None:
    names = [(f"{number}" + '"' * 300, "\x01" * 300) for number in range(100)]
    failures = [Failure(Outcome.ASSERTION, f"{number}" + "\x01" * 490) for number in range(100)]
    rows = make_rows(12_000, seconds=3, series=100, failure_rate=0.5)
    rows["error"] = np.where(rows["error"], rows["series"] + 1, 0)
    run = build_run(tmp_path / "run", rows, names=names, failures=failures)
    tracemalloc.start()
    try:
        for write in WRITERS:
            write([run], tmp_path / "report")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 27_000_000


@pytest.mark.parametrize("write", WRITERS)
def test_what_can_not_be_written_is_an_error_with_the_way_out(tmp_path: Path, write: Write) -> None:
    run = build_run(tmp_path / "run", make_rows(10))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "report", tmp_path / "a\x00b", tmp_path / ("x" * 300)):
        with pytest.raises(RunError, match=r"can't be written .*; choose a folder that can be written"):
            write([run], path)
    with pytest.raises(RunError, match="no run to report on; run a test first"):
        write([], tmp_path / "report")


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_the_old_report_and_nothing_else(tmp_path: Path, write: Write) -> None:
    run = build_run(tmp_path / "run", make_rows(50_000), failures=[Failure(Outcome.STATUS, "x" * 400)])
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "report.csv"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # a file that grows further is refused, as on a full disk
    try:
        with pytest.raises(RunError, match="choose a folder that can be written and has room"):
            write([run], path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_numbers_are_those_of_the_log(tmp_path: Path) -> None:
    rows = make_rows(3_000, arrival_rate=True, failure_rate=0.2)
    read = csv_rows(build_run(tmp_path / "run", rows, names=[("GET", f"/{n}") for n in range(3)]), folder=tmp_path)
    order = np.argsort(rows["end_ns"], kind="stable")
    for key, expected in {
        "response_time_ms": (rows["end_ns"] - rows["due_ns"]) / 1e6,
        "service_time_ms": (rows["end_ns"] - rows["start_ns"]) / 1e6,
        "due_ms": rows["due_ns"] / 1e6,
        "response_length": rows["received_bytes"],
        "sent_bytes": rows["sent_bytes"],
        "user": rows["user"],
        "status_code": rows["status"],
    }.items():
        assert np.array([float(row[key]) for row in read]) == pytest.approx(expected[order], abs=0.00051), key
