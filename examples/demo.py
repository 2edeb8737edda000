"""The main job on a target that it starts itself: the shop, loaded by examples/shop.json as a Prefect flow.

    python examples/demo.py [--users N] [--seconds S]

Exits with the code of `loadflow run`: 0 when the verdict is passed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
ROOT = EXAMPLES.parent
REPORTS = ROOT / "demo"
START_S = 20.0
PREFECT_S = 300.0  # the first start makes the embedded server's database and compiles what is imported; a busy machine takes minutes


@contextlib.contextmanager
def shop() -> Iterator[str]:
    """Start the shop on a free port, give its address once it answers, end it however the block ends."""
    # a session of its own: Ctrl-C is for loadflow, which still drains against the shop
    command = [sys.executable, str(EXAMPLES / "shop" / "server.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START_S) else ""
        if not line.startswith("listening on "):
            raise SystemExit(f"the shop did not start within {START_S:.0f} s; run `python examples/shop/server.py` to see why")
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description="Load the example shop.")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    with shop() as base:
        print(f"the shop answers at {base}", flush=True)
        command = [sys.executable, "-m", "loadflow", "run", "examples/shop.json", "--report-dir", str(REPORTS)]
        for variable in (f"base={base}", f"users={options.users}", f"seconds={options.seconds}"):
            command += ["--var", variable]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            code = process.wait(options.seconds + PREFECT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            code = process.wait(30)
        except KeyboardInterrupt:
            # the terminal has told loadflow too: it drains and reports
            code = process.wait(60)
    report = REPORTS / "shop-report.html"
    if report.exists():
        home = os.environ.get("PREFECT_HOME", "")
        print(f"\nThe report: {report}")
        print("The run in the Prefect UI: `make ui`, then http://127.0.0.1:4200/runs" + (f"   (its database is in {home})" if home else ""))
    return code


if __name__ == "__main__":
    sys.exit(main())
