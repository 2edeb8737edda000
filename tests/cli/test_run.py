"""`loadflow run`, `run-dir`, `run-str` with real processes and a real target, without Prefect: what comes out, and the exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Done, load, loadflow, start, steps_script
from tests.targets.fixture import Target
from tests.waiting import HANG_S, wait_for

pytestmark = pytest.mark.processes

SENTINEL = "s3ntinel-of-secrets"


def wait_for_hits(target: Target, process: subprocess.Popen[str], least: int = 5, limit_s: float = 60.0) -> None:
    """Until the target was asked so often; the process must be alive meanwhile."""

    def came() -> bool:
        assert process.poll() is None, process.communicate()
        return len(target.records()) >= least

    wait_for("the start of the load", came, limit_s)


def finish(process: subprocess.Popen[str]) -> Done:
    stdout, stderr = process.communicate(timeout=HANG_S)
    return Done(process.returncode, stdout, stderr)


def test_passed_is_0_with_a_table_a_verdict_and_places(tmp_path: Path, target: Target) -> None:
    target.reset()
    script = steps_script(tmp_path, load(f"{target.url}/ok", label="fine"), ["LD_generate_html_report", {"html_name": "out"}])
    done = loadflow(tmp_path, "run", script, "--direct", "--report-dir", "reports")
    assert done.code == 0, done
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["name", "hits", "failed", "rate/s", "mean", "p50", "p95", "p99", "max", "ms", "ttfb", "p95"]
    assert "passed" in lines
    sent = len(target.records())
    assert f" {sent} " in next(line for line in lines if line.startswith("all "))
    report, own_report, folder = lines[-3:]
    assert report == "report: reports/out.html"
    assert (tmp_path / "reports/out.html").is_file()
    assert Path(own_report.removeprefix("report: ")).is_file()
    assert Path(folder.removeprefix("run folder: ")).is_dir()
    assert done.stderr.startswith(f"fine: 2 users on {target.url}")


@pytest.mark.parametrize(
    ("what", "code", "verdict"),
    [
        ("every hit is answered with 500", 1, "failed: "),
        ("no step may ever run", 3, "inconclusive: no hit was recorded"),
        ("an action raises", 5, "error: int failed: ValueError: "),
        ("an action raises, but the script goes on", 5, "error: int failed: ValueError: "),
    ],
)
def test_every_verdict_has_its_exit_code(what: str, code: int, verdict: str, tmp_path: Path, target: Target) -> None:
    actions: list[list[Any]] = {
        "every hit is answered with 500": [load(f"{target.url}/status/500")],
        "no step may ever run": [load(f"{target.url}/ok", step={"run_if": False})],
        "an action raises": [["int", ["x"]], ["len", ["abc"]]],
        "an action raises, but the script goes on": [["int", ["x"], {"on_error": "continue"}], ["len", ["abc"]]],
    }[what]
    done = loadflow(tmp_path, "run", steps_script(tmp_path, *actions), "--direct", "--json")
    assert done.code == code, done
    assert done.json["verdict"]["exit_code"] == code
    assert [action["ok"] for action in done.json["scripts"][0]["actions"]] == {
        "an action raises": [False],
        "an action raises, but the script goes on": [False, True],
    }.get(what, [True])
    assert any(line.startswith(verdict) for line in done.stderr.splitlines()), done.stderr


def test_a_script_with_mistakes_is_2_and_nothing_is_sent_or_made(tmp_path: Path, target: Target) -> None:
    target.reset()
    script = steps_script(tmp_path, load(f"{target.url}/ok"), load(f"{target.url}/ok", user_cuont=1))
    done = loadflow(tmp_path, "run", script, "--direct")
    assert (done.code, done.stdout) == (2, "")
    assert "did you mean 'user_count'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.records() == []
    assert not (tmp_path / "runs").exists()


def test_json_is_alone_on_stdout_and_holds_everything(tmp_path: Path, target: Target) -> None:
    target.reset()
    script_file = steps_script(tmp_path, load("${base}/ok"), ["LD_summary"])
    done = loadflow(tmp_path, "run", script_file, "--direct", "--json", "--var", f"base={target.url}")
    assert done.code == 0, done
    assert done.json["format"] == "loadflow-result"
    assert done.json["verdict"] == {"verdict": "passed", "passed": True, "reasons": [], "exit_code": 0}
    assert done.json["summary"]["totals"]["requests"] == len(target.records())
    (script,) = done.json["scripts"]
    assert [action["action"] for action in script["actions"]] == ["LD_start_test", "LD_summary"]
    assert [Path(folder).parent for folder in script["runs"]] == [tmp_path / "runs"]


def test_quiet_is_the_verdict_alone(tmp_path: Path, target: Target) -> None:
    done = loadflow(tmp_path, "run", steps_script(tmp_path, load(f"{target.url}/ok")), "--direct", "--quiet")
    assert (done.code, done.stdout, done.stderr) == (0, "passed\n", "")


def test_run_str_takes_text_and_stdin(tmp_path: Path) -> None:
    done = loadflow(tmp_path, "run-str", '[["len", ["abc"]]]', "--direct", "-q")
    assert (done.code, done.stdout) == (0, "passed\n")
    piped = loadflow(tmp_path, "run-str", "-", "--direct", "-q", stdin='{"load_density": [["int", ["x"]]]}')
    assert (piped.code, piped.stdout.split(":")[:2]) == (5, ["error", " int failed"])
    broken = loadflow(tmp_path, "run-str", "[[", "--direct")
    assert broken.code == 2
    assert "line 1 column" in broken.stderr


class TestRunDir:
    def test_all_run_and_the_worst_verdict_decides(self, tmp_path: Path, target: Target) -> None:
        steps_script(tmp_path, load(f"{target.url}/status/500"), name="all/a.json")
        steps_script(tmp_path, load(f"{target.url}/ok"), name="all/deep/b.json")
        (tmp_path / "all/notes.txt").write_text("no script", encoding="utf-8")
        done = loadflow(tmp_path, "run-dir", "all", "--direct", "--json")
        assert done.code == 1, done
        assert [(one["script"], one["verdict"]["verdict"]) for one in done.json["scripts"]] == [
            ("all/a.json", "failed"),
            ("all/deep/b.json", "passed"),
        ]

    def test_nothing_runs_when_one_is_wrong(self, tmp_path: Path, target: Target) -> None:
        target.reset()
        steps_script(tmp_path, load(f"{target.url}/ok"), name="all/a.json")
        steps_script(tmp_path, ["LD_sumary"], name="all/b.json")
        done = loadflow(tmp_path, "run-dir", "all", "--direct")
        assert done.code == 2
        assert "all/b.json: 1 mistake" in done.stderr
        assert target.records() == []

    def test_nothing_to_run_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        done = loadflow(tmp_path, "run-dir", "empty", "--direct")
        assert done.code == 2
        assert "there is no *.json below empty, so nothing would be tested" in done.stderr


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_the_load_with_results(number: signal.Signals, word: str, tmp_path: Path) -> None:
    with Target() as target:
        script = steps_script(tmp_path, load(f"{target.url}/ok", test_time=60), ["LD_summary"])
        process = start(tmp_path, "run", script, "--direct", "--json")
        wait_for_hits(target, process)
        process.send_signal(number)
        done = finish(process)
        assert done.code == 4, done
        assert done.json["verdict"]["verdict"] == "interrupted"
        assert word in done.json["verdict"]["reasons"][0]
        sent = len(target.records())
        assert done.json["summary"]["totals"]["requests"] == sent, "every request that arrived is in the summary"
        time.sleep(1)
        assert len(target.records()) == sent, "nothing is sent any more"


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The request in flight is answered after 20 s; nobody waits for it."""
    with Target() as target:
        script = steps_script(tmp_path, load(f"{target.url}/delay/20000", test_time=60, drain_time=30))
        process = start(tmp_path, "run", script, "--direct")
        wait_for_hits(target, process, least=1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        wait_for("the end", lambda: process.poll() is not None, within_s=5)
        done = finish(process)
        assert done.code == 4
        assert "ended at once" in done.stderr


def test_secrets_are_in_nothing_that_is_written(tmp_path: Path, target: Target) -> None:
    secret_step = {
        "headers": {"Authorization": f"Bearer {SENTINEL}-header", "X-Api-Key": "${env.SHOP_KEY}"},
        "cookies": {"session_token": f"{SENTINEL}-cookie"},
        "json": {"password": f"{SENTINEL}-body"},
        "params": {"token": "${var.token}"},
        "method": "post",
    }
    script = steps_script(
        tmp_path,
        load("${base}/status/500", step=secret_step, variables={"password": f"{SENTINEL}-variable"}),
        ["LD_generate_html_report", {"html_name": "out"}],
        ["LD_generate_summary_report", {"report_name": "out"}],
        name="secret.json",
    )
    key = f"{SENTINEL}-environment"
    given = ["--var", f"base={target.url}", "--var", f"token={SENTINEL}-option"]
    done = loadflow(tmp_path, "run", script, "--direct", "--json", *given, SHOP_KEY=key)
    assert done.code == 1, done
    assert SENTINEL not in done.stdout
    assert SENTINEL not in done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != script]
    assert len(written) > 8
    found = [path for path in written if SENTINEL.encode() in path.read_bytes()]
    assert found == []


