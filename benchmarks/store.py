"""How fast runs are stored and fetched: hits per second into SQLite and PostgreSQL, and back, with the size on disk.

    python -m benchmarks.store [--rounds 3] [--write]

A persist is timed whole, as the command does it: connection, making the tables, reading the hit log, writing every table,
commit. A fetch is timed over `iter_run_records`, one dict per hit, for the first million. Each in a process of its own; medians
of all rounds. Where other work shares the cores, the rate per second of CPU time says what the code takes.
PostgreSQL is Debian's, as it comes, on the same machine; without it, its rows are left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.report_1m import NAMES
from benchmarks.results import publish, table
from tests.builders import build_run, facts, make_rows
from tests.services import PostgreSQL

FETCHED = 1_000_000
FLOOR = 300_000  # hits per second into SQLite: what was asked for

PERSIST = """
import json, sys, time
from loadflow import Run, Session, persist_records, use_session
import loadflow.engine.store.migrate, loadflow.engine.store.write
with use_session(Session()) as session:
    session.keep(Run.open(sys.argv[1]))
    began, cpu = time.perf_counter(), time.process_time()
    persist_records(url=sys.argv[2])
    ended = time.perf_counter()
status = open("/proc/self/status").read()
print(json.dumps({"s": ended - began, "cpu_s": time.process_time() - cpu, "peak_mb": int(status.split("VmHWM:")[1].split()[0]) / 1e3}))
"""
FETCH = """
import json, sys, time
from loadflow import iter_run_records
import loadflow.engine.store.read
began, cpu = time.perf_counter(), time.process_time()
hits = sum(1 for _ in iter_run_records(url=sys.argv[2], run_id=1, limit=1_000_000))
ended = time.perf_counter()
status = open("/proc/self/status").read()
assert hits == 1_000_000
print(json.dumps({"s": ended - began, "cpu_s": time.process_time() - cpu, "peak_mb": int(status.split("VmHWM:")[1].split()[0]) / 1e3}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        runs = {hits: _build(Path(scratch) / str(hits), hits) for hits in (1_000_000, 5_000_000)}
        for hits, folder in runs.items():
            rows.append(_measure(f"SQLite, {hits / 1e6:.0f} million", hits, folder, _Sqlite(Path(scratch)), options.rounds))
        server = _postgresql()
        if server is not None:
            try:
                rows.append(_measure("PostgreSQL, 1 million", 1_000_000, runs[1_000_000], _Postgresql(server), options.rounds))
            finally:
                server.close()
    header = [
        "database, hits",
        "stored/s, median",
        "spread",
        "per CPU s",
        "peak RSS MB",
        "fetched/s, median",
        "spread",
        "peak RSS MB",
        "size MB",
    ]
    slowest, per_cpu_s = (min(float(row[column].replace(",", "")) for row in rows[:2]) for column in (1, 3))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    verdict = (
        f"SQLite takes {slowest:,.0f} hits/s or more ({per_cpu_s:,.0f} per second of CPU time); asked for: {FLOOR:,}. "
        f"Load averages at the end, over 1, 5 and 15 minutes: {load}."
    )
    publish(
        "Store: hits into SQLite and PostgreSQL, and back",
        _command(options.rounds),
        f"{table(header, rows)}\n\n{verdict}",
        write=options.write,
    )


def _command(rounds: int) -> str:
    return f"python -m benchmarks.store --rounds {rounds}"


def _measure(label: str, hits: int, folder: Path, database: _Sqlite | _Postgresql, rounds: int) -> list[str]:
    stored, fetched = [], []
    for number in range(rounds):
        url = database.new()
        stored.append(_run(PERSIST, str(folder), url))
        fetched.append(_run(FETCH, "", url))
        print(
            f"{label}, round {number + 1}: stored {hits / stored[-1]['s']:,.0f}/s, fetched {FETCHED / fetched[-1]['s']:,.0f}/s", flush=True
        )
    rates = [[count / one["s"] for one in found] for count, found in ((hits, stored), (FETCHED, fetched))]
    medians = [f"{statistics.median(found):,.0f}" for found in rates]
    spreads = [f"{min(found):,.0f} to {max(found):,.0f}" for found in rates]
    peaks = [f"{max(one['peak_mb'] for one in found):.0f}" for found in (stored, fetched)]
    per_cpu_s = f"{statistics.median(hits / one['cpu_s'] for one in stored):,.0f}"
    return [label, medians[0], spreads[0], per_cpu_s, peaks[0], medians[1], spreads[1], peaks[1], f"{database.size_mb():.0f}"]


class _Sqlite:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "runs.db"

    def new(self) -> str:
        self._path.unlink(missing_ok=True)
        os.sync()  # what earlier rounds left to be written is not this one's
        return f"sqlite:///{self._path}"

    def size_mb(self) -> float:
        return self._path.stat().st_size / 1e6


class _Postgresql:
    def __init__(self, server: PostgreSQL) -> None:
        self._server = server

    def new(self) -> str:
        self._ask("DROP DATABASE IF EXISTS store")
        self._ask("CREATE DATABASE store")
        os.sync()
        return self._server.url("store")

    def size_mb(self) -> float:
        return float(self._ask("SELECT pg_database_size('store')")) / 1e6

    def _ask(self, sql: str) -> int:
        import psycopg

        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            found = cursor.fetchone() if cursor.description else None
            return int(found[0]) if found else 0


def _postgresql() -> PostgreSQL | None:
    try:
        return PostgreSQL()
    except pytest.skip.Exception as reason:
        print(f"left out: {reason}")
        return None


def _build(folder: Path, hits: int) -> Path:
    build_run(
        folder, make_rows(hits, seconds=600.0, series=len(NAMES)), names=NAMES, run_facts=facts(planned_s=600.0), max_failure_rate=0.05
    )
    return folder


def _run(code: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
