"""The live page: how soon it paints, what viewers cost the server, and whether they make a load late.

First paint is Chromium's own (`first-contentful-paint`), of a run with so many seconds on disk, in a new browser context each time;
cold is the first page of a server that was just started. The viewers do what the page does: they follow the stream, and ask for the
charts whenever the page would. Their cost is the CPU time of the server's process (user and system), as a share of one core. The load of
the last table is made on core 0 without and with viewers in turns; nginx and the viewers are on core 1.

    python -m benchmarks.live [--seconds 600] [--rounds 5] [--viewers 20] [--window 30] [--rate 20000] [--write]

Wants two quiet cores; figures of CPU time are of use on a busy machine, too.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from playwright.sync_api import Browser, sync_playwright

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table
from loadflow.engine.records.going_on import going_on
from loadflow.engine.records.run import Run

ROOT = Path(__file__).resolve().parent.parent
RUN = "20260921-141320-smoke-1f2e3d4c"
HITS_PER_S = 1_000
MOST_BYTES = 2_000  # of an event
CHARTS_EVERY_S = 10.0  # as live.js asks
LOAD_S = 15.0
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)[0] ?? null"
DRAWN = "document.querySelector('svg.timed') ? performance.now() : null"


@dataclass
class Viewers:
    """So many pages without a browser. `most_bytes`: the largest event that one of them got."""

    address: str  # of the run's page
    number: int
    most_bytes: int = 0
    events: int = 0
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Viewers:
        for number in range(self.number):
            self._threads.append(threading.Thread(target=self._view, args=(number,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _view(self, number: int) -> None:
        url = urlsplit(self.address)
        folder = url.path.rpartition("/")[0]
        try:
            last = re.search(r'data-second="(-?\d+)"', _get(self.address).decode())
            streaming = http.client.HTTPConnection(url.netloc, timeout=60)
            streaming.request("GET", f"{folder}/live?after={last[1] if last else -1}")
            stream = streaming.getresponse()
            asked_at = time.monotonic() + CHARTS_EVERY_S * number / self.number  # people don't come all at once
            size = 0
            while not self._over.is_set():
                line = stream.readline()
                size += len(line)
                if line == b"\n":
                    self.most_bytes, self.events, size = max(self.most_bytes, size), self.events + 1, 0
                    if time.monotonic() - asked_at >= CHARTS_EVERY_S:
                        asked_at = time.monotonic()
                        _get(self.address)
                elif not line:
                    return
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))


def _get(address: str) -> bytes:
    url = urlsplit(address)
    with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=60)) as connection:
        connection.request("GET", url.path or "/")
        return connection.getresponse().read()


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        runs_dir = Path(scratch) / "runs"
        lines = _build(runs_dir / RUN, options.seconds)
        with going_on(runs_dir / RUN), _growing(runs_dir / RUN / "snapshots.ndjson", lines, options.seconds):
            text = "\n\n".join([_paints(runs_dir, options), _costs(runs_dir, options)])
        if options.rate:
            text += "\n\n" + _lateness(Path(scratch), options)
    command = f"python -m benchmarks.live --seconds {options.seconds} --rounds {options.rounds} --viewers {options.viewers}"
    text += f"\n\nLoad average of the machine at the end, over a minute: {os.getloadavg()[0]:.1f}."
    publish("The live page", command, text, write=options.write)


def _paints(runs_dir: Path, options: argparse.Namespace) -> str:
    rows = []
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        cold: list[tuple[float, float]] = []
        warm: list[tuple[float, float]] = []
        for _ in range(options.rounds):
            with _server(runs_dir) as (_, address):
                cold.append(_paint(browser, address))
                warm.append(_paint(browser, address))
        for label, times in (("first viewer of a new server", cold), ("second viewer", warm)):
            paint, drawn = zip(*times, strict=True)
            rows.append([label, *(f"{statistics.median(one):.0f} ms ({min(one):.0f} to {max(one):.0f})" for one in (paint, drawn))])
    text = table(["page", "first paint, median", "charts drawn, median"], rows)
    return f"{text}\n\nOf a run with {options.seconds:,} s on disk, {HITS_PER_S:,} requests in each; {options.rounds} rounds."


def _paint(browser: Browser, address: str) -> tuple[float, float]:
    """Milliseconds from the navigation's start to the first paint, and until the charts answer the pointer."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.goto(address, wait_until="commit")
    drawn = painted = None
    until = time.monotonic() + 60
    while (drawn is None or painted is None) and time.monotonic() < until:
        drawn = drawn or page.evaluate(DRAWN)
        painted = painted or page.evaluate(PAINTED)
        time.sleep(0.005)
    context.close()
    if drawn is None or painted is None:
        raise SystemExit("the page was not painted within a minute")
    return float(painted), float(drawn)


