from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any

import loadflow
from benchmarks.compare.peer import Load, Missing, Peer, Said, Unreadable
from loadflow.engine.generator.native.fit import is_built

LOAD = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
given = json.loads(sys.argv[1])
with use_session(Session(runs_dir=given.pop("folder"))):
    summary = start_test(given.pop("user"), **given)
print("\\n" + json.dumps({"totals": summary["totals"], "latency": summary["latency_overall"]}))
"""


class Loadflow(Peer):
    """A whole `start_test`: parent, supervisor and engine, every hit in the log, and the summary read back from it."""

    source = "this checkout"
    rate_mode = "overall"
    times = "when due"
    engine: str

    def install(self) -> None:
        self.version()

    def version(self) -> str:
        try:
            return str(loadflow.__version__)
        except importlib.metadata.PackageNotFoundError:
            return "of this checkout"

    def command(self, load: Load) -> list[str]:
        pace: dict[str, Any] = {"user_count": load.connections, "spawn_rate": 10_000}
        if load.rate is not None:
            pace = {"rate": load.rate, "max_in_flight": load.connections}
        tasks = [{"method": "get", "request_url": load.url, "assertions": [{"type": "status_code", "value": 200}]}]
        user = {"user": "fast_http_user", "engine": self.engine}
        given = {"folder": str(load.folder), "user": user, "test_time": load.seconds, "tasks": tasks, **pace}
        return [sys.executable, "-c", LOAD, json.dumps(given)]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads(output.rstrip().splitlines()[-1])
            totals, latency = found["totals"], found["latency"]
            return Said(totals["requests"], totals["failures"], latency["p99_ms"], latency["max_ms"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Unreadable(f"no summary in the last line: {error}") from error


class LoadflowNative(Loadflow):
    name = "loadflow, native"
    engine = "native"

    def version(self) -> str:
        if not is_built():
            raise Missing("its native core is not built here; docs/native.md says how")
        return super().version()


class LoadflowLocust(Loadflow):
    name = "loadflow, on Locust"
    engine = "locust"
