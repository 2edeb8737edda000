"""Scenarios in Python: traced beside the same JSON script, and Python per hit beside Locust's FastHttpUser and K9-load.

Generator (engine, supervisor and parent, or Locust, or K9-load) on core 0, nginx on core 1, 50 users without pauses, in turns. The rate is
nginx's own count over a window in the middle of each run; what counts are medians, and ratios of the same round. Two processes have both
cores, and functions that work so long that nginx needs little of them. Last comes how late hits begin at 5,000/s.

K9-load (`pip install k9-load`, best in an environment of its own) runs where `k9` is in PATH, or at `--k9 PATH`. LoadPilot is no package of
PyPI, so it is not here.

    python -m benchmarks.scenarios [--rounds 5] [--window 5] [--k9 PATH] [--write]
    python -m benchmarks.scenarios --memory [--write]

A round takes about 3 minutes with a window of 5 seconds. `--memory` measures the memory alone, in two minutes: a user of steps is
what the core itself holds of a user; what a function adds is Python's objects, and for a `def` that needs a greenlet the page that
CPython keeps for its frames and the stack that greenlet saves.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.native import SETTLE_S, Measured, measure, senders_of
from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

USERS = 50
SCENARIOS = """
import asyncio

from loadflow import VUser, scenario, sleep, task

@scenario(rps=1)
class Traced(VUser):
    @task
    def simple(self, client):
        assert client.get("/").status_code == 200

@scenario(rps=1)
class Simple(VUser):
    @task
    async def simple(self, client):
        answer = await client.get("/")
        if answer.status_code != 200:
            raise ValueError("no answer")

@scenario(rps=1)
class SimpleDef(VUser):
    @task
    def simple(self, client):
        if client.get("/").status_code != 200:
            raise ValueError("no answer")

@scenario(rps=1)
class Checked(VUser):
    def __init__(self):
        self.count = 0

    @task
    async def checked(self, client):
        self.count += 1
        answer = await client.post(f"/items/{self.count}", json={"id": self.count, "note": f"n {self.count}"}, headers={"X-User": "me"})
        assert answer.status_code == 200
        body = answer.json()
        assert body["name"] == "benchmark"
        self.last = body["id"]

@scenario(rps=1)
class Working(VUser):
    @task
    async def works(self, client):
        answer = await client.get("/")
        if sum(number * number for number in range(3_000)) < answer.status_code:
            raise ValueError("no answer")

@scenario(rps=1)
class Waiting(VUser):
    @task
    async def waits(self, client):
        await asyncio.sleep(3_600)
        await client.get("/")

@scenario(rps=1)
class WaitingDef(VUser):
    @task
    def waits(self, client):
        sleep(3_600)
        client.get("/" if self else "/")

@scenario(rps=1)
class WaitingGreenlet(VUser):
    @task
    def waits(self, client):
        sleep(3_600)
        self.given = client
        self.given.get("/")
"""
LOAD = """
import json, os, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.scenario.loading import ALLOW, chosen, load_scenarios
from loadflow.engine.scenario.script import script_of
from loadflow.engine.scenario.tracing import trace
from loadflow.engine.session.session import Session, use_session
os.environ[ALLOW] = "1"
given = json.loads(sys.argv[1])
file, name, folder = given.pop("file"), given.pop("name"), given.pop("folder")
made = chosen(load_scenarios(file), name, file)
arguments = script_of(made, trace(made), file)["load_density"][0][1]
arguments = {key: value for key, value in arguments.items() if key not in ("rate", "host")}
with use_session(Session(runs_dir=folder)):
    summary = start_test(**{**arguments, **given}, spawn_rate=5_000)
print("recorded", summary["totals"]["requests"], "failed", summary["totals"]["failures"])
"""
# what `LOAD` gives, at a rate: how late its hits began, in milliseconds
RATE_LOAD = (
    LOAD.replace(", spawn_rate=5_000", "")
    + """
