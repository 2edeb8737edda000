"""Prefect servers of the tests: one that all tests of a worker share, and those of tests that stop theirs or set it up otherwise.

A server costs seven CPU seconds to start, and a fortieth of a core as long as it is there. The shared one is started by the worker's first
test that needs it, and ended with the session; `tests.kinds` keeps those tests in few workers. A test names what it makes after itself,
and asks for that only. One server for all workers was slower: SQLite lets one write at a time, and many that wait starve each other, for a
minute each.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.prefect_database import VARIABLE, with_tables
from tests.services import free_port
from tests.waiting import HANG_S, wait_for

__all__ = ["ASK_S", "ROOT", "START_S", "PrefectApi", "PrefectServer", "shared_server"]

ROOT = Path(__file__).resolve().parents[1]
ANSWER_S = 60.0  # then what may be asked again is
START_S = 180.0  # a busy machine takes a minute for what is a matter of seconds
ASK_S = 0.5  # between two questions while a test waits: each is 10 ms of the server's, a fifth of a core at 20 in a second
SHARED = "server-{}"  # the shared one of each worker, and where it is: .json


class PrefectApi:
    """A server that runs, and the few questions that the tests ask it."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}/api"
        # no connection is kept: the server closes one that rests, and a question sent just then gets no answer
        self._client = httpx.Client(base_url=self.url, timeout=ANSWER_S, limits=httpx.Limits(max_keepalive_connections=0))

    def close(self) -> None:
        self._client.close()

    def env(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            **more,
        }

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.answer(method, path, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def answer(self, method: str, path: str, body: Any = None) -> httpx.Response:
        # SQLite has one writer: a busy server says 503, which Prefect's own client waits out too
        return wait_for("an answer other than 503", lambda: self._try(method, path, body), START_S)

    def _try(self, method: str, path: str, body: Any) -> httpx.Response | None:
        may_repeat = method in ("GET", "PATCH") or path.endswith("/filter")
        try:
            answer = self._client.request(method, path, json=body, timeout=ANSWER_S if may_repeat else HANG_S)
        except httpx.ReadTimeout:
            if may_repeat:
                return None
            raise
        return None if answer.status_code == 503 else answer

    def flow_run(self, *, name: str) -> dict[str, Any] | None:
        """The latest run of the flow `name`, or the run with that name of its own."""
        by_flow = self.ask("POST", "/flow_runs/filter", {"flows": {"name": {"any_": [name]}}})
        found = by_flow or self.ask("POST", "/flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}})
        return found[0] if found else None

    def set_state(self, flow_run: str, kind: str) -> None:
        self.ask("POST", f"/flow_runs/{flow_run}/set_state", {"state": {"type": kind, "name": kind.capitalize()}})

    def deployment(self, name: str) -> str:
        """A deployment of the generic flow in a process work pool, both of this name, as prefect.yaml makes them."""
        self.ask("POST", "/work_pools/", {"name": name, "type": "process", "base_job_template": _process_template()})
        flow = self.ask("POST", "/flows/", {"name": "loadflow"})
        empty = self.home / "no-project"  # for each run it is copied
        empty.mkdir(exist_ok=True)
        made = self.ask(
            "POST",
            "/deployments/",
            {
                "name": name,
                "flow_id": flow["id"],
                "entrypoint": "loadflow.flows.run_script:run_script",
                "work_pool_name": name,
                "path": str(empty),
                "tags": ["loadflow"],
                "job_variables": {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}},
                "concurrency_limit": 1,
                "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
                "enforce_parameter_schema": False,
            },
        )
        return str(made["id"])

    def start_run(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        run = self.ask("POST", f"/deployments/{deployment}/create_flow_run", {"parameters": parameters, "state": {"type": "SCHEDULED"}})
        return str(run["id"])


class PrefectServer(PrefectApi):
    """A server process with a database of its own, for who ends it."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None, *, ui: bool = False) -> None:
        super().__init__(with_tables(home), free_port())
        self._ui = "--ui" if ui else "--no-ui"
        # the UI asks the API of this port, whatever --port says
        self._settings = {**(settings or {}), "PREFECT_SERVER_API_PORT": str(self.port)}
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, *, without: Iterable[str] = ()) -> None:
        """Again, after `kill`, where it was; without some of its settings."""
        settings = {name: value for name, value in self._settings.items() if name not in set(without)}
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port), self._ui],
                env={**self.env({}), "PREFECT_API_URL": "", **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for("the Prefect server", self._answers, START_S)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self.close()
        self.kill()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError((self.home / "server.log").read_text())
        with contextlib.suppress(httpx.HTTPError):
            return self._client.get("/health").status_code == 200
        return False


def shared_server() -> PrefectApi:
    """The one of this worker; starts it where no test has."""
    home = Path(os.environ[VARIABLE]) / SHARED.format(os.environ.get("PYTEST_XDIST_WORKER", "alone"))
    place = home.with_suffix(".json")
    if not place.exists():
        # two processes that save the first block of a kind at the same time would both write the kind, and one of them fails
        started = PrefectServer(home, {"PREFECT_API_BLOCKS_REGISTER_ON_START": "true"})
        began_s = psutil.Process(started.pid).create_time()
        place.write_text(json.dumps({"port": started.port, "pid": started.pid, "began_s": began_s}))
    return PrefectApi(home, json.loads(place.read_text())["port"])


@pytest.hookimpl(tryfirst=True)  # while its folder is there
def pytest_unconfigure() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ or VARIABLE not in os.environ:
        return
    for place in Path(os.environ[VARIABLE]).glob(SHARED.format("*.json")):
        with contextlib.suppress(psutil.Error):
            at = json.loads(place.read_text())
            if psutil.Process(at["pid"]).create_time() == at["began_s"]:
                os.killpg(at["pid"], signal.SIGKILL)


def _process_template() -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()