def test_runs_lists_them_newest_first_and_report_makes_one_again(tmp_path: Path, target: Target) -> None:
    for label, more in (("first", {"revision": "1.4.1"}), ("second", {})):
        script = steps_script(tmp_path, load(f"{target.url}/ok", label=label, **more))
        assert loadflow(tmp_path, "run", script, "--direct", "-q").code == 0
    done = loadflow(tmp_path, "runs")
    assert done.code == 0
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["verdict", "label", "revision", "hits", "failed", "rate/s", "p95", "ms", "run"]
    assert [row.split()[:3] for row in rows] == [["passed", "second", "–"], ["passed", "first", "1.4.1"]]
    entries = json.loads(loadflow(tmp_path, "runs", "--json", "-n", "1").stdout)
    (entry,) = entries
    folder = Path(entry["run"])
    for name in ("report.html", "summary.json", "totals.json", "end.json"):
        (folder / name).unlink()
    again = loadflow(tmp_path, "report", folder, "-o", "again.html")
    assert (again.code, again.stdout) == (0, "again.html\n")
    assert "<title>" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_a_folder_that_is_no_run_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    done = loadflow(tmp_path, "report", tmp_path)
    assert done.code == 5
    assert done.stderr.startswith(f"error: {tmp_path} is not a run folder (")
    assert "LOADFLOW_RUNS_DIR" in done.stderr
