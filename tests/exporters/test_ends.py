"""However a script ends, what its exporters were told of is sent, every hit of it, and nothing of them is left."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.exporters.influxdb.command import start_influxdb_sink, stop_influxdb_sink
from loadflow.engine.exporters.prometheus.command import start_prometheus_exporter
from loadflow.engine.forked.watchdog import with_watchdog
from loadflow.engine.load.start import start_test
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.own_commands import add_command_to_executor
from loadflow.errors import Interrupted, RunError
from tests.exporters.feeding import session
from tests.exporters.otlp_peers import GrpcPeer
from tests.exporters.servers import Answering, fetch
from tests.targets.fixture import Target


class Ender(Observer):
    """Ends the load in its second second, in one way or the other."""

    def __init__(self, end: str) -> None:
        self._end = end
        self._now = False

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self._now = snapshot.second == 1
        if self._now and self._end == "Ctrl-C":
            raise KeyboardInterrupt

    def stop_requested(self) -> str:
        return "a test asked for it" if self._now and self._end == "a cancel" else ""


ENDS: list[tuple[str, type[BaseException] | None]] = [
    ("of itself", None),
    ("a failing action", None),
    ("a cancel", Interrupted),
    ("Ctrl-C", KeyboardInterrupt),
]


class Dying(Observer):
    """Takes its process with it, out of a load's third second."""

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if snapshot.second == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def failing() -> None:
    raise ValueError("as it should")


@pytest.mark.parametrize(("end", "error"), ENDS, ids=[row[0] for row in ENDS])
def test_every_hit_is_told_and_nothing_is_left(end: str, error: type[BaseException] | None, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [{"method": "get", "request_url": f"{target.url}/ok"}]
    test = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 3, "spawn_rate": 100, "test_time": 3, "tasks": steps}
    with Answering() as influx, GrpcPeer() as otlp, session() as one:
        one.runs_dir = tmp_path
        one.observers.append(Ender(end))
        add_command_to_executor({"failing": failing})
        script: list[Any] = [
            ["LD_start_influxdb_sink", {"transport": "http", "url": f"{influx.url}/write?db=load"}],
            ["LD_start_opentelemetry_exporter", {"endpoint": otlp.url, "export_interval_ms": 60_000}],
            ["LD_start_prometheus_exporter", {"port": 0}],
            ["LD_start_test", test],
            *([["failing"]] if end == "a failing action" else []),
        ]
        if error is None:
            assert execute_action(script).ok is (end == "of itself")
        else:
            with pytest.raises(error):
                execute_action(script)
        (run,) = one.runs
        assert one.exporters == {}
    assert not [thread.name for thread in threading.enumerate() if re.match("loadflow-(InfluxDB|OpenTelemetry|prometheus)", thread.name)]
    lines = b"\n".join(body for _, body in influx.requests).decode()
    hits = len(run.hits())
    assert sum(int(found) for found in re.findall(r"\bhits=(\d+)i", lines)) == hits > 0
    assert otlp.requests_counted() == hits


@pytest.mark.processes
def test_a_load_under_a_watchdog_is_told_to_the_exporters_outside_of_it(target: Target, tmp_path: Path) -> None:
    """Also one that was killed: its gauges do not stand still."""
    target.reset()
    steps = [{"method": "get", "request_url": f"{target.url}/ok"}]
    with Answering() as influx, session() as one:
        one.runs_dir = tmp_path
        start_influxdb_sink("http", url=f"{influx.url}/write?db=load")
        port = start_prometheus_exporter(0)
        with_watchdog(start_test, {"user": "fast_http_user"}, 2, 100, 60, iterations=5, tasks=steps, timeout_seconds=60)
        one.observers.append(Dying())
        with pytest.raises(RunError, match="was killed by SIGKILL before it gave a result"):
            with_watchdog(start_test, {"user": "fast_http_user"}, 2, 100, 60, tasks=steps, timeout_seconds=60)
        page = fetch(f"http://127.0.0.1:{port}/metrics").decode()
        assert stop_influxdb_sink()["points_dropped"] == 0
        whole, killed = (len(run.hits()) for run in one.runs)
        told = {run.facts.id: 0 for run in one.runs}
        for _, body in influx.requests:
            for run_id, hits in re.findall(r"run=([^,]+),.*\bhits=(\d+)i", body.decode()):
                told[run_id] += int(hits)
    first, second = told.values()
    assert first == whole == 10
    assert second <= killed
    assert re.findall(r"^loaddensity_users\{.* (\S+)$", page, re.MULTILINE) == ["0.0", "0.0"]
