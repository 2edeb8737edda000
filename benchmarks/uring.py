"""Would io_uring make the core faster? The bare loop of TCP echo by epoll beside the same by io_uring, against one server.

    python -m benchmarks.uring [--rounds 7] [--window 2] [--write]

Both are programs of `benchmarks/echo`: `bare tcp` and `uring`, once with a read submitted for each exchange, and once with reads that
are submitted once for a connection (multishot, into buffers of the ring). Client on core 0, server on core 1; rates are the server's
count in a window within the run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.protocols.measure import Failed, Run, Tool, measure, seconds_for
from benchmarks.protocols.servers import program, serving
from benchmarks.results import publish, spread, table

CONNECTIONS = (50, 1000)
EPOLL = "epoll"
KINDS = {EPOLL: ("bare", "tcp"), "io_uring, a read for each exchange": ("uring", "each"), "io_uring, multishot": ("uring", "multishot")}
ASKED = 1.15


def main() -> None:
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory() as folder, serving("tcp") as server:
        for connections in CONNECTIONS:
            found: dict[str, list[Run]] = {kind: [] for kind in KINDS}
            for _ in range(options.rounds):
                seconds = seconds_for(options.window, server)
                rest = (f"127.0.0.1:{server.port}", f"{seconds}", str(connections))
                tools = [Tool(kind, [program(name), how, *rest], tells=True) for kind, (name, how) in KINDS.items()]
                try:
                    runs = [measure(tool, server, options.window, Path(folder)) for tool in tools]
                except Failed as failed:
                    print(f"a round is left out: {failed}", flush=True)
                    continue
                for tool, run in zip(tools, runs, strict=True):
                    found[tool.name].append(run)
            for kind, runs in found.items():
                pairs = list(zip(runs, found[EPOLL], strict=True))
                by_time = [ours.rate_per_s / theirs.rate_per_s for ours, theirs in pairs]
                by_cpu = [ours.per_cpu_s / theirs.per_cpu_s for ours, theirs in pairs]
                rates, per_cpu_s = [run.rate_per_s for run in runs], [run.per_cpu_s for run in runs]
                ratios = ["–", "–"] if kind == EPOLL else [spread(by_time, ".2f"), spread(by_cpu, ".2f")]
                rows.append([f"{connections:,}", kind, spread(rates, ",.0f"), spread(per_cpu_s, ",.0f"), *ratios])
                print(rows[-1], flush=True)
    heads = ["connections", "client", "exchanges/s", "per CPU second", "× epoll per s", "× per CPU s"]
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    said = f"Medians of {options.rounds} rounds and their spread; asked for: ≥ {ASKED} ×. Load averages at the end: {load}."
    ran = f"python -m benchmarks.uring --rounds {options.rounds} --window {options.window:g}"
    publish("io_uring beside epoll: the bare loop of TCP echo", ran, f"{table(heads, rows)}\n\n{said}", write=options.write)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--window", type=float, default=2.0, help="seconds measured in each run")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
