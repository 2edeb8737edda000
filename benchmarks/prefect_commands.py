"""What Prefect adds to each command of a script, with a running server: a server of its own, on SQLite.

The command does nothing but note the time, so what lies between two of them is the task around one: its states, its retries, its
watchdog, its log. Beside it, the same commands by `execute_action`, without Prefect, and what a flow takes from its call to its end.

    python -m benchmarks.prefect_commands [--rounds 5] [--commands 40] [--write]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import publish, table
from tests.ends.processes import PrefectServer

# prints, for each round: a flow's length; then from its first command to its last; and that without Prefect; all in seconds
FLOWS = """
import sys, time
from loadflow import add_command_to_executor, compile_script, execute_action
commands, rounds = map(int, sys.argv[1:])
moments = []
add_command_to_executor({"moment": lambda: moments.append(time.perf_counter())})
script = [["moment", {}]] * (commands + 1)
flow = compile_script(script, name="moments")

def between(run):
    moments.clear()
    run()
    assert len(moments) == commands + 1
    return moments[-1] - moments[0]

flow()  # makes the flow known to the server, imports the rest
for _ in range(rounds):
    started = time.perf_counter()
    inside = between(flow)
    print("took", time.perf_counter() - started, inside, between(lambda: execute_action(script)), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        server = PrefectServer(folder / "home")
        try:
            env = server.env({"LOADFLOW_RUNS_DIR": str(folder / "runs"), "PREFECT_LOGGING_LEVEL": "WARNING"})
            code = [sys.executable, "-c", FLOWS, str(given.commands), str(given.rounds)]
            done = subprocess.run(code, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            server.stop()
    times = [[float(word) for word in line.split()[1:]] for line in done.stdout.splitlines() if line.startswith("took ")]
    whole, inside, direct = zip(*times, strict=True)
    ms = [seconds / given.commands * 1e3 for seconds in inside]
    row = [
        f"{statistics.median(ms):.1f} ms ({min(ms):.1f} to {max(ms):.1f})",
        f"{statistics.median(direct) / given.commands * 1e3:.2f} ms",
        f"{statistics.median(whole):.2f} s",
    ]
    heads = ["a command in a flow", "without Prefect", f"the flow of {given.commands + 1}, from call to end"]
    command = f"python -m benchmarks.prefect_commands --rounds {given.rounds} --commands {given.commands}"
    publish("What Prefect adds to a command", command, table(heads, [row]), write=given.write)


if __name__ == "__main__":
    main()
