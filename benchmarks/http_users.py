"""Closed-loop throughput of the Python engine beside plain Locust and LoadDensity: same target, same request, same check.

Generator on core 0, nginx on core 1, 50 users without waiting, one status assertion. The rate is nginx's own count over a
window in the middle of each run. Tools take turns; medians and the spread of several rounds are reported.

    python -m benchmarks.http_users [--rounds 5] [--window 8] [--write]

LoadDensity is installed into `benchmarks/.peers/` on first use, from PyPI; without a registry it is left out, and said so.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

PEERS = Path(__file__).parent / ".peers"
USERS = 50
SETTLE_S = 2.0

LOADFLOW = """
import sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
url, seconds, folder, user = sys.argv[1:]
with use_session(Session(runs_dir=folder)):
    summary = start_test({"user": user}, user_count=50, spawn_rate=1000, test_time=float(seconds),
                         tasks=[{"method": "get", "request_url": url, "assertions": [{"type": "status_code", "value": 200}]}])
print("recorded", summary["totals"]["requests"], summary["totals"]["failures"])
"""
LOCUST = """
import os
from locust import %(user)s, constant, task
class BenchmarkUser(%(user)s):
    host = os.environ["TARGET"]
    wait_time = constant(0)
    @task
    def one(self):
        with self.client.get("/", catch_response=True) as response:
            if response.status_code != 200:
                response.failure("status")
"""
# its users wait 0.1 to 0.2 s after each pass over the tasks, so a pass is made long
LOAD_DENSITY = """
import sys
from je_load_density import start_test
url, seconds, user = sys.argv[1:]
task = {"method": "get", "request_url": url, "name": "one", "assertions": [{"type": "status_code", "value": 200}]}
start_test({"user": user}, user_count=50, spawn_rate=1000, test_time=float(seconds), tasks=[task] * 500)
"""


def main() -> None:
    options = _options()
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        tools = _tools(Path(folder), nginx, options.window + SETTLE_S + 4, options.user)
        for round_number in range(options.rounds):
            for name, command in tools.items():
                rate = measure(nginx, command(), options.window)
                rates.setdefault(name, []).append(rate)
                print(f"round {round_number + 1}: {name}: {rate:,.0f}/s", flush=True)
    locust = f"Locust {options.locust_user}"
    rows = []
    for name, found in rates.items():
        ratios = [one / other for one, other in zip(found, rates[locust], strict=True)]
        rows.append(
            [name, f"{statistics.median(found):,.0f}", f"{min(found):,.0f} to {max(found):,.0f}", f"{statistics.median(ratios):.2f}"]
        )
    title = f"{options.user}: closed loop beside Locust and LoadDensity"
    text = table(["tool", "hits/s, median", "spread", "ratio to Locust, median of rounds"], rows)
    publish(title, f"python -m benchmarks.http_users --user {options.user} --rounds {options.rounds}", text, write=options.write)


def measure(nginx: Nginx, command: list[str], window_s: float) -> float:
    """Requests per second that the target saw in the window, once the tool is at work."""
    before = nginx.served()
    with tempfile.TemporaryFile() as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        while nginx.served() - before < 2_000:
            if process.poll() is not None:
                output.seek(0)
                raise SystemExit(f"{command[3:6]} ended early:\n{output.read().decode()[-2000:]}")
            time.sleep(0.2)
        time.sleep(SETTLE_S)
        first, started = nginx.served(), time.monotonic()
        time.sleep(window_s)
        rate = (nginx.served() - first) / (time.monotonic() - started)
        process.wait(60)
    return rate


def _tools(folder: Path, nginx: Nginx, seconds: float, user: str) -> dict[str, Callable[[], list[str]]]:
    pin = ["taskset", "-c", "0"]
    locust_user = {"fast_http_user": "FastHttpUser", "http_user": "HttpUser"}[user]
    locustfile = folder / "locustfile.py"
    locustfile.write_text(LOCUST % {"user": locust_user})
    locust = [*pin, "env", f"TARGET={nginx.url.rstrip('/')}", sys.executable, "-m", "locust", "-f", str(locustfile), "--headless"]
    tools: dict[str, Callable[[], list[str]]] = {
        "loadflow": lambda: [*pin, sys.executable, "-c", LOADFLOW, nginx.url, str(seconds), str(folder), user],
        f"Locust {locust_user}": lambda: [*locust, "-u", str(USERS), "-r", "1000", "-t", f"{seconds:.0f}s", "--only-summary"],
    }
    peer = load_density()
    if peer is not None:
        tools["LoadDensity 0.0.79"] = lambda: [*pin, str(peer), "-c", LOAD_DENSITY, nginx.url, str(seconds), user]
    return tools


def load_density(*extras: str) -> Path | None:
    """The Python of an environment that has LoadDensity, made on first use; None where it can't be installed."""
    name = "-".join(("load_density", *extras))
    python = PEERS / name / "bin" / "python"
    if not python.exists():
        venv.create(PEERS / name, with_pip=True)
        wanted = f"je_load_density[{','.join(extras)}]==0.0.79"
        done = subprocess.run([python, "-m", "pip", "install", "-q", wanted])
        if done.returncode != 0:
            print("LoadDensity can't be installed here; it is left out")
            python.unlink()
            return None
    return python


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=8.0, help="seconds measured in each run")
    parser.add_argument("--user", choices=["fast_http_user", "http_user"], default="fast_http_user")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    options.locust_user = {"fast_http_user": "FastHttpUser", "http_user": "HttpUser"}[options.user]
    return options


if __name__ == "__main__":
    main()
