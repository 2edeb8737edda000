"""Run folders: whole, cut off at any point, and taken together."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.base.files import write_atomically
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.summing import summary_of
from loadflow.errors import RunError
from tests.builders import STATUS_503, Failure, build_run, facts, make_rows


def test_what_was_created_is_opened_again_with_all_its_facts(tmp_path: Path) -> None:
    run_id, folder = Run.new_folder(tmp_path / "runs", "Smoke: läuft!")
    own = facts(id=run_id, folder=str(folder), planned_s=None, plan={"a": [1, {"b": None}]})
    Run.create(folder, own, shards=2, max_failure_rate=0.25)
    run = Run.open(folder)
    assert (run.facts, run.shards, run.max_failure_rate) == (own, 2, 0.25)
    assert "-smoke-l-uft-" in run_id


def test_an_older_loadflow_reads_the_facts_it_knows(tmp_path: Path) -> None:
    Run.create(tmp_path, facts(), shards=1, max_failure_rate=0.0)
    data = json.loads((tmp_path / "run.json").read_text())
    data["facts"]["added_later"] = 1
    (tmp_path / "run.json").write_text(json.dumps(data))
    assert Run.open(tmp_path).facts == facts()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not a run folder"),
        ("{", "is not a run folder"),
        ("[]", "is not a run folder"),
        ('{"format": "other", "version": 1}', "is not a run folder"),
        ('{"format": "loadflow-run", "version": 2}', "newer loadflow"),
    ],
    ids=["no file", "torn", "a list", "another format", "a newer version"],
)
def test_a_folder_without_a_run_of_ours_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=said):
        Run.open(tmp_path)


DAMAGES = [
    (["facts"], None, r"run.json.facts is null, but must be an object"),
    (["facts", "users"], "many", r"run.json.facts.users is a string, but must be a whole number"),
    (["facts", "users"], True, r"run.json.facts.users is true or false, but must be a whole number"),
    (["facts", "planned_s"], [], r"run.json.facts.planned_s is a list, but must be a number"),
    (["facts", "flow_run_ids"], [1], r"run.json.facts.flow_run_ids\[0\] is a whole number, but must be a string"),
    (["facts", "plan"], [], r"run.json.facts.plan is a list, but must be an object"),
    (["shards"], 0, r"run.json.shards must be from 1 to"),
    (["shards"], 10**12, r"run.json.shards must be from 1 to"),
    (["max_failure_rate"], "none", r"run.json.max_failure_rate is a string"),
    (["thresholds"], [{}], r"run.json.thresholds\[0\].expression is missing"),
    (["thresholds"], [{"expression": "fast"}], "'fast' is not a threshold"),
    (["thresholds"], [{"expression": "p95 < 5", "window": [1]}], r"run.json.thresholds\[0\].window has 1 value, but must have 2"),
]


@pytest.mark.parametrize(("place", "value", "said"), DAMAGES)
def test_a_damaged_run_names_what_is_wrong_in_it(tmp_path: Path, place: list[str], value: Any, said: str) -> None:
    Run.create(tmp_path, facts(), shards=1, max_failure_rate=0.0)
    data = json.loads((tmp_path / "run.json").read_text())
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    (tmp_path / "run.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match=said):
        Run.open(tmp_path)


WRONG = [None, True, -1, 1e300, "", "x", [], [[]], {}, {"": None}]


@pytest.mark.parametrize("name", ["run.json", "end.json"])
def test_no_value_of_a_file_that_was_edited_is_an_error_of_ours(tmp_path: Path, name: str) -> None:
    build_run(tmp_path, make_rows(20))
    text = (tmp_path / name).read_text()
    for place in places(json.loads(text)):
        for value in WRONG if place[:2] != ["facts", "plan"] else []:
            data = json.loads(text)
            holder = data
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = value
            (tmp_path / name).write_text(json.dumps(data))
            with contextlib.suppress(RunError):
                Run.open(tmp_path).end()
    (tmp_path / name).write_text(text)
    Run.open(tmp_path).summary()


def places(value: Any) -> Iterator[list[Any]]:
    """The paths of all values that stand in `value`; of a list, the first."""
    pairs = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, inner in pairs:
        yield [key]
        yield from ([key, *rest] for rest in places(inner))


def test_a_finished_run_keeps_its_counts_end_and_summary(tmp_path: Path) -> None:
    run = build_run(tmp_path, make_rows(2000), end=RunEnd(EndReason.STOPPED, "Ctrl-C", 30.0, 12.0))
    assert run.totals().to_json() == {**run.fold().to_json(), "duration_s": 12.0}
    assert run.end() == RunEnd(EndReason.STOPPED, "Ctrl-C", 30.0, 12.0)
    assert json.loads((tmp_path / "summary.json").read_text()) == run.summary().to_json()
    assert sum(row.succeeded.count + row.failed.count for row in run.seconds()) == 2000
    assert len(run.hits()) == 2000


def test_a_run_that_was_cut_off_is_readable_and_says_so(tmp_path: Path) -> None:
    rows = make_rows(2000, seconds=7.5)
    run = build_run(tmp_path, rows, cut_off=True, stored_seconds=5)
    os.truncate(run.hits_path(0), run.hits_path(0).stat().st_size - 7)
    with (tmp_path / "snapshots.ndjson").open("ab") as file:
        file.write(b'{"second": 5, "succ')
    summary = run.summary()
    assert summary.overall.count == 1999 == run.fold().hits
    assert str(summary.verdict.kind) == "interrupted"
    assert summary.verdict.reasons[0].startswith("stopped after 7.")
    assert summary.overall.failures == int(np.count_nonzero(rows["error"][:1999]))
    assert len(run.health()) == 5


@pytest.mark.parametrize("missing", ["totals.json", "end.json", "snapshots.ndjson", "names-0.ndjson", "samples-0.ndjson", "hits-0.bin"])
def test_a_run_that_lost_a_file_is_still_readable(tmp_path: Path, missing: str) -> None:
    run = build_run(tmp_path, make_rows(500))
    (tmp_path / missing).unlink()
    assert Run.open(tmp_path).summary().overall.count == 500
    assert len(run.hits()) == (0 if missing == "hits-0.bin" else 500)


def test_a_log_whose_header_was_never_written_holds_no_hits(tmp_path: Path) -> None:
    run = build_run(tmp_path, make_rows(10), cut_off=True)
    run.hits_path(0).write_bytes(b"LFH")
    assert (Run.open(tmp_path).summary().overall.count, len(run.hits())) == (0, 0)


def test_samples_with_any_text_come_back_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    sample = {"request": {"url": "/\u2028\x85\x1c", "body": "é🔑"}}
    run = build_run(tmp_path, make_rows(500), failures=[Failure(Outcome.STATUS, "status 503 \u2028", 503, sample)])
    whole = run.samples()
    assert whole[SeriesName("GET", "/items"), ErrorText(Outcome.STATUS, "status 503 \u2028")] == [sample]
    raw = run.samples_path(0).read_bytes()
    for cut in range(1, 30):
        run.samples_path(0).write_bytes(raw[:-cut])
        assert sum(map(len, run.samples().values())) == sum(map(len, whole.values())) - 1


def test_several_runs_are_added_up_and_the_worst_verdict_counts(tmp_path: Path) -> None:
    good = build_run(tmp_path / "a", make_rows(1000, failure_rate=0.0))
    bad = build_run(tmp_path / "b", make_rows(500, failure_rate=1.0), failures=[STATUS_503])
    summary = summary_of([good, bad])
    assert (summary.overall.count, summary.overall.failures) == (1500, 500)
    assert summary.duration_s == pytest.approx(good.summary().duration_s + bad.summary().duration_s)
    assert str(summary.verdict.kind) == "failed"
    assert len(summary.runs) == 2


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, "old")
    (tmp_path / "deep" / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "deep" / "folder", "new")
    write_atomically(path, "n\ud800w")
    assert path.read_text() == "n?w"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["file.json", "folder"]
