"""Exchanges per second of each protocol beside the tools that its users would take: the same peer, the same exchange.

    python -m benchmarks.protocols [--protocol websocket] [--rounds 5] [--window 3] [--without LoadDensity] [--write]
    python -m benchmarks.protocols --memory [--marks 1000000 10000000] [--write]

Tools on core 0 take turns in each round, against one server on core 1, and have 50 users (10 where a call takes 200 ms). The servers
are a small program of Rust (`benchmarks/echo`) or mosquitto, and count what they answer: that count is the rate of every tool, in a
window within its run, and what a tool says of itself must not be more. loadflow also checks and records every exchange, and is measured
on both of its engines. Where the server has no time left, tools wait for it, so what is compared too is the processor time that an
exchange takes a tool: exchanges per CPU second of all its processes, and of loadflow's also of the engine's alone.

Tools are looked for in PATH, ~/go/bin and benchmarks/.peers/bin; LoadDensity is installed into `benchmarks/.peers/` on first use.
`--memory`: resident memory of the core's process after so many hits.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.protocols.measure import Failed, Run, measure, seconds_for
from benchmarks.protocols.memory import memory
from benchmarks.protocols.servers import serving
from benchmarks.protocols.subjects import CORE, SUBJECTS, Load, Missing, Subject
from benchmarks.results import publish, spread, table

HEAD = ["tool", "exchanges/s", "per CPU second", "server's core", "the core × per s", "× per CPU s", "its engine × per CPU s", "asked"]


def main() -> None:
    options = _options()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if options.memory:
        whole = [name for name in SUBJECTS if name not in ("grpc, calls of 200 ms", "mqtt, QoS 1, mosquitto")]
        memory(options.protocol or whole, options.marks, options.write)
        return
    notes: dict[str, None] = {}
    for name in options.protocol or SUBJECTS:
        rows = compare(SUBJECTS[name], options, notes)
        said = "\n".join(f"- {note}" for note in notes)
        load = " ".join(f"{one:.1f}" for one in os.getloadavg())
        text = f"{table(HEAD, rows)}\n\nMedians of {options.rounds} rounds and their spread. Load averages at the end: {load}."
        command = f"python -m benchmarks.protocols --protocol '{name}' --rounds {options.rounds} --window {options.window:g}"
        command += "".join(f" --without '{tool}'" for tool in options.without)
        publish(f"Protocols: {name}", command, f"{text}\n\n{said}".rstrip(), write=options.write)
        notes.clear()


def compare(subject: Subject, options: argparse.Namespace, notes: dict[str, None]) -> list[list[str]]:
    """A row for each tool; what could not be measured is added to the notes."""
    found: dict[str, dict[int, Run]] = {}
    asked: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as written, serving(subject.server) as server:
        folder = Path(written)
        for name, text in subject.files.items():
            (folder / name).write_text(text)
        target = subject.target.format(port=server.port)
        load = Load(target, server.port, subject.users, seconds_for(options.window, server), folder)
        tools = []
        for make in subject.all_tools(load):
            try:
                tools.append(make())
            except Missing as missing:
                notes[f"Not here: {missing}."] = None
        tools = [tool for tool in tools if tool.name not in options.without]
        for number in range(options.rounds):
            for tool in tools:
                try:
                    run = measure(tool, server, options.window, folder)
                except Failed as failed:
                    notes[f"{tool.name}: {failed}."] = None
                    continue
                found.setdefault(tool.name, {})[number] = run
                asked[tool.name] = tool.asked
                print(f"{tool.name}: {run.rate_per_s:,.0f}/s, {run.per_cpu_s:,.0f} per CPU s, server {run.server_busy:.0%}", flush=True)
    return [_row(name, runs, found.get(CORE, {}), asked[name]) for name, runs in found.items()]


def _row(name: str, runs: dict[int, Run], core: dict[int, Run], asked: float | None) -> list[str]:
    """Ratios are of the two runs of a round."""
    rates, per_cpu_s = [run.rate_per_s for run in runs.values()], [run.per_cpu_s for run in runs.values()]
    busy = f"{statistics.median(run.server_busy for run in runs.values()):.0%}"
    pairs = [(core[number], run) for number, run in runs.items() if number in core and name != CORE]
    ratios = [
        [ours.rate_per_s / theirs.rate_per_s for ours, theirs in pairs],
        [ours.per_cpu_s / theirs.per_cpu_s for ours, theirs in pairs],
        [ours.engine_per_cpu_s / theirs.per_cpu_s for ours, theirs in pairs],
    ]
    shown = [spread(one, ".2f") if one else "–" for one in ratios]
    return [name, spread(rates, ",.0f"), spread(per_cpu_s, ",.0f"), busy, *shown, "" if asked is None else f"{asked:g}"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--protocol", action="append", choices=list(SUBJECTS), help="may be given several times; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=3.0, help="seconds measured in each run")
    parser.add_argument("--without", action="append", default=[], metavar="TOOL", help="leave a tool out, by its name in the table")
    parser.add_argument("--memory", action="store_true", help="measure the memory of the core instead")
    parser.add_argument("--marks", type=int, nargs="+", default=[1_000_000, 10_000_000], help="of --memory: after so many hits")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
