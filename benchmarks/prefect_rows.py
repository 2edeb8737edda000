"""How many rows a run leaves in Prefect's database, by its length: a server of its own on SQLite, a run as `nightly` makes it.

Events are counted apart: Prefect makes them of every state, artifact and heartbeat (one each 30 s), and removes them after a week.

    python -m benchmarks.prefect_rows [--seconds 15 60] [--write]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.results import publish, table
from tests.ends.processes import PrefectServer
from tests.targets.fixture import Target

SETTLE_S = 10.0  # rows of task runs and events come by a queue


def counted(home: Path) -> tuple[int, int]:
    """Rows of all tables but those of events, and those."""
    with closing(sqlite3.connect(f"file:{home / 'prefect.db'}?mode=ro", uri=True)) as database:
        names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")]
        rows = {name: database.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names}
    events = rows.pop("events") + rows.pop("event_resources")
    return sum(rows.values()), events


def run(server: PrefectServer, folder: Path, url: str, seconds: float) -> tuple[int, int]:
    test = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 5, "test_time": seconds, "wait_time": 0.05}
    script = [["LD_start_test", {**test, "tasks": [{"method": "get", "request_url": url}]}], ["LD_generate_junit_report"], ["LD_summary"]]
    path = folder / "nightly.json"
    path.write_text(json.dumps(script))
    code = f"from loadflow.flows import run_script\nrun_script(script_path={str(path)!r}, label='nightly')"
    before = counted(server.home)
    env = server.env({"LOADFLOW_RUNS_DIR": str(folder / "runs"), "PREFECT_LOGGING_TO_API_ENABLED": "true"})
    subprocess.run([sys.executable, "-c", code], cwd=folder, env={**env, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}, check=True)
    time.sleep(SETTLE_S)
    after = counted(server.home)
    return after[0] - before[0], after[1] - before[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[15, 60])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, Target() as target:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        server = PrefectServer(home)
        try:
            run(server, folder, f"{target.url}/ok", 1)  # makes the flow, the limit of the target, block types
            for seconds in given.seconds:
                stay, events = run(server, folder, f"{target.url}/ok", seconds)
                rows.append([f"{seconds:g} s", str(stay), str(events)])
        finally:
            server.stop()
    command = "python -m benchmarks.prefect_rows --write"
    text = "A script of three actions.\n\n" + table(["load", "rows that stay", "rows of events, removed after a week"], rows)
    publish("What a run leaves in Prefect's database", command, text, write=given.write)


if __name__ == "__main__":
    main()