import numpy as np
from loadflow.engine.records.run import Run
rows = Run.open(summary["run_dir"]).hits()
late_ms = (rows["start_ns"] - rows["due_ns"]) / 1e6
found = [float(value) for value in np.quantile(late_ms, (0.5, 0.99, 1))]
print(json.dumps([*found, summary["rate"]["achieved"], summary["totals"]["failures"]]))
"""
)
SCRIPT = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
given = json.loads(sys.argv[1])
with use_session(Session(runs_dir=given.pop("folder"))):
    summary = start_test({"user": "fast_http_user", "engine": "native"}, spawn_rate=5_000, **given)
print("recorded", summary["totals"]["requests"], "failed", summary["totals"]["failures"])
"""
# the step that the traced scenario is
STEP = {
    "name": "simple",
    "method": "get",
    "request_url": "/",
    "assertions": [{"type": "status_code", "value": 200}],
    "on_failure": "stop_if_lacking",
}
LOCUST = """
from locust import FastHttpUser, constant, task

class Simple(FastHttpUser):
    wait_time = constant(0)

    @task
    def simple(self):
        if self.client.get("/").status_code != 200:
            raise ValueError("no answer")

class Checked(FastHttpUser):
    wait_time = constant(0)
    count = 0

    @task
    def checked(self):
        self.count += 1
        sent = {"id": self.count, "note": f"n {self.count}"}
        answer = self.client.post(f"/items/{self.count}", json=sent, headers={"X-User": "me"}, name="checked")
        assert answer.status_code == 200
        body = answer.json()
        assert body["name"] == "benchmark"
        self.last = body["id"]
"""
# what HOST is, `k9 run -e` says
K9_SIMPLE = """
import k9

HOST = k9.env["HOST"]

async def default():
    answer = await k9.http.get(HOST + "/")
    if answer.status != 200:
        raise ValueError("no answer")
"""
K9_CHECKED = """
import k9

HOST = k9.env["HOST"]

async def default():
    count = k9.vu.iteration
    sent = {"id": count, "note": f"n {count}"}
    answer = await k9.http.post(f"{HOST}/items/{count}", json=sent, headers={"X-User": "me"}, name="checked")
    k9.check(answer, {"status": lambda got: got.status == 200, "name": lambda got: got.json()["name"] == "benchmark"})
"""
RATE_PER_S = 5_000
RATE_S = 10
FEW, MANY = 1_000, 21_000  # users, whose difference says what one needs
JSON_SCRIPT = "JSON script"
ONE_PROCESS, TWO_PROCESSES = "Python per hit, with work of its own", "the same, two processes"
SIMPLE, SIMPLE_DEF, CHECKED = "Python per hit, simple", "Python per hit, simple, def", "Python per hit, JSON and assertions"
SIMPLE_LOCUST, CHECKED_LOCUST = "Locust FastHttpUser, simple", "Locust FastHttpUser, JSON and assertions"
SIMPLE_K9, CHECKED_K9 = "K9-load, simple", "K9-load, JSON and checks"
# what each is compared with, as far as that was measured
BESIDE = {
    "traced": [JSON_SCRIPT],
    SIMPLE: [SIMPLE_LOCUST, SIMPLE_K9],
    SIMPLE_DEF: [SIMPLE_LOCUST, SIMPLE_K9],
    CHECKED: [CHECKED_LOCUST, CHECKED_K9],
    TWO_PROCESSES: [ONE_PROCESS],
}


