"""The native core beside wrk: the same target, the same request, in turns.

Generator (engine, supervisor and parent) on core 0, nginx on core 1. The rate is nginx's own count over a window in the middle of
each run. On a machine that others use too, rates go up and down together, so what counts is the median of the rounds' ratios;
and the time of a core that one request takes, which hardly depends on the others: user and system time of the process that sends.

    python -m benchmarks.native [--rounds 5] [--window 5] [--connections 50 1000 10000] [--write]
    python -m benchmarks.native --http2 [--connections 10] [--streams 10]

With --http2 the tool beside it is h2load, and on each connection there are so many requests at once.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

SETTLE_S = 2.5  # until all users are there

NEVER_ANSWERED = """

Failed: requests that were never answered, on connections that nginx never saw, because its queue of new ones (4,096) was full when
so many came at once. wrk does not tell of them.
"""
LOAD = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
given = json.loads(sys.argv[1])
with use_session(Session(runs_dir=given.pop("folder"))):
    detail = {"user": "fast_http_user", "engine": "native", **given.pop("detail")}
    summary = start_test(detail, spawn_rate=5_000, **given)
print("recorded", summary["totals"]["requests"], "failed", summary["totals"]["failures"])
"""
STATUS = {"type": "status_code", "value": 200}
STATIC = [{"method": "get", "request_url": "/", "assertions": [STATUS]}]
# a log in, values from its answer, templates in URL, header and JSON body, two assertions
SCRIPT = [
    {"method": "post", "request_url": "/login", "json": {"user": "u${uuid()}"}, "skip_if": "${session.id}", "name": "log in",
     "extract": [{"var": "id", "path": "id", "scope": "session"}]},
    {"method": "post", "request_url": "/items/${session.id}?n=${randint(1,9)}", "name": "item",
     "headers": {"Authorization": "Bearer ${session.id}"}, "json": {"id": "${session.id}", "at": "${now()}", "note": "n ${n}"},
     "extract": [{"var": "n", "path": "id"}], "assertions": [STATUS, {"type": "json_path", "path": "name", "value": "benchmark"}]},
]  # fmt: skip


def main() -> None:
    options = _options()
    other, package = ("h2load", "nghttp2-client") if options.http2 else ("wrk", "wrk")
    if shutil.which(other) is None:
        raise SystemExit(f"this benchmark compares with {other}: apt-get install {package}")
    rows = []
    with tempfile.TemporaryDirectory() as folder, Nginx(http2=options.http2) as nginx:
        for connections in options.connections or ([10] if options.http2 else [50, 1_000, 10_000]):
            found: dict[str, list[Measured]] = {}
            for number in range(options.rounds):
                for name, command in commands(nginx, connections, options, folder).items():
                    measured = measure(nginx, command, options.window)
                    found.setdefault(name, []).append(measured)
                    print(f"{connections} connections, round {number + 1}: {name}: {measured}", flush=True)
            rows += _rows(connections, found)
    heads = [
        "connections",
        "tool",
        "requests/s, median",
        "spread",
        f"ratio to {other}, median of rounds",
        "core time per request",
        "RSS",
        "failed",
    ]
    http2 = f" --http2 --streams {options.streams}" if options.http2 else ""
    publish(
        f"The native core beside {other}",
        f"python -m benchmarks.native{http2} --rounds {options.rounds} --window {options.window:g}",
        table(heads, rows) + ("" if all(row[-1] == "0" for row in rows) else NEVER_ANSWERED),
        write=options.write,
    )


class Measured:
    """One run, seen from outside."""

    def __init__(self, rate_per_s: float, core_us: float, rss_mib: float, said: str) -> None:
        self.rate_per_s = rate_per_s
        self.core_us = core_us
        self.rss_mib = rss_mib
        # our own line; wrk has one only if something failed, and K9 one of its checks; h2load has its number before the word
        words = r"(?:\b(?:failed|connect|read|write|timeout|responses:)|\bchecks\.+: .* ✗) (\d+)|(\d+) failed,"
        self.failed = sum(int(one or other) for one, other in re.findall(words, said))

    def __str__(self) -> str:
        return f"{self.rate_per_s:,.0f}/s, {self.core_us:.2f} µs of a core each, {self.rss_mib:.0f} MiB, {self.failed} failed"


