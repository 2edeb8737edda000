"""What the tests of ends hold in their hands: a flow process, a worker, and the engine's processes below them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from loadflow.engine.records.run import Run
from tests.prefect_servers import ASK_S, ROOT, START_S, PrefectApi
from tests.targets.fixture import Target
from tests.waiting import wait_for

__all__ = ["Stage", "stage"]

LOOK_S = 0.2  # between two looks at all processes of the machine, each of which costs some 20 ms


@dataclass
class Stage:
    """One test: its own run folders, its own path at the target, and every process that belongs to it."""

    server: PrefectApi
    target: Target
    folder: Path
    name: str
    settings: dict[str, str] = field(default_factory=dict)  # more environment of all that is started
    _flow: subprocess.Popen[bytes] | None = None

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
        self._flow = self.start("flow", [sys.executable, "-m", "tests.ends.flow_process", str(path), self.name])
        return self._flow

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
        """About two seconds of load: the first second is in the log by then. A flow that has ended makes none: then an AssertionError."""

        def look() -> bool:
            has_ended = self._flow is not None and self._flow.poll() is not None
            if len(self.arrivals_ns()) >= hits:
                return True
            assert not has_ended, f"the flow ended before {hits} hits were at the target:\n{self.log('flow')[-2000:]}"
            return False

        wait_for(f"{hits} hits at the target", look, START_S, every_s=LOOK_S)

    def run(self, folder: Path | None = None) -> Run:
        """The only one, unless its folder is given."""
        if folder is None:
            (folder,) = self.runs_dir.glob("*/")
        return Run.open(folder)

    def state(self, *names: str, within_s: float = 30.0, run_id: str = "", every_s: float = ASK_S) -> dict[str, Any]:
        """The flow run's state, once it has one of these names; asked for `every_s` seconds."""

        def look() -> dict[str, Any] | None:
            run = self.server.ask("GET", f"/flow_runs/{run_id}") if run_id else self.server.flow_run(name=self.name)
            state: dict[str, Any] | None = run["state"] if run else None
            return state if state and state["name"] in names else None

        return wait_for(f"a state {' or '.join(names)}", look, within_s, every_s=every_s)

    def no_engine(self, within_s: float) -> None:
        wait_for("the end of all engine processes", lambda: not self.processes("loadflow.engine.entry."), within_s, every_s=LOOK_S)

    def end_all(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


@contextlib.contextmanager
def stage(server: PrefectApi, target: Target, folder: Path, name: str) -> Iterator[Stage]:
    made = Stage(server, target, folder, name)
    try:
        yield made
    finally:
        made.end_all()
