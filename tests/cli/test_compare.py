"""`loadflow compare`, `loadflow history`, LD_diff_runs: runs found by name, unlike ones refused, what changed told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from loadflow import diff_runs, execute_action
from loadflow.cli import main
from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session, use_session
from loadflow.engine.store.place import place_of
from loadflow.engine.store.write import persist
from loadflow.errors import CommandError, ThresholdsNotMet
from tests.builders import STARTED_UNIX_S, build_run, facts, make_rows

NAMES = [("GET", "/items"), ("POST", "/login"), ("GET", "/search")]


def slower(rows: Rows, factor: float) -> Rows:
    """Each hit began earlier and ended when it did."""
    changed = rows.copy()
    taken = changed["end_ns"].astype("i8") - changed["due_ns"].astype("i8")
    changed["end_ns"] = changed["due_ns"] + (taken * factor).astype("i8")
    changed["start_ns"] = changed["due_ns"]
    return changed


def a_run(
    root: Path, day: int, *, factor: float = 1.0, label: str = "shop", plan: dict[str, Any] | None = None, seed: int = 1, revision: str = ""
) -> Run:
    run_id = f"202609{day:02}-120000-{label}-0000000{day % 10}"
    rows = slower(make_rows(20_000, seconds=120, failure_rate=0.0, seed=seed, steady=True), factor)
    about = facts(id=run_id, label=label, folder=str(root / run_id), started_unix_s=STARTED_UNIX_S + day * 86_400, planned_s=120.0)
    return build_run(root / run_id, rows, run_facts=replace(about, plan=plan or about.plan, revision=revision))


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the label shop: two alike, a slow one, a quick one again; then one of another label."""
    root = tmp_path_factory.mktemp("runs")
    for day, factor in ((1, 1.0), (2, 1.0), (3, 1.6), (4, 1.0)):
        a_run(root, day, factor=factor, seed=day)
    a_run(root, 5, label="other", plan={"user_count": 9})
    return root


def day(number: int) -> str:
    return f"202609{number:02}-120000-shop-0000000{number}"


def invoke(runs_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [arguments[0], "--runs-dir", str(runs_dir), *arguments[1:]])


@pytest.mark.parametrize(
    ("before", "after", "limits", "verdict", "code"),
    [
        (1, 2, ("--relative", "25%"), "same", 0),
        (2, 3, (), "worse", 1),
        (3, 4, ("--relative", "25%"), "better", 0),
        (2, 3, ("--relative", "200%"), "same", 0),
        (2, 3, ("--absolute-ms", "5000"), "same", 0),
        (1, 2, ("--relative", "0.5%", "--absolute-ms", "0"), "unclear", 3),
    ],
)
def test_the_exit_code_is_the_verdict(runs_dir: Path, before: int, after: int, limits: tuple[str, ...], verdict: str, code: int) -> None:
    done = invoke(runs_dir, "compare", day(before), day(after), "--json", *limits)
    found = json.loads(done.stdout)
    assert (found["verdict"], done.exit_code) == (verdict, code), done.stdout
    assert (found["baseline"]["id"], found["current"]["id"]) == (day(before), day(after))
    assert [one["name"] for one in found["names"]] == [name for _, name in NAMES]


def test_the_table_names_every_metric_and_what_is_worse(runs_dir: Path) -> None:
    done = invoke(runs_dir, "compare", day(2), day(3))
    for part in ("p50", "p95", "p99", "mean", "failure_rate", "rate", "POST /login", "▲ worse", "95 % confidence", "…"):
        assert part in done.stdout, part
    assert done.stdout.rstrip().endswith("▲ worse")


def test_the_markdown_is_one_table(runs_dir: Path) -> None:
    lines = invoke(runs_dir, "compare", day(2), day(3), "--markdown").stdout.splitlines()
    assert lines[0] == f"**▲ worse**: `{day(3)}` against `{day(2)}`"
    assert {line.count(" | ") for line in lines if line.startswith("| ") and "|---" not in line} == {6}


