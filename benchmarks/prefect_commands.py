"""What Prefect adds to each command of a script: a flow with many small commands against one with one, with a running server.

A server of its own on SQLite. `abs` takes no time of its own, so what a command of a longer script adds is the task around it: its
states, its retries, its watchdog, its log. Beside it, the same commands by `execute_action`, without Prefect.

    python -m benchmarks.prefect_commands [--rounds 5] [--commands 40] [--write]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import publish, table
from tests.ends.processes import PrefectServer

# prints the seconds of each flow: with one command, with many, in turns
FLOWS = """
import sys, time
from loadflow.flows import run_script
one, many, rounds = sys.argv[1:]
run_script(script_path=one)  # makes the flow, block types and limits known
for _ in range(int(rounds)):
    for path in (one, many):
        started = time.perf_counter()
        run_script(script_path=path)
        print("took", time.perf_counter() - started, flush=True)
"""
DIRECT = """
import json, sys, time
from loadflow import execute_action
script = json.load(open(sys.argv[1]))
execute_action(script[:1])  # what is imported on the way
started = time.perf_counter()
execute_action(script)
print("took", time.perf_counter() - started)
"""


def took_s(code: str, *arguments: str, folder: Path, env: dict[str, str]) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("took ")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        for path, count in (("one.json", 1), ("many.json", 1 + given.commands)):
            (folder / path).write_text(json.dumps([["abs", [-1]]] * count))
        server = PrefectServer(folder / "home")
        try:
            env = server.env({"LOADFLOW_RUNS_DIR": str(folder / "runs")})
            times = took_s(FLOWS, "one.json", "many.json", str(given.rounds), folder=folder, env=env)
            direct = took_s(DIRECT, "many.json", folder=folder, env=env)[0]
        finally:
            server.stop()
    added = [(many - one) / given.commands * 1e3 for one, many in zip(times[::2], times[1::2], strict=True)]
    row = [
        f"{statistics.median(times[::2]):.2f} s",
        f"{statistics.median(times[1::2]):.2f} s",
        f"{statistics.median(added):.1f} ms ({min(added):.1f} to {max(added):.1f})",
        f"{direct / (given.commands + 1) * 1e3:.2f} ms",
    ]
    heads = ["flow with one command", f"with {given.commands + 1}", "Prefect's share of a command", "a command without Prefect"]
    command = f"python -m benchmarks.prefect_commands --rounds {given.rounds} --commands {given.commands}"
    publish("What Prefect adds to a command", command, table(heads, [row]), write=given.write)


if __name__ == "__main__":
    main()
