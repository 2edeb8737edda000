"""Scenarios in Python: traced beside the same JSON script, and Python per hit beside Locust's FastHttpUser.

Generator (engine, supervisor and parent, or Locust) on core 0, nginx on core 1, 50 users without pauses, in turns. The rate is nginx's own
count over a window in the middle of each run; what counts are medians, and ratios of the same round.

    python -m benchmarks.scenarios [--rounds 5] [--window 5] [--write]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.native import SETTLE_S, Measured, measure
from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

USERS = 50
SCENARIOS = """
from loadflow import VUser, scenario, task

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
JSON_SCRIPT = "JSON script"
SIMPLE_LOCUST, CHECKED_LOCUST = "Locust FastHttpUser, simple", "Locust FastHttpUser, JSON and assertions"
# what each is compared with
BESIDE = {
    "traced": JSON_SCRIPT,
    "Python per hit, simple": SIMPLE_LOCUST,
    "Python per hit, simple, def": SIMPLE_LOCUST,
    "Python per hit, JSON and assertions": CHECKED_LOCUST,
}


def main() -> None:
    options = _options()
    found: dict[str, list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        (Path(folder) / "scenarios.py").write_text(SCENARIOS)
        (Path(folder) / "locustfile.py").write_text(LOCUST)
        for number in range(options.rounds):
            for name, command in commands(nginx, options.window, Path(folder)).items():
                if options.only and not any(one in name for one in options.only):
                    continue
                measured = measure(nginx, command, options.window)
                found.setdefault(name, []).append(measured)
                print(f"round {number + 1}: {name}: {measured}", flush=True)
    heads = ["what", "requests/s, median", "spread", "ratio, median of rounds", "core time per request", "failed"]
    publish(
        "Scenarios in Python",
        f"python -m benchmarks.scenarios --rounds {options.rounds} --window {options.window:g}",
        table(heads, [_row(name, found) for name in found]),
        write=options.write,
    )


def commands(nginx: Nginx, window_s: float, folder: Path) -> dict[str, list[str]]:
    seconds = window_s + SETTLE_S + 4
    pin = ["taskset", "-c", "0", sys.executable]
    given: dict[str, Any] = {"folder": str(folder / "runs"), "host": nginx.url, "user_count": USERS, "test_time": seconds}

    def ours(name: str) -> list[str]:
        return [*pin, "-c", LOAD, json.dumps({**given, "file": str(folder / "scenarios.py"), "name": name})]

    def locust(name: str) -> list[str]:
        run = ["--headless", "-u", str(USERS), "-r", "500", "-t", f"{seconds:.0f}s", "--host", nginx.url, "--only-summary", "-s", "1"]
        return [*pin, "-m", "locust", "-f", str(folder / "locustfile.py"), *run, name]

    return {
        JSON_SCRIPT: [*pin, "-c", SCRIPT, json.dumps({**given, "tasks": [STEP]})],
        "traced": ours("Traced"),
        "Python per hit, simple": ours("Simple"),
        "Python per hit, simple, def": ours("SimpleDef"),
        SIMPLE_LOCUST: locust("Simple"),
        "Python per hit, JSON and assertions": ours("Checked"),
        CHECKED_LOCUST: locust("Checked"),
    }


def _row(name: str, found: dict[str, list[Measured]]) -> list[str]:
    rates = [one.rate_per_s for one in found[name]]
    other = found.get(BESIDE.get(name, ""))
    ratio = statistics.median(one / beside.rate_per_s for one, beside in zip(rates, other, strict=True)) if other else None
    return [
        name,
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        "" if ratio is None else f"{ratio:.2f} × {BESIDE[name]}",
        f"{statistics.median(one.core_us for one in found[name]):.2f} µs",
        f"{sum(one.failed for one in found[name]):,}",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=5.0, help="seconds measured in each run")
    parser.add_argument("--only", nargs="+", help="parts of the names of those that are measured")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