def test_runs_are_named_by_folder_id_and_age(runs_dir: Path) -> None:
    by_folder = invoke(runs_dir, "compare", str(runs_dir / day(2)), str(runs_dir / day(3)), "--json")
    assert json.loads(by_folder.stdout) == json.loads(invoke(runs_dir, "compare", day(2), day(3), "--json").stdout)
    by_age = json.loads(invoke(runs_dir, "compare", day(1), "latest", "--json", "--force").stdout)
    assert by_age["current"]["label"] == "other"


def test_previous_is_the_run_before_of_the_same_label_and_a_first_run_may_be_allowed_to_have_none(tmp_path: Path) -> None:
    a_run(tmp_path, 1)
    a_run(tmp_path, 2, label="other")
    with use_session(Session(runs_dir=tmp_path)):
        with pytest.raises(CommandError, match="is the only run of 'other' in"):
            diff_runs()
        assert diff_runs(allow_first=True)["verdict"] == "unclear"
        a_run(tmp_path, 3)
        found = diff_runs()
    assert (found["baseline"]["id"], found["current"]["id"]) == (day(1), day(3))


def test_unlike_runs_are_refused_with_what_differs_unless_forced(runs_dir: Path) -> None:
    refused = invoke(runs_dir, "compare", day(4), "latest")
    assert refused.exit_code == 2
    assert "plan.user_count: 50, now 9" in refused.stderr
    assert "--force compares them anyway" in refused.stderr
    forced = invoke(runs_dir, "compare", day(4), "latest", "--force")
    assert forced.exit_code in (0, 1, 3)
    assert "unlike in plan.user_count: 50, now 9" in forced.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "latest"), "baseline: 'nowhere' names no run"),
        (("latest", "nowhere"), "current: 'nowhere' names no run"),
        (("latest", "latest", "--relative", "ten"), "relative: 'ten' is no such number"),
        (("latest", "latest", "--absolute-ms", "-1"), "absolute_ms: -1.0 is no such number"),
        (("latest", "latest", "--confidence", "95"), "confidence: 95 is out of range"),
        (("latest", "latest", "--absolute-failure-rate", "nan"), "absolute_failure_rate: 'nan' is no such number"),
        (("1", "2", "--db", "gone.db"), "there is no database gone.db"),
    ],
)
def test_a_mistake_names_the_argument_and_compares_nothing(runs_dir: Path, arguments: tuple[str, ...], said: str) -> None:
    done = invoke(runs_dir, "compare", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_an_empty_folder_has_no_latest_run(tmp_path: Path) -> None:
    assert "there is no run in" in invoke(tmp_path, "compare", "previous", "latest").stderr


def test_a_run_that_was_cut_off_is_compared_by_its_hits(tmp_path: Path) -> None:
    rows = make_rows(20_000, seconds=120, failure_rate=0.0, steady=True)
    build_run(tmp_path / "a", rows, run_facts=facts(planned_s=120.0))
    build_run(tmp_path / "b", rows, cut_off=True, run_facts=facts(planned_s=120.0))
    with use_session(Session(runs_dir=tmp_path)):
        assert diff_runs("a", "b", relative="50%")["verdict"] == "same"


def test_history_has_each_run_against_the_like_one_before(runs_dir: Path) -> None:
    rows = json.loads(invoke(runs_dir, "history", "--label", "shop", "--json").stdout)
    assert [row["name"] for row in rows] == [day(4), day(3), day(2), day(1)]
    assert [row["against"] for row in rows] == [day(3), day(2), day(1), ""]
    assert [row["change"] for row in rows][:2] == ["better", "worse"]
    assert rows[-1]["change"] is None
    assert {row["verdict"] for row in rows} == {"passed"}
    limited = json.loads(invoke(runs_dir, "history", "--label", "shop", "--json", "--limit", "2").stdout)
    assert limited == rows[:2]


def test_the_history_as_a_table_marks_changes_and_tells_of_runs_it_leaves_out(tmp_path: Path) -> None:
    a_run(tmp_path, 1)
    a_run(tmp_path, 2, factor=2)
    a_run(tmp_path, 3, factor=2, plan={"user_count": 9})
    (tmp_path / "20260904-torn").mkdir()
    (tmp_path / "20260904-torn" / "run.json").write_text("{", encoding="utf-8")
    done = invoke(tmp_path, "history")
    newest, middle, oldest = done.stdout.splitlines()[1:]
    assert "unlike the run before: plan.user_count" in newest
    assert "▲ worse p50 +" in middle
    assert "–" in oldest
    assert "left out: " in done.stderr
    assert "no runs of 'nothing' in" in invoke(tmp_path, "history", "--label", "nothing").stderr


def test_the_history_fits_a_terminal_of_80_columns_and_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(variable, value)  # rich takes it for a terminal
    a_run(tmp_path, 1)
    a_run(tmp_path, 2, factor=2)
    lines = click.unstyle(invoke(tmp_path, "history").stdout).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("09-23 14:13Z  passed   16")
    assert "the ids of the runs: in a terminal of 140 columns" in lines[-1]


def test_the_revision_stands_beside_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_dir = tmp_path / "runs"
    runs = [a_run(runs_dir, 1), a_run(runs_dir, 2, revision="1.4.1"), a_run(runs_dir, 3, revision="a|b" + "c" * 40)]
    persist(place_of(str(tmp_path / "runs.db"), None), runs)
    for where in ((), ("--db", str(tmp_path / "runs.db"))):
        rows = json.loads(invoke(runs_dir, "history", "--json", *where).stdout)
        assert [row["revision"] for row in rows] == ["a|b" + "c" * 40, "1.4.1", ""]
        compared = json.loads(invoke(runs_dir, "compare", "previous", "latest", "--json", *where).stdout)
        assert [compared[side]["revision"] for side in ("baseline", "current")] == ["1.4.1", "a|b" + "c" * 40]
    assert [run["revision"] for run in json.loads(invoke(runs_dir, "runs", "--json").stdout)] == ["a|b" + "c" * 40, "1.4.1", ""]
    assert "revision: 1.4.1 → a|bccc" in invoke(runs_dir, "compare", day(2), day(3)).stdout
    assert "\n\nrevision: – → 1.4.1\n" in invoke(runs_dir, "compare", day(1), day(2), "--markdown").stdout
    for columns in ("80", "100", "150"):
        for variable, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": columns}.items():
            monkeypatch.setenv(variable, value)  # rich takes it for a terminal
        for command in ("runs", "history"):
            table = click.unstyle(invoke(runs_dir, command).stdout)
            assert max(map(len, table.splitlines())) <= int(columns)
            if (columns, command) == ("80", "history"):
                assert table.splitlines()[-1].startswith("the ids and revisions of the runs: in a terminal of 140 columns")
                continue
            for part in ("revision", "1.4.1", "a|bccc", " – "):
                assert part in table, (columns, command, part)


def test_runs_of_a_database_are_compared_like_those_of_folders(runs_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    ids = persist(place_of(str(path), None), [Run.open(runs_dir / day(number)) for number in (2, 3)])
    stored = json.loads(invoke(runs_dir, "compare", *map(str, ids), "--json", "--db", str(path)).stdout)
    folders = json.loads(invoke(runs_dir, "compare", day(2), day(3), "--json").stdout)
    assert (stored["overall"], stored["names"], stored["verdict"]) == (folders["overall"], folders["names"], "worse")
    for names in (("previous", "latest"), (day(2), day(3))):
        assert diff_runs(*names, database_path=str(path))["overall"] == stored["overall"]
        assert diff_runs(*names, url=f"sqlite:///{path}")["overall"] == stored["overall"]
    rows = json.loads(invoke(runs_dir, "history", "--db", f"sqlite:///{path}", "--json").stdout)
    assert [(row["name"], row["change"]) for row in rows] == [("2", "worse"), ("1", None)]
    with pytest.raises(CommandError, match="holds no run 77"):
        diff_runs(77, 1, database_path=str(path))


def test_a_script_fails_where_something_is_worse_if_it_says_so(runs_dir: Path) -> None:
    arguments = {"baseline": day(2), "current": day(3)}
    with use_session(Session(runs_dir=runs_dir)):
        told = execute_action([["LD_diff_runs", arguments]])
        assert (told.results[0].value["verdict"], told.results[0].error) == ("worse", None)
        failed = execute_action([["LD_diff_runs", {**arguments, "fail_on_worse": True}]])
    assert isinstance(failed.results[0].error, ThresholdsNotMet)
    assert failed.verdict.kind is VerdictKind.FAILED
    assert f"p50 of all is worse than in {day(2)}" in failed.verdict.reasons[0]