def _costs(runs_dir: Path, options: argparse.Namespace) -> str:
    rows, most = [], 0
    with _server(runs_dir) as (server, address):
        for number in (0, 1, options.viewers):
            with Viewers(address, number) as viewers:
                time.sleep(3)  # they have come, and what was on disk is read
                share = _cpu_share(server, options.window)
            if viewers.failures or bool(viewers.events) != bool(number):
                raise SystemExit(f"viewers saw {viewers.events} events: {viewers.failures[:3]}")
            most = max(most, viewers.most_bytes)
            rows.append([str(number), f"{share:.2%}".replace("%", " %")])
    text = table(["viewers", "CPU time of the server, share of a core"], rows)
    return f"{text}\n\nOver {options.window:g} s each. The largest event has {most:,} bytes; asked for: at most {MOST_BYTES:,}."


def _cpu_share(process: psutil.Process, window_s: float) -> float:
    def used_s() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before, began = used_s(), time.monotonic()
    time.sleep(window_s)
    return (used_s() - before) / (time.monotonic() - began)


def _lateness(scratch: Path, options: argparse.Namespace) -> str:
    rows = []
    with Nginx() as nginx:
        script = scratch / "script.json"
        rate = {"mode": "constant", "rps": options.rate, "duration": LOAD_S}
        step = {"method": "get", "request_url": nginx.url, "assertions": [{"type": "status_code", "value": 200}]}
        detail = {"user": "fast_http_user", "engine": "native"}
        script.write_text(json.dumps([["LD_start_test", {"user_detail_dict": detail, "rate": rate, "tasks": [step]}]]))
        late: dict[int, list[float]] = {0: [], options.viewers: []}
        for _ in range(options.rounds):
            for number, found in late.items():
                found.append(_p99_ms(scratch / "loads", script, number))
    for number, found in late.items():
        rows.append([str(number), f"{statistics.median(found):.2f} ms", f"{min(found):.2f} to {max(found):.2f} ms"])
    text = table(["viewers", "p99 lateness, median", "spread"], rows)
    return f"{text}\n\n{options.rate:,.0f} requests per second for {LOAD_S:g} s by `loadflow run --live`; {options.rounds} rounds in turns."


def _p99_ms(runs_dir: Path, script: Path, number: int) -> float:
    own = [os.sched_getaffinity(0), {1}]
    command = ["taskset", "-c", "0", sys.executable, "-m", "loadflow", "run", "--live", "--direct", str(script)]
    env = {**os.environ, "LOADFLOW_RUNS_DIR": str(runs_dir)}
    with subprocess.Popen(command, env=env, cwd=script.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://127[^\s#]+", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        os.sched_setaffinity(0, own[1])
        try:
            with Viewers(address, number):
                process.wait(LOAD_S + 60)
        finally:
            os.sched_setaffinity(0, own[0])
    hits = Run.open(runs_dir / urlsplit(address).path.split("/")[1]).hits()
    return float(np.quantile((hits["start_ns"] - hits["due_ns"]) / 1e6, 0.99))


@contextmanager
def _server(runs_dir: Path) -> Iterator[tuple[psutil.Process, str]]:
    """`loadflow reports serve`, and the address of the run's page; it says where it is once it listens."""
    command = [sys.executable, "-m", "loadflow", "reports", "serve", "--runs-dir", str(runs_dir), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
            _get(address)  # so that it answers already
            yield psutil.Process(process.pid), f"{address}/{RUN}/report.html"
        finally:
            process.terminate()


@contextmanager
def _growing(path: Path, lines: Sequence[str], second: int) -> Iterator[None]:
    """A line each second from `second` on, as a load writes them."""
    over = threading.Event()
    path.write_text("".join(lines[:second]))

    def grow() -> None:
        for line in lines[second:]:
            if over.wait(1.0):
                return
            with path.open("a") as file:
                file.write(line)

    thread = threading.Thread(target=grow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _build(folder: Path, seconds: int) -> list[str]:
    sys.path.insert(0, str(ROOT))
    from tests.builders import build_run, facts, make_rows

    total = seconds + 1_800  # more than it takes
    own = facts(id=RUN, folder=str(folder), planned_s=float(total))
    run = build_run(folder, make_rows(total * HITS_PER_S, seconds=total), run_facts=own, cut_off=True)
    with contextlib.suppress(FileNotFoundError):
        (run.folder / "hits-0.bin").unlink()
    return (run.folder / "snapshots.ndjson").read_text().splitlines(keepends=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="that are on disk when somebody comes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--window", type=float, default=30.0, help="seconds over which CPU time is counted")
    parser.add_argument("--rate", type=float, default=20_000.0, help="of the load that must not become late; 0 leaves it out")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