def commands(nginx: Nginx, connections: int, options: argparse.Namespace, folder: str) -> dict[str, list[str]]:
    """The tool beside ours first."""
    seconds = options.window + SETTLE_S + 4
    given: dict[str, Any] = {"folder": folder, "host": nginx.url, "user_count": connections, "test_time": seconds, "detail": {}}
    pin = ["taskset", "-c", "0"]
    native = [*pin, sys.executable, "-c", LOAD]
    if options.http2:
        users, streams = connections * options.streams, str(options.streams)
        shared = {**given, "user_count": users, "detail": {"http_version": 2, "streams": options.streams}}
        return {
            f"h2load -m {streams}": [*pin, "h2load", "-t1", f"-c{connections}", "-m", streams, f"-D{seconds:.0f}", nginx.url],
            "loadflow, one status assertion": [*native, json.dumps({**shared, "tasks": STATIC})],
            "loadflow, log in, templates, JSON": [*native, json.dumps({**shared, "tasks": SCRIPT, "variables": {"n": 0}})],
        }
    return {
        "wrk": [*pin, "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "20s", nginx.url],
        "loadflow, one status assertion": [*native, json.dumps({**given, "tasks": STATIC})],
        "loadflow, log in, templates, JSON": [*native, json.dumps({**given, "tasks": SCRIPT, "variables": {"n": 0}})],
    }


def measure(nginx: Nginx, command: list[str], window_s: float, *, begun: int = 2_000) -> Measured:
    """The window begins `SETTLE_S` after so many requests have been answered; asking nginx how many is one each time."""
    before = nginx.served()
    with tempfile.TemporaryFile() as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        while nginx.served() - before < begun:
            if process.poll() is not None:
                output.seek(0)
                raise SystemExit(f"{command[3]} ended early:\n{output.read().decode()[-2000:]}")
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        senders = senders_of(process.pid)
        cpu, first, started = _cpu_s(senders), nginx.served(), time.monotonic()
        time.sleep(window_s)
        served, took_s = nginx.served() - first, time.monotonic() - started
        core_us, rss_mib = (_cpu_s(senders) - cpu) / served * 1e6, sum(one.memory_info().rss for one in senders) / 2**20
        process.wait(120)
        output.seek(0)
        return Measured(served / took_s, core_us, rss_mib, output.read().decode())


def senders_of(pid: int) -> list[psutil.Process]:
    """The processes that send: wrk itself, or the engines among the parent's descendants."""
    parent = psutil.Process(pid)
    engines = [one for one in parent.children(recursive=True) if "loadflow.engine.entry.native" in one.cmdline()]
    return engines or [parent]


def _cpu_s(processes: list[psutil.Process]) -> float:
    """User and system time of all of them."""
    return sum(times.user + times.system for times in (one.cpu_times() for one in processes))


def _rows(connections: int, found: dict[str, list[Measured]]) -> list[list[str]]:
    others = [one.rate_per_s for one in next(iter(found.values()))]
    rows = []
    for name, measured in found.items():
        rates = [one.rate_per_s for one in measured]
        ratio = statistics.median(one / other for one, other in zip(rates, others, strict=True))
        core_us = statistics.median(one.core_us for one in measured)
        rss = max(one.rss_mib for one in measured)
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        median = f"{statistics.median(rates):,.0f}"
        rows.append(
            [
                f"{connections:,}",
                name,
                median,
                spread,
                f"{ratio:.2f}",
                f"{core_us:.2f} µs",
                f"{rss:.0f} MiB",
                f"{sum(one.failed for one in measured):,}",
            ]
        )
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=5.0, help="seconds measured in each run")
    parser.add_argument("--connections", type=int, nargs="+", help="50, 1,000 and 10,000; with --http2: 10")
    parser.add_argument("--http2", action="store_true", help="HTTP/2, beside h2load")
    parser.add_argument("--streams", type=int, default=10, help="with --http2: requests at once on a connection")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