def main() -> None:
    options = _options()
    if options.memory:
        measure_memory(write=options.write)
        return
    found: dict[str, list[Measured]] = {}
    late: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        (Path(folder) / "scenarios.py").write_text(SCENARIOS)
        (Path(folder) / "locustfile.py").write_text(LOCUST)
        (Path(folder) / "k9_simple.py").write_text(K9_SIMPLE)
        (Path(folder) / "k9_checked.py").write_text(K9_CHECKED)
        if options.k9 is None:
            print("K9-load is left out: there is no k9 in PATH; `pip install k9-load`, or say where it is by --k9 PATH", flush=True)
        for number in range(options.rounds):
            for name, command in commands(nginx, options.window, Path(folder), options.k9).items():
                if options.only and not any(one in name for one in options.only):
                    continue
                measured = measure(nginx, command, options.window, begun=1_000)
                found.setdefault(name, []).append(measured)
                print(f"round {number + 1}: {name}: {measured}", flush=True)
            for name, command in rate_commands(nginx, Path(folder)).items() if not options.only else ():
                late.setdefault(name, []).append(_lateness(command))
                print(f"round {number + 1}: {name} at {RATE_PER_S:,}/s: p50, p99, most ms late: {late[name][-1][:3]}", flush=True)
    heads = ["what", "requests/s, median", "spread", "ratio, median of rounds", "core time per request", "failed"]
    publish(
        "Scenarios in Python",
        f"python -m benchmarks.scenarios --rounds {options.rounds} --window {options.window:g}",
        "\n\n".join([table(heads, [_row(name, found) for name in found]), *_late_table(late)]),
        write=options.write,
    )


def measure_memory(*, write: bool) -> None:
    """Nothing is sent, so there is no target."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "scenarios.py").write_text(SCENARIOS)
        needed = {name: memory_of(Path(folder), name, *waiting) for name, waiting in WAITING.items()}
    rows = [[name, f"{found:,.0f}"] for name, found in needed.items()]
    text = table(["a user that waits", "bytes"], rows)
    publish("Memory of users that wait: the native core", "python -m benchmarks.scenarios --memory", text, write=write)


def commands(nginx: Nginx, window_s: float, folder: Path, k9: str | None) -> dict[str, list[str]]:
    seconds = window_s + SETTLE_S + 4
    pin = ["taskset", "-c", "0", sys.executable]
    given: dict[str, Any] = {"folder": str(folder / "runs"), "host": nginx.url, "user_count": USERS, "test_time": seconds}

    def ours(name: str, processes: int = 1) -> list[str]:
        own = {**given, "file": str(folder / "scenarios.py"), "name": name, "processes": processes}
        return [*(pin if processes == 1 else ["taskset", "-c", "0,1", sys.executable]), "-c", LOAD, json.dumps(own)]

    def locust(name: str) -> list[str]:
        run = [
            "--headless",
            "-u",
            str(USERS),
            "-r",
            "500",
            "-t",
            f"{seconds:.0f}s",
            "--host",
            nginx.url.rstrip("/"),
            "--only-summary",
            "-s",
            "1",
        ]
        return [*pin, "-m", "locust", "-f", str(folder / "locustfile.py"), *run, name]

    def k9_run(name: str) -> list[str]:
        run = [str(folder / name), "-u", str(USERS), "-d", f"{seconds:.0f}s", "-e", f"HOST={nginx.url.rstrip('/')}"]
        return ["taskset", "-c", "0", str(k9), "run", *run]

    found = {
        JSON_SCRIPT: [*pin, "-c", SCRIPT, json.dumps({**given, "tasks": [STEP]})],
        "traced": ours("Traced"),
        SIMPLE: ours("Simple"),
        SIMPLE_DEF: ours("SimpleDef"),
        SIMPLE_LOCUST: locust("Simple"),
        SIMPLE_K9: k9_run("k9_simple.py"),
        CHECKED: ours("Checked"),
        CHECKED_LOCUST: locust("Checked"),
        CHECKED_K9: k9_run("k9_checked.py"),
        ONE_PROCESS: ours("Working"),
        TWO_PROCESSES: ours("Working", 2),
    }
    return found if k9 is not None else {name: command for name, command in found.items() if name not in (SIMPLE_K9, CHECKED_K9)}


def rate_commands(nginx: Nginx, folder: Path) -> dict[str, list[str]]:
    """Loads at a rate, which print how late their hits were."""
    rate = {"mode": "constant", "rps": RATE_PER_S, "duration": RATE_S}
    given = {"folder": str(folder / "runs"), "host": nginx.url, "rate": rate, "user_count": USERS, "file": str(folder / "scenarios.py")}
    pin = ["taskset", "-c", "0", sys.executable, "-c", RATE_LOAD]
    return {name: [*pin, json.dumps({**given, "name": cls})] for name, cls in (("traced", "Traced"), (SIMPLE, "Simple"))}


def _lateness(command: list[str]) -> list[float]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _late_table(late: dict[str, list[list[float]]]) -> list[str]:
    heads = [f"late at {RATE_PER_S:,}/s", "p50 ms", "p99 ms", "most ms", "achieved", "failed"]
    rows = []
    for name, rounds in late.items():
        p50, p99, most, achieved, failed = (statistics.median(values) for values in zip(*rounds, strict=True))
        rows.append([name, f"{p50:.3f}", f"{p99:.3f}", f"{most:.2f}", f"{achieved:.2%}", f"{failed:,.0f}"])
    return [table(heads, rows)] if rows else []


# the class, and what the load has besides
WAITING: dict[str, tuple[str, dict[str, Any]]] = {
    "steps, waiting for the next pass": ("", {}),
    "the same with a seed": ("", {"seed": 7}),
    "async def, awaiting asyncio.sleep": ("Waiting", {}),
    "async def, the same with a seed": ("Waiting", {"seed": 7}),
    "def, in sleep": ("WaitingDef", {}),
    "def that gives its client away, in sleep (a greenlet)": ("WaitingGreenlet", {}),
}
NOBODY = "http://127.0.0.1:9"
# nothing is sent, so that no user has a connection, as those whose functions wait first have none
SKIPPED = {"wait_time": 3_600, "tasks": [{"method": "get", "request_url": "/", "run_if": "false"}]}


def memory_of(folder: Path, name: str, cls: str, more: dict[str, Any]) -> float:
    """Bytes for each user more that waits, in a function of `cls`, or "" for steps: the engine's with many of them, less with few."""
    few, many = (_rss_bytes(folder / f"{name}-{users}", folder, cls, users, more) for users in (FEW, MANY))
    needed = (many - few) / (MANY - FEW)
    print(f"{name}: {needed:,.0f} bytes", flush=True)
    return needed


