"""One loop of the native core beside two: what a request costs the engine in core time, with the same load.

Near-linear means that this cost stays: no lock, no counter and no buffer is shared between the loops. It can be seen on a machine of
two cores, where the rate itself can't double, because the target needs a core too. Each loop has 100 users; a rate of its own asks
of each loop what one core makes with ease, so that neither target nor generator waits for a core.

    python -m benchmarks.native_threads [--rounds 5] [--window 4] [--rate 15000] [--write]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile

from benchmarks.native import SETTLE_S, STATUS, Measured, measure
from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

LOAD = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
given = json.loads(sys.argv[1])
with use_session(Session(runs_dir=given.pop("folder"))):
    summary = start_test({"user": "fast_http_user", "engine": "native"}, **given)
print("recorded", summary["totals"]["requests"], "failed", summary["totals"]["failures"])
"""


def main() -> None:
    options = _options()
    found: dict[int, list[Measured]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        for number in range(options.rounds):
            for threads, measured in found.items():
                rate = {"mode": "constant", "rps": options.rate * threads, "duration": options.window + SETTLE_S + 4}
                tasks = [{"method": "get", "request_url": nginx.url, "assertions": [STATUS]}]
                given = {"folder": folder, "threads": threads, "rate": rate, "max_in_flight": 100 * threads, "tasks": tasks}
                measured.append(measure(nginx, [sys.executable, "-c", LOAD, json.dumps(given)], options.window))
                print(f"{threads} threads, round {number + 1}: {measured[-1]}", flush=True)
    rows = [
        [
            str(threads),
            f"{statistics.median(one.rate_per_s for one in measured):,.0f}",
            f"{statistics.median(one.core_us for one in measured):.2f} µs",
            f"{max(one.rss_mib for one in measured):.0f} MiB",
            f"{sum(one.failed for one in measured):,}",
        ]
        for threads, measured in found.items()
    ]
    ratio = statistics.median(two.core_us / one.core_us for one, two in zip(found[1], found[2], strict=True))
    text = table(["threads", "requests/s", "core per request", "RSS", "failed"], rows)
    text += f"\n\nA request of two threads costs {ratio:.2f} of what one of one thread costs (median of rounds)."
    command = f"python -m benchmarks.native_threads --rounds {options.rounds} --rate {options.rate:g}"
    publish("The native core with two threads", command, text, write=options.write)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=4.0, help="seconds measured in each run")
    parser.add_argument("--rate", type=float, default=15_000.0, help="requests per second of each thread")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
