"""A run is going on while a living process makes it, however that process ends; lists of runs say so."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.cli.report_site import report_site
from loadflow.engine.commands.ld_diff_runs import diff_runs
from loadflow.engine.history.kept_runs import find_pair
from loadflow.engine.records.going_on import going_on, is_held
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from tests.builders import build_run, facts, make_rows

HOLDS = """
import subprocess, sys, time
from pathlib import Path
from loadflow.engine.records.going_on import going_on

with going_on(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=sys.stdin)  # as an engine: it outlives us
    print("held", flush=True)
    time.sleep(600)
"""


def run_below(runs_dir: Path, number: int, *, ended: bool = True) -> Run:
    """`number` orders them: the higher, the newer."""
    run_id = f"2026092{number}-141320-smoke-0000000{number}"
    folder = runs_dir / run_id
    own_facts = facts(id=run_id, folder=str(folder), started_unix_s=1e9 + number)
    return build_run(folder, make_rows(200, seed=number), run_facts=own_facts, cut_off=not ended)


@contextmanager
def held_by_a_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDS), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()  # which ends the child, too


def test_a_run_goes_on_until_whoever_makes_it_is_killed_though_its_child_lives(tmp_path: Path) -> None:
    run = run_below(tmp_path, 1, ended=False)
    assert not run.running, "nobody makes it"
    with held_by_a_process(run.folder) as process:
        assert run.running
        assert run.end().message == "the run is still going on"
        process.kill()
        process.wait()
        assert (run.folder / "running.lock").exists(), "it had no time to tidy up"
        assert not run.running
        assert run.end().message == "the run was cut off"


def test_a_run_that_has_stored_its_end_is_over_while_its_maker_still_tells_of_it(tmp_path: Path) -> None:
    run = run_below(tmp_path, 1)
    with going_on(run.folder):
        assert is_held(run.folder)
        assert not run.running
    assert not (run.folder / "running.lock").exists()


def test_many_who_look_do_not_see_each_other(tmp_path: Path) -> None:
    (tmp_path / "running.lock").touch()
    assert not any(is_held(tmp_path) for _ in range(50))
    with going_on(tmp_path):
        assert all(is_held(tmp_path) for _ in range(50))


@pytest.fixture
def runs_dir(tmp_path: Path) -> Iterator[Path]:
    """Two runs that have ended, and the newest, which is going on."""
    for number in (1, 2):
        run_below(tmp_path, number)
    with going_on(run_below(tmp_path, 3, ended=False).folder):
        yield tmp_path


def test_lists_say_running_with_the_figures_so_far(runs_dir: Path) -> None:
    found = json.loads(CliRunner().invoke(main, ["runs", "--runs-dir", str(runs_dir), "--json"]).stdout)
    assert [entry["verdict"] == "running" for entry in found] == [True, False, False]
    assert found[0]["hits"] == 200
    assert found[0]["p95_ms"] > 0
    rows = json.loads(CliRunner().invoke(main, ["history", "--runs-dir", str(runs_dir), "--json"]).stdout)
    assert [row["verdict"] == "running" for row in rows] == [True, False, False]
    assert rows[0]["hits"] == 200
    assert [bool(row["against"]) for row in rows] == [False, True, False], "it is compared with none, and none with it"
    for command in ("runs", "history"):
        assert "running" in CliRunner().invoke(main, [command, "--runs-dir", str(runs_dir)]).stdout


def test_latest_is_the_latest_that_has_ended(runs_dir: Path) -> None:
    before, latest = find_pair("previous", "latest", runs_dir)
    assert [before.name[:8], latest.name[:8]] == ["20260921", "20260922"]


def test_a_folder_with_a_running_run_alone_has_no_latest(tmp_path: Path) -> None:
    with going_on(run_below(tmp_path, 1, ended=False).folder), pytest.raises(CommandError, match=r"there is no run in .* that has ended"):
        find_pair("previous", "latest", tmp_path)


RUN_ARGUMENTS = {"run_dir", "baseline", "current"}  # how commands call an argument that names a run
THIRD = "20260923-141320-smoke-00000003"


def test_these_commands_take_runs_by_name() -> None:
    """So that one that comes new is in the table below, too."""
    context = click.Context(main)
    takes = {name for name in main.list_commands(context) if RUN_ARGUMENTS & {one.name for one in main.get_command(context, name).params}}
    assert takes == {"report", "compare"}


@pytest.mark.parametrize(
    "words",
    [("report", "RUN"), ("compare", "RUN", "latest"), ("compare", "latest", "RUN"), ("compare", THIRD, "latest", "--runs-dir", "RUNS")],
)
def test_a_running_run_is_refused_by_name(runs_dir: Path, words: tuple[str, ...]) -> None:
    places = {"RUN": str(runs_dir / THIRD), "RUNS": str(runs_dir)}
    done = CliRunner(env={"LOADFLOW_RUNS_DIR": str(runs_dir)}).invoke(main, [places.get(word, word) for word in words])
    assert done.exit_code not in (0, 1, 3), "which are verdicts"
    assert "is still going on" in done.stderr
    assert "wait for its end" in done.stderr
    assert not (runs_dir / THIRD / "report.html").exists()


@pytest.mark.parametrize(("baseline", "current", "argument"), [(THIRD, "latest", "baseline"), ("latest", THIRD, "current")])
def test_a_script_that_compares_a_running_run_is_refused(runs_dir: Path, baseline: str, current: str, argument: str) -> None:
    with use_session(Session(runs_dir=runs_dir)), pytest.raises(CommandError, match=f"{argument}: the run {THIRD} is still going on"):
        diff_runs(baseline, current)


async def asked(runs_dir: Path, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(report_site(runs_dir)), base_url="http://localhost") as client:
        return await client.get(path)


def test_the_site_lists_it_as_running(runs_dir: Path) -> None:
    page = asyncio.run(asked(runs_dir, "/")).text
    assert page.count('<td class="running">running</td>') == 1
