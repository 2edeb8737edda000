"""What the tests of ends hold in their hands: a Prefect server, a flow process, a worker, and the engine's processes below them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from loadflow.engine.records.run import Run
from tests.prefect_database import with_tables
from tests.targets.fixture import Target
from tests.waiting import HANG_S, wait_for

__all__ = ["PrefectServer", "Stage", "free_port", "wait_for"]

ROOT = Path(__file__).resolve().parents[2]
ANSWER_S = 60.0  # then what may be asked again is
START_S = 180.0  # a busy machine takes a minute for what is a matter of seconds


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PrefectServer:
    """A server process with a database of its own, and the few questions that the tests ask it."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None, *, ui: bool = False) -> None:
        self.home = with_tables(home)
        self._ui = "--ui" if ui else "--no-ui"
        self._port = free_port()
        # the UI asks the API of this port, whatever --port says
        self._settings = {**(settings or {}), "PREFECT_SERVER_API_PORT": str(self._port)}
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._client = httpx.Client(base_url=self.url, timeout=ANSWER_S)
        self.start()

    def start(self) -> None:
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port), self._ui],
                env={**self.env({}), "PREFECT_API_URL": "", **self._settings},
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

    def stop(self) -> None:
        self._client.close()
        self.kill()

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
        made = self.ask(
            "POST",
            "/deployments/",
            {
                "name": name,
                "flow_id": flow["id"],
                "entrypoint": "loadflow.flows.run_script:run_script",
                "work_pool_name": name,
                "path": str(ROOT),
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

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError((self.home / "server.log").read_text())
        with contextlib.suppress(httpx.HTTPError):
            return self._client.get("/health").status_code == 200
        return False


def _process_template() -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()


@dataclass
class Stage:
    """One test: its own run folders, its own path at the target, and every process that belongs to it."""

    server: PrefectServer
    target: Target
    folder: Path
    name: str
    settings: dict[str, str] = field(default_factory=dict)  # more environment of all that is started

    @property
    def runs_dir(self) -> Path:
        return self.folder / "runs"

    @property
    def env(self) -> dict[str, str]:
        return self.server.env({"LOADFLOW_RUNS_DIR": str(self.runs_dir), **self.settings})

    # -- starting

    def script(self, *, test_time: float = 60, policy: Mapping[str, Any] | None = None, **more: Any) -> list[Any]:
        test = {
            "user_detail_dict": {"user": "fast_http_user"},
            "user_count": 2,
            "spawn_rate": 2,
            "test_time": test_time,
            "wait_time": 0.05,
            "tasks": [{"method": "get", "request_url": f"{self.target.url}/ok?{self.name}"}],
            **more,
        }
        return [["LD_start_test", test, *([policy] if policy else [])], ["LD_clear_records"]]

    def rate_script(self, per_s: int, seconds: int, **more: Any) -> list[Any]:
        """A load whose passes are due at a rate."""
        (command, test), *rest = self.script(rate={"mode": "constant", "rps": per_s, "duration": seconds}, **more)
        of_users = ("user_count", "spawn_rate", "test_time", "wait_time")
        return [[command, {key: value for key, value in test.items() if key not in of_users}], *rest]

    def start_flow(self, script: list[Any]) -> subprocess.Popen[bytes]:
        path = self.folder / "script.json"
        path.write_text(json.dumps(script))
        return self.start("flow", [sys.executable, "-m", "tests.ends.flow_process", str(path), self.name])

    def start_worker(self, pool: str) -> subprocess.Popen[bytes]:
        return self.start("worker", [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"])

    def start_reports(self, port: int) -> subprocess.Popen[bytes]:
        return self.start("reports", [sys.executable, "-m", "loadflow", "reports", "serve", "--port", str(port)])

    def start(self, what: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{what}.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    # -- looking

    def log(self, what: str) -> str:
        return (self.folder / f"{what}.log").read_text(errors="replace")

    def arrivals_ns(self) -> list[int]:
        return [record.at_ns for record in self.target.records("/ok") if record.target.endswith(f"?{self.name}")]

    def processes(self, word: str = "") -> list[psutil.Process]:
        """All that were started for this test, also those that lost their parent; `word` is in their command line."""
        return [process for process in psutil.process_iter() if self._is_own(process, word)]

    def _is_own(self, process: psutil.Process, word: str) -> bool:
        with contextlib.suppress(psutil.Error):
            own = process.environ().get("LOADFLOW_RUNS_DIR") == str(self.runs_dir) and process.status() != psutil.STATUS_ZOMBIE
            return own and any(word in part for part in process.cmdline())
        return False

    def engine(self) -> psutil.Process:
        """Whoever makes the load: Locust or the native core."""
        return [*self.processes("loadflow.engine.entry.locust"), *self.processes("loadflow.engine.entry.native")][0]

    def supervisor(self) -> psutil.Process:
        return self.processes("loadflow.engine.entry.supervisor")[0]

    def wait_for_load(self, hits: int = 90) -> None:
        """About two seconds of load: the first second is in the log by then."""
        wait_for(f"{hits} hits at the target", lambda: len(self.arrivals_ns()) >= hits, START_S)

    def run(self, folder: Path | None = None) -> Run:
        """The only one, unless its folder is given."""
        if folder is None:
            (folder,) = self.runs_dir.iterdir()
        return Run.open(folder)

    def state(self, *names: str, within_s: float = 30.0, run_id: str = "") -> dict[str, Any]:
        """The flow run's state, once it has one of these names."""

        def look() -> dict[str, Any] | None:
            run = self.server.ask("GET", f"/flow_runs/{run_id}") if run_id else self.server.flow_run(name=self.name)
            state: dict[str, Any] | None = run["state"] if run else None
            return state if state and state["name"] in names else None

        return wait_for(f"a state {' or '.join(names)}", look, within_s)

    def no_engine(self, within_s: float) -> None:
        wait_for("the end of all engine processes", lambda: not self.processes("loadflow.engine.entry."), within_s)

    def end_all(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


@contextlib.contextmanager
def stage(server: PrefectServer, target: Target, folder: Path, name: str) -> Iterator[Stage]:
    made = Stage(server, target, folder, name)
    try:
        yield made
    finally:
        made.end_all()
