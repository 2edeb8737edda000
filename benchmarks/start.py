"""How long the commands that people wait for take until they answer: CPU and wall seconds, and what they import.

    python -m benchmarks.start [--rounds 10] [--before COMMIT] [--write]

Each command runs in a process of its own, `rounds` times, in turn; first once to compile the .pyc files. CPU seconds are user and
system time of the process and its children, which other work on the machine disturbs less than wall seconds; of both the smallest and
the median. `modules` is what is in sys.modules at the end. With --before the files of that commit are measured in turn with these, by
the same interpreter and packages.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.results import publish, table

TREE = Path(__file__).parents[1]
COUNT = "import atexit, sys; atexit.register(lambda: print(len(sys.modules), file=sys.stderr)); "
COMMAND_LINE = COUNT + "sys.argv = ['loadflow', *{arguments!r}]; from loadflow.__main__ import start; start()"
VARIABLES = ["--var", "base=http://127.0.0.1:1"]
SHOP = [*VARIABLES, "--var", "users=5", "--var", "seconds=5"]
ASKED_S = {"import loadflow": 0.1, "loadflow --help": 0.25, "loadflow check": 0.6}


@dataclass(slots=True)
class Subject:
    label: str
    tree: Path
    code: str
    asked_s: float | None
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    modules: int = 0

    def run(self) -> None:
        env = {**os.environ, "PYTHONPATH": str(self.tree)}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        ended = subprocess.run([sys.executable, "-c", self.code], cwd=self.tree, env=env, capture_output=True, text=True, check=True)
        wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall_s.append(wall_s)
        self.cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        self.modules = int(ended.stderr.split()[-1])

    def row(self) -> list[str]:
        figures = [f"{pick(times):.2f}" for times in (self.cpu_s, self.wall_s) for pick in (min, statistics.median)]
        return [self.label, *figures, "–" if self.asked_s is None else f"{self.asked_s:g}", str(self.modules)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--before", metavar="COMMIT", help="also measure the files of this commit")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        subjects = _subjects("", TREE)
        if options.before:
            tree = Path(scratch)
            archive = subprocess.run(["git", "archive", options.before], cwd=TREE, capture_output=True, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(tree, filter="data")
            old = _subjects(f", before ({options.before})", tree)
            subjects = [one for pair in zip(old, subjects, strict=True) for one in pair]
        for subject in subjects:
            subject.run()
            subject.cpu_s.clear(), subject.wall_s.clear()
        for _ in range(options.rounds):
            for subject in subjects:
                subject.run()
    header = ["command", "CPU s, smallest", "median", "wall s, smallest", "median", "asked, s", "modules"]
    load = f"Load average at the end: {os.getloadavg()[0]:.1f}; asked for is the time on a quiet machine."
    command = " ".join(["python -m benchmarks.start", *sys.argv[1:]]).replace(" --write", "")
    text = f"{table(header, [one.row() for one in subjects])}\n\n{load}"
    publish("Start: what a command takes until it answers", command, text, write=options.write)


def _subjects(when: str, tree: Path) -> list[Subject]:
    commands = {
        "python -c pass": COUNT,
        "import loadflow": COUNT + "import loadflow",
        "loadflow --help": COMMAND_LINE.format(arguments=["--help"]),
        "loadflow check smoke.json": COMMAND_LINE.format(arguments=["check", *VARIABLES, "examples/smoke.json"]),
        "loadflow check shop.json": COMMAND_LINE.format(arguments=["check", *SHOP, "examples/shop.json"]),
        "loadflow check grpc.json (protoc)": COMMAND_LINE.format(arguments=["check", "examples/grpc.json"]),
    }
    asked = {label: next((s for name, s in ASKED_S.items() if label.startswith(name)), None) for label in commands}
    return [Subject(f"{label}{when}", tree, code, asked[label]) for label, code in commands.items()]


if __name__ == "__main__":
    main()
