"""`loadflow run` as a Prefect flow, mostly on the embedded server: the same words and exit codes, and a flow run that says so."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import command, environment, load, steps_script
from tests.cli.test_run import SENTINEL, finish, wait_for_hits
from tests.prefect_database import with_tables
from tests.prefect_servers import shared_server
from tests.targets.fixture import Target
from tests.waiting import HANG_S

SECRET = f"{SENTINEL}-of-a-flow"

pytestmark = [pytest.mark.processes, pytest.mark.prefect]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Prefect home for the module."""
    return with_tables(tmp_path_factory.mktemp("prefect"))


def environment_of(folder: Path, home: Path, server: str = "") -> dict[str, str]:
    """With the embedded server, unless the API of another is given."""
    env = environment(folder, PREFECT_HOME=str(home), PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    env["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = f"{HANG_S:.0f}"  # a busy machine takes minutes
    return {**env, "PREFECT_API_URL": server}


def start_flow(folder: Path, home: Path, *arguments: object, server: str = "") -> subprocess.Popen[str]:
    """In a session of its own, so that a whole process group can be told, as a terminal does."""
    return subprocess.Popen(
        command(*map(str, arguments)),
        cwd=folder,
        env=environment_of(folder, home, server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def flow_runs(home: Path) -> dict[str, str]:
    """Name of each flow to the name of its last run's state, read from the database of the server."""
    with sqlite3.connect(home / "prefect.db") as database:
        joined = "flow_run join flow on flow.id = flow_run.flow_id"
        return dict(database.execute(f"select flow.name, flow_run.state_name from {joined} order by flow_run.created").fetchall())


def test_passed_in_a_process_that_never_imports_gevent_or_locust(tmp_path: Path, home: Path, target: Target) -> None:
    target.reset()
    script = steps_script(tmp_path, load(f"{target.url}/ok"), ["LD_summary"], ["LD_generate_html_report"], name="passing.json")
    code = (
        "import sys\nfrom loadflow.cli import main\n"
        f"code = main(['run', {str(script)!r}, '--json'], standalone_mode=False)\n"
        "print(code, [name for name in ('gevent', 'locust') if name in sys.modules], file=sys.stderr)"
    )
    env = environment_of(tmp_path, home)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert "0 []" in done.stderr.splitlines(), done  # Prefect says last that its server ends
    result = json.loads(done.stdout)
    assert result["verdict"]["verdict"] == "passed"
    assert result["summary"]["totals"]["requests"] == len(target.records())
    assert "Traceback" not in done.stderr
    assert flow_runs(home)["passing"] == "Completed"


def test_failed_with_no_secret_anywhere(tmp_path: Path, target: Target) -> None:
    """Not in the output, the run folder, or what a Prefect server keeps: names, logs, states, artifacts."""
    server = shared_server()
    server.close()
    secrets = {
        "headers": {"Authorization": f"Bearer {SECRET}-header", "X-Token": "${var.token}"},
        "cookies": {"session_token": f"{SECRET}-cookie"},
    }
    script = steps_script(tmp_path, load(f"{target.url}/status/500", step=secrets), name="failing-with-secrets.json")
    done = finish(start_flow(tmp_path, tmp_path / "home", "run", script, "--var", f"token={SECRET}-variable", server=server.url))
    assert SECRET not in done.stdout + done.stderr
    kept = [path for folder in (tmp_path / "home", tmp_path / "runs") for path in folder.rglob("*") if path.is_file()]
    assert [path for path in [*server.home.glob("prefect.db*"), *kept] if SECRET.encode() in path.read_bytes()] == []
    assert done.code == 1, done
    assert "\nfailed: " in done.stdout
    assert "Traceback" not in done.stderr, "a failed load is a verdict, and no accident"
    assert flow_runs(server.home)["failing-with-secrets"] == "Failed"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "by-ctrl-c"), pytest.param(signal.SIGTERM, "by-term", marks=pytest.mark.long)]
)
def test_a_signal_to_the_whole_group_keeps_results_and_prefect_knows(number: signal.Signals, name: str, tmp_path: Path, home: Path) -> None:
    """Ctrl-C reaches the embedded server too, as a terminal sends it to all; it must live on to store the last state."""
    with Target() as target:
        script = steps_script(tmp_path, load(f"{target.url}/ok", test_time=90), name=f"{name}.json")
        process = start_flow(tmp_path, home, "run", script, "--json")
        wait_for_hits(target, process)
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        done = finish(process)
        assert done.code == 4, done
        result = json.loads(done.stdout)
        assert result["verdict"]["verdict"] == "interrupted"
        sent = len(target.records())
        assert result["summary"]["totals"]["requests"] == sent
        time.sleep(1)
        assert len(target.records()) == sent
    assert flow_runs(home)[name] in ("Interrupted", "Cancelled")
