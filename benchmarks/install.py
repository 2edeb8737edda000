"""What an install of loadflow costs: packages, megabytes on disk, seconds of `pip install`, before and after a change.

    python -m benchmarks.install [--before COMMIT] [--rounds 2] [--write]

Each commit (COMMIT, and the one checked out) is built into a wheel from its own files, without the Rust core, whose size is that of
the wheels of `make wheels`. The wheel is installed into a new virtual environment with that commit's constraints.txt and no pip
cache, so that everything is downloaded. The commits take turns. In the last round each extra is added to the environment of the commit
that is checked out, one after the other; its row is what it added. Packages are those that `pip list` names besides pip and
setuptools. Megabytes are the sizes of all files that were added, .pyc files of pip's install included.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.results import publish, table

TREE = Path(__file__).parents[1]
UNMEASURED = ("test", "dev", "all")  # for developers, or the sum of others
TOOLS = ("pip", "setuptools")


@dataclass(slots=True)
class Subject:
    """One thing that is installed: a wheel with the constraints of its `tree`, or an extra of it into an environment that has the rest."""

    label: str
    what: str
    tree: Path
    packages: int = 0
    megabytes: float = 0.0
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def install(self, place: Path) -> None:
        before, size = _packages(place), _size(place)
        pip = [str(place / "bin" / "pip"), "install", "--quiet", "--constraint", str(self.tree / "constraints.txt"), self.what]
        began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*pip, "--no-cache-dir"], check=True)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall_s.append(time.monotonic() - began)
        self.cpu_s.append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)
        self.packages, self.megabytes = _packages(place) - before, (_size(place) - size) / 1e6

    def row(self) -> list[str]:
        times = [f"{statistics.median(seconds):.0f}" for seconds in (self.wall_s, self.cpu_s)]
        return [self.label, str(self.packages), f"{self.megabytes:.0f}", *times]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", metavar="COMMIT", help="also measure the files of this commit")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        now = _subject("now", "HEAD", scratch / "now")
        subjects = [now] if options.before is None else [now, _subject("before", options.before, scratch / "before")]
        extras = tomllib.loads((now.tree / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        added = [Subject(f"… and [{extra}]", f"{now.what}[{extra}]", now.tree) for extra in extras if extra not in UNMEASURED]
        for round_ in range(options.rounds):
            for subject in subjects:
                place = scratch / "venv"
                subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
                for one in (subject, *added) if subject is now and round_ == options.rounds - 1 else (subject,):
                    one.install(place)
                    print(one.row(), file=sys.stderr, flush=True)
                shutil.rmtree(place)
    header = ["installed", "packages", "MB", "pip install, wall s", "CPU s"]
    note = (
        f"Medians of {options.rounds} round(s) in turn, load average at the end {os.getloadavg()[0]:.0f}. "
        "The registry is near by: a slow line takes longer."
    )
    command = " ".join(["python -m benchmarks.install", *sys.argv[1:]]).replace(" --write", "")
    rows = [one.row() for one in [*subjects, *added]]
    publish("Install: packages, size, time", command, f"{table(header, rows)}\n\n{note}", write=options.write)


def _subject(label: str, commit: str, tree: Path) -> Subject:
    archive = subprocess.run(["git", "archive", commit], cwd=TREE, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tree / "dist"), str(tree)]
    subprocess.run(build, env={**os.environ, "LOADFLOW_NATIVE": "0"}, check=True)
    (wheel,) = (tree / "dist").glob("loadflow-*.whl")
    name = subprocess.run(["git", "rev-parse", "--short", commit], cwd=TREE, capture_output=True, text=True, check=True).stdout.strip()
    return Subject(f"loadflow, {label} ({name})", str(wheel), tree)


def _packages(place: Path) -> int:
    listed = subprocess.run([str(place / "bin" / "pip"), "list", "--format", "json"], capture_output=True, check=True).stdout
    return sum(1 for one in json.loads(listed) if one["name"] not in TOOLS)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
