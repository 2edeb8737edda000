"""The evidence of real loads: what was changed afterwards is found, and a run is made again as it was, or what is different is said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from loadflow.cli import main
from loadflow.engine.base.redact import MASK, Redactor
from loadflow.engine.history.population import accepted_of
from loadflow.engine.load.made_of import IMAGE_VARIABLE, unmasked
from loadflow.engine.records.evidence import CHAIN, CHAIN_VARIABLE, EVIDENCE, approvals_of, digest_of, evidence_digest, links_of
from loadflow.engine.records.fingerprint import fingerprint
from loadflow.engine.records.run import Run
from loadflow.engine.records.runs_dir import runs_below
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.session import Session, use_session
from tests.targets.fixture import Target

ROWS = "name\nann\nbob\n"


def script(target: Target, rows: Path) -> list[Any]:
    """Random gaps, rows of a file, a secret and a value from outside."""
    step = {
        "method": "get",
        "request_url": f"{target.url}/ok?user=${{csv.users.name}}&token=${{secret.shop}}",
        "headers": {"Authorization": "Bearer ${secret.shop}"},
    }
    test = {
        "user_detail_dict": {"user": "fast_http_user"},
        "rate": {"mode": "constant", "rps": 40, "spacing": "poisson"},
        "test_time": "${var.seconds}",
        "tasks": [step],
    }
    return [
        ["LD_register_variable", {"name": "seconds", "value": 1}],
        ["LD_register_csv_source", {"name": "users", "file_path": str(rows)}],
        ["LD_start_test", test],
    ]


@pytest.fixture(scope="module")
def evening(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rows, and runs: two of one label and one of another."""
    folder = tmp_path_factory.mktemp("evening")
    (folder / "users.csv").write_text(ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOADFLOW_SECRET_SHOP", "hunter22-hunter22")
        for label in ("shop", "desk", "shop"):
            with use_session(Session(name="evening", label=label, runs_dir=folder / "runs")):
                execute_action(script(target, folder / "users.csv")).raise_for_failure()
    return folder


@pytest.fixture
def rows(evening: Path) -> Iterator[Path]:
    yield evening / "users.csv"
    (evening / "users.csv").write_text(ROWS)


@pytest.fixture
def made(evening: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the runs."""
    monkeypatch.setenv("LOADFLOW_SECRET_SHOP", "hunter22-hunter22")
    monkeypatch.setenv("LOADFLOW_RUNS_DIR", str(tmp_path / "runs"))
    return Path(shutil.copytree(evening / "runs", tmp_path / "runs"))


def loadflow(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], env={"NO_COLOR": "1", "COLUMNS": "300"})


def last_run(runs_dir: Path, label: str = "shop") -> Run:
    return next(run for run in map(Run.open, runs_below(runs_dir)) if run.facts.label == label)


def test_what_has_not_been_touched_is_whole_and_the_runs_of_a_label_are_a_chain(made: Path) -> None:
    done = loadflow("verify")
    assert (done.exit_code, done.stdout.count("whole  ")) == (0, 3)
    first, other, second = links_of(made)
    assert [first.label, other.label, second.label] == ["shop", "desk", "shop"]
    assert [first.previous, other.previous, second.previous] == ["", "", first.sha256]
    evidence = json.loads((last_run(made).folder / EVIDENCE).read_text())
    assert evidence["previous"] == {"run": first.run, "sha256": first.sha256}
    assert evidence_digest(last_run(made).folder) == second.sha256
    assert evidence["files"].keys() == {path.name for path in last_run(made).folder.iterdir()} - {EVIDENCE}


def test_evidence_says_what_the_run_was_made_of_and_holds_no_secret(made: Path, rows: Path) -> None:
    text = (last_run(made).folder / EVIDENCE).read_text()
    assert "hunter22" not in text
    known = json.loads(text)["made_of"]
    assert known["asked"]["arguments"]["tasks"][0]["request_url"].endswith("token=${secret.shop}")
    assert known["asked"]["masked"] == []
    digests = known["digests"]
    assert digests["data"] == {str(rows): digest_of(rows)}
    assert len(digests["script"]) == len(digests["loadflow"]["files"]) == 64


def test_a_judgement_and_a_report_that_are_made_later_are_no_changes(made: Path) -> None:
    assert loadflow("judge", "latest").exit_code == 3
    assert loadflow("report", last_run(made).folder).exit_code == 0
    assert loadflow("verify", "latest").exit_code == 0


def one_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def added(run: Run) -> None:
    (run.folder / "hits-1.bin").write_bytes(b"")


def without_line(run: Run) -> None:
    chain = run.folder.parent / CHAIN
    lines = chain.read_text().splitlines(keepends=True)
    chain.write_text("".join(lines[1:]))


def evidence_too(run: Run) -> None:
    """A file is changed, and its digest in the evidence."""
    hits = run.hits_path(0)
    one_byte(hits)
    path = run.folder / EVIDENCE
    evidence = json.loads(path.read_text())
    evidence["files"][hits.name] = digest_of(hits)
    path.write_text(json.dumps(evidence, indent=2, ensure_ascii=False))


CHANGES: list[tuple[str, Callable[[Run], object], str]] = [
    ("a hit", lambda run: one_byte(run.hits_path(0)), "hits-0.bin was changed"),
    ("a number of the summary", lambda run: one_byte(run.folder / "summary.json"), "summary.json was changed"),
    ("the verdict that people read", lambda run: one_byte(run.folder / "report.html"), "report.html was changed"),
    ("how it ended", lambda run: (run.folder / "end.json").unlink(), "end.json is gone"),
    ("a line more", lambda run: os.truncate(run.folder / "snapshots.ndjson", 10), "snapshots.ndjson was changed (its size was"),
    ("more hits", added, "hits-1.bin was added"),
    ("a file and its digest", evidence_too, "evidence.json was changed: its digest is not the one in evidence.ndjson"),
    ("the evidence itself", lambda run: (run.folder / EVIDENCE).unlink(), "its evidence.json is gone or damaged"),
    ("the plan", lambda run: (run.folder / "run.json").write_text("{}"), "is not a run folder"),
    ("the first line of the chain", without_line, "line 2 ("),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_each_change_is_found(change: Callable[[Run], object], said: str, made: Path) -> None:
    change(last_run(made))
    done = loadflow("verify", made)
    assert done.exit_code == 1
    assert said in done.stdout


def test_who_approved_a_run_or_a_change_stands_in_its_evidence_and_the_chain_holds_it(made: Path) -> None:
    run = last_run(made)
    before = evidence_digest(run.folder)
    done = loadflow("approve", "latest", "--why", "good enough for 2.1", "--by", "Ann")
    assert done.exit_code == 0, done.output
    assert evidence_digest(run.folder) in done.stdout
    assert loadflow("history", "accept", "latest", "--why", "the basket is checked, too", "--by", "Bob").exit_code == 0
    first, second = approvals_of(run.folder)
    assert (first.kind, first.by, first.why, first.evidence) == ("run", "Ann", "good enough for 2.1", before)
    assert (second.kind, second.by) == ("change", "Bob")
    assert {"host", "user"} <= first.where.keys()
    accepted = accepted_of(made, "shop")
    assert accepted is not None
    assert accepted.by == "Bob"
    done = loadflow("verify", "latest")
    assert done.exit_code == 0, done.stdout
    assert "approved by Ann on " in done.stdout
    assert "accepted as a change by Bob on " in done.stdout
    assert loadflow("verify").exit_code == 0, "the chain of all labels holds"
    assert [link.run for link in links_of(made)][-2:] == [run.facts.id] * 2


def another_person(path: Path) -> None:
    path.write_text(path.read_text().replace('"by": "Ann"', '"by": "Eve"'))


def made_up(path: Path) -> None:
    """An approval beside the one that there is, with a line in the chain."""
    evidence = json.loads(path.read_text())
    evidence["approvals"].append({**evidence["approvals"][0], "by": "Eve", "evidence": "0" * 64})
    path.write_text(json.dumps(evidence))
    chain = path.parent.parent / CHAIN
    last = links_of(chain.parent)[-1]
    link = {**asdict(last), "sha256": evidence_digest(path.parent), "previous": last.sha256}
    chain.write_text(chain.read_text() + json.dumps(link) + "\n")


def as_before(path: Path) -> None:
    """The evidence as it was before it was approved, which the chain has, too."""
    evidence = json.loads(path.read_text())
    del evidence["approvals"]
    path.write_text(json.dumps(evidence, indent=2, ensure_ascii=False))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_person, "evidence.json was changed"),
        (made_up, "what Eve approved at"),
        (as_before, "evidence.json was changed"),
    ],
)
def test_an_approval_that_was_changed_made_up_or_taken_out_is_found(change: Callable[[Path], object], said: str, made: Path) -> None:
    assert loadflow("approve", "latest", "--why", "good enough", "--by", "Ann").exit_code == 0
    change(last_run(made).folder / EVIDENCE)
    done = loadflow("verify", "latest")
    assert done.exit_code == 1
    assert said in done.stdout
    again = loadflow("approve", "latest", "--why", "once more")
    assert (again.exit_code == 0) is (change is made_up)


def test_a_run_without_whole_evidence_can_not_be_approved(made: Path) -> None:
    (last_run(made).folder / EVIDENCE).unlink()
    done = loadflow("approve", "latest", "--why", "good enough")
    assert done.exit_code == 5
    assert "has no whole evidence.json" in done.stderr
    accepted = loadflow("history", "accept", "latest", "--why", "meant")
    assert accepted.exit_code == 0
    assert "its evidence does not say so" in accepted.stderr


def test_the_chain_may_stand_elsewhere(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for two folders of runs: each is verified by it, and knows nothing of the runs of the other."""
    chain = tmp_path / "kept" / "chain.ndjson"
    chain.parent.mkdir()
    monkeypatch.setenv(CHAIN_VARIABLE, str(chain))
    step = {"method": "get", "request_url": f"{target.url}/ok"}
    test = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 1, "tasks": [step]}
    for place in ("one", "two"):
        with use_session(Session(label=place, runs_dir=tmp_path / place)):
            execute_action([["LD_start_test", test]]).raise_for_failure()
    assert [link.label for link in links_of(tmp_path / "one")] == ["one", "two"]
    assert not (tmp_path / "one" / CHAIN).exists()
    assert loadflow("verify", tmp_path / "one").exit_code == loadflow("verify", tmp_path / "two").exit_code == 0
    chain.write_text("")
    done = loadflow("verify", tmp_path / "one")
    assert done.exit_code == 1
    assert "evidence.ndjson has no line of its evidence.json" in done.stdout


def test_a_run_whose_folder_was_removed_is_told(made: Path) -> None:
    gone = last_run(made)
    shutil.rmtree(gone.folder)
    done = loadflow("verify", "--json")
    assert done.exit_code == 3
    assert [one["run"] for one in json.loads(done.stdout) if one["state"] == "unknown"] == [gone.facts.id]


def test_of_a_run_without_evidence_nothing_is_claimed(made: Path) -> None:
    run = last_run(made)
    (run.folder / EVIDENCE).unlink()
    (made / CHAIN).unlink()
    done = loadflow("verify", run.folder)
    assert done.exit_code == 3
    assert "an older release made it, or it was cut off" in done.stdout


def test_it_is_made_again_with_the_same_due_times_and_rows(made: Path, target: Target) -> None:
    first = last_run(made)
    done = loadflow("rerun", first.facts.id, "--direct", "--quiet")
    assert (done.exit_code, "different" in done.stderr) == (0, False)
    again = last_run(made)
    assert again.facts.id != first.facts.id
    assert fingerprint(again.facts) == fingerprint(first.facts)
    assert sorted(again.hits()["due_ns"]) == sorted(first.hits()["due_ns"])
    assert loadflow("verify").exit_code == 0
    assert links_of(made)[-1].previous == links_of(made)[-2].sha256


def test_a_rerun_says_what_is_different_and_sends_nothing(made: Path, rows: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.write_text(ROWS + "cid\n")
    monkeypatch.setenv(IMAGE_VARIABLE, "loadflow@sha256:0123")
    target.reset()
    done = loadflow("rerun", "latest", "--direct")
    assert done.exit_code == 2
    assert f"different: the file {rows}: " in done.stderr
    assert "different: the container image: not said, now loadflow@sha256:0123" in done.stderr
    assert "--anyway" in done.stderr
    assert not target.records()
    assert loadflow("rerun", "--check").exit_code == 1
    assert loadflow("rerun", "--anyway", "--direct", "--quiet").exit_code == 0
    assert target.records()


NAMES = st.sampled_from(["password", "Authorization", "cookies", "name", "value", "url", "tokens", "user"])
SECRET = "hunter22-hunter22"
TEXTS = st.sampled_from([SECRET, f"Bearer {SECRET}", "${secret.shop}", "/a?token=${secret.shop}", "Bearer ${env.T}", "plain"])
WRITTEN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(WRITTEN)
@example({"cookies": {"a": "b"}, "tokens": ["x"], "password": 5})
@example(["password", ["hunter22-hunter22"]])
def test_whatever_is_written_is_kept_without_its_secrets_and_what_is_not_kept_is_named(written: Any) -> None:
    redactor = Redactor()
    redactor.learn_from(written)
    masked: list[str] = []
    kept = unmasked(written, redactor.value(written), redactor, "", masked)
    secret = redactor.text("hunter22-hunter22") == MASK
    assert not (secret and "hunter22" in str(kept))
    assert bool(masked) == (kept != written)


def test_what_held_a_secret_in_clear_can_not_be_made_again(target: Target, tmp_path: Path) -> None:
    step = {"method": "get", "request_url": f"{target.url}/ok", "headers": {"Authorization": "Bearer hunter22-hunter22"}}
    test = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 1, "tasks": [step]}
    with use_session(Session(name="clear", runs_dir=tmp_path)):
        execute_action([["LD_start_test", test]]).raise_for_failure()
    assert "hunter22" not in (last_run(tmp_path, "").folder / EVIDENCE).read_text()
    done = loadflow("rerun", "--runs-dir", tmp_path, "--direct")
    assert done.exit_code == 5
    assert "arguments.tasks[0].headers.Authorization" in done.stderr
