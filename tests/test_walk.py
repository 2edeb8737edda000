"""docs/nightly.md, walked: its commands, typed in its order into one shell, lead from an installed loadflow to a nightly run that alerts.

Only `pip install` is left out, because loadflow is installed already; the addresses that a reader makes their own (the system under test,
the webhook) and the server's port are those of this test. One command is added: the script of the project loads for a few seconds instead
of half a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.prefect_database import with_tables
from tests.services import free_port
from tests.waiting import wait_for

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nightly.md"
MOST = 14  # commands: "under 15"
ALERT_S = 120.0
SHORTER = """sed -i 's/"test_time": 30/"test_time": 4/' scripts/smoke.json && grep -q '"test_time": 4,' scripts/smoke.json"""


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


class Town(ThreadingHTTPServer):
    """A shop that answers 500 to everything, and a webhook that keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Citizen)
        self.visits = 0
        self.alerts: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Citizen(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Town

    def do_GET(self) -> None:
        self.server.visits += 1
        self._answer(500)

    def do_POST(self) -> None:
        self.server.alerts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Not into the test's output."""


@pytest.fixture
def town() -> Iterator[Town]:
    with Town() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def all_ended(home: Path) -> Iterator[None]:
    """After the block no process is left that has this PREFECT_HOME: server, worker, flow runs, engines."""
    try:
        yield
    finally:
        while left := list(_having(home)):
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, 10)


def _having(home: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("PREFECT_HOME") == str(home):
                yield process


def test_the_page_needs_fewer_than_fifteen_commands() -> None:
    found = commands()
    assert found[0] == "pip install loadflow"
    assert len(found) <= MOST, found


@pytest.mark.processes
@pytest.mark.prefect
@pytest.mark.timeout(1200)
@pytest.mark.long
def test_who_types_the_page_has_a_nightly_run_that_alerts(town: Town, tmp_path: Path) -> None:
    port = str(free_port())
    own = {"http://shop.test.example": town.url, "https://hooks.test.example/load": f"{town.url}/load", "4200": port}
    typed = []
    for command in commands()[1:]:
        for written, ours in own.items():
            command = command.replace(written, ours)
        typed.append(command)
    typed.insert(typed.index("cd shop-load") + 1, SHORTER)
    *before, last = typed
    assert last.startswith("prefect deployment run ")
    home = with_tables(tmp_path / "home")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LOADFLOW_"))}
    env |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    script = "\n".join(["set -e", *before, "echo all set", f"{last} || echo ended with $?"])
    with all_ended(home), (tmp_path / "shell.log").open("w+", encoding="utf-8") as log:
        # into a file: the worker keeps the shell's output open
        shell = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.seek(0)
        said = log.read()
        assert shell.returncode == 0, said
        assert "all set" in said
        assert said.rstrip().endswith("ended with 1"), said[-3000:]  # the verdict is failed
        assert town.visits > 0
        alert = wait_for("the alert", lambda: town.alerts[0] if town.alerts else None, ALERT_S)
        assert "Failed" in alert or "failed" in alert
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=60) as api:
            nightly = api.get("/deployments/name/loadflow/nightly").json()
        (one,) = nightly["schedules"]
        assert (one["schedule"]["cron"], one["schedule"]["timezone"]) == ("0 2 * * *", "UTC")
        assert (one["active"], nightly["paused"]) == (True, False)