def _rss_bytes(runs: Path, folder: Path, cls: str, users: int, more: dict[str, Any]) -> int:
    given = {"folder": str(runs), "host": NOBODY, "user_count": users, "test_time": 600, "drain_time": 0, **more}
    own = {**given, "file": str(folder / "scenarios.py"), "name": cls} if cls else {**given, **SKIPPED}
    command = ["taskset", "-c", "0", sys.executable, "-c", LOAD if cls else SCRIPT, json.dumps(own)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not _has_users(runs, users):
                if process.poll() is not None:
                    raise SystemExit(f"the load for {runs.name} ended early")
                time.sleep(0.2)
            time.sleep(1)
            return sum(int(one.memory_info().rss) for one in senders_of(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)


def _has_users(runs: Path, users: int) -> bool:
    lines = [line for path in runs.glob("*/snapshots.ndjson") for line in path.read_text().splitlines()[-1:]]
    return any(json.loads(line)["health"]["users"] >= users for line in lines)


def _row(name: str, found: dict[str, list[Measured]]) -> list[str]:
    rates = [one.rate_per_s for one in found[name]]
    ratios = []
    for other in BESIDE.get(name, []):
        pairs = zip(rates, found.get(other, []), strict=False)
        if each := [one / beside.rate_per_s for one, beside in pairs]:
            ratios.append(f"{statistics.median(each):.2f} × {other}")
    return [
        name,
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        "; ".join(ratios),
        f"{statistics.median(one.core_us for one in found[name]):.2f} µs",
        f"{sum(one.failed for one in found[name]):,}",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=5.0, help="seconds measured in each run")
    parser.add_argument("--only", nargs="+", help="parts of the names of those that are measured")
    parser.add_argument("--k9", default=shutil.which("k9"), help="the command of K9-load, where it is not in PATH")
    parser.add_argument("--memory", action="store_true", help="measure the memory of users that wait, and nothing else")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
