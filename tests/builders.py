"""Makes run folders from synthetic hits, quickly: whole hit logs with numpy, the rest through the package's own writers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import HIT_DTYPE, HitLogWriter, Rows
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.names import NameWriter, printable
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run, SnapshotLog
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import RunFacts
from loadflow.engine.records.totals import Totals

__all__ = ["STARTED_UNIX_S", "Failure", "build_run", "deal", "facts", "make_rows"]

STARTED_UNIX_S = 1_790_000_000.0


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure that synthetic hits can end with; `sample` is kept once for each series that has it."""

    outcome: Outcome
    text: str
    status: int = 0
    sample: dict[str, Any] | None = None


STATUS_503 = Failure(Outcome.STATUS, "status 503", 503)


def facts(**changes: Any) -> RunFacts:
    known: dict[str, Any] = {
        "id": "20260921-141320-smoke-1f2e3d4c",
        "label": "smoke",
        "script": "examples/shop.json",
        "folder": "loadflow-runs/20260921-141320-smoke-1f2e3d4c",
        "protocol": "fast_http_user",
        "engine": "locust",
        "target": "http://shop.test:8080",
        "users": 50,
        "planned_s": 30.0,
        "started_unix_s": STARTED_UNIX_S,
        "plan": {"user_count": 50, "spawn_rate": 10, "test_time": 30},
        "environment": {"loadflow": "0.1.0", "python": "3.11.7", "machine": "2 cores"},
    }
    return RunFacts(**{**known, **changes})


def make_rows(
    hits: int,
    *,
    seconds: float = 30.0,
    series: int = 3,
    failure_rate: float = 0.01,
    failures: int = 1,
    arrival_rate: bool = False,
    users: int = 50,
    seed: int = 1,
    steady: bool = False,
) -> Rows:
    """Rows in the order they ended; hits of later series are slower, and unless `steady` all are slower in the middle of the run.

    Error ids are 1 to `failures`; `build_run` writes the texts and outcomes that belong to them.
    """
    random = np.random.default_rng(seed)
    rows = np.zeros(hits, dtype=HIT_DTYPE)
    rows["end_ns"] = np.sort(random.uniform(0.02, seconds, hits) * 1e9).astype(np.int64)
    rows["series"] = random.integers(0, series, hits)
    bump = 1 + (not steady) * np.exp(-(((rows["end_ns"] / 1e9 - seconds / 2) / (seconds / 12)) ** 2))
    service_ns = random.lognormal(np.log(8e6), 0.5, hits) * (1 + rows["series"] % 8 / 2) * bump
    rows["start_ns"] = np.maximum(rows["end_ns"] - service_ns.astype(np.int64), 0)
    waits = random.exponential(200_000, hits).astype(np.int64) if arrival_rate else 0
    rows["due_ns"] = np.maximum(rows["start_ns"] - waits, 0)
    rows["user"] = random.integers(0, users, hits)
    rows["sent_bytes"] = 180
    rows["received_bytes"] = random.integers(300, 4000, hits)
    failed = random.random(hits) < failure_rate
    rows["error"] = np.where(failed, random.integers(1, failures + 1, hits), 0)
    rows["status"] = np.where(failed, 503, 200)
    rows["outcome"] = np.where(failed, int(Outcome.STATUS), int(Outcome.OK))
    return rows


def build_run(
    folder: Path,
    rows: Rows | None = None,
    *,
    names: Sequence[tuple[str, str]] = (("GET", "/items"), ("POST", "/login"), ("GET", "/search")),
    failures: Sequence[Failure] = (STATUS_503,),
    end: RunEnd | None = None,
    cut_off: bool = False,
    totals: bool = True,
    stored_seconds: int | None = None,
    max_failure_rate: float = 0.0,
    run_facts: RunFacts | None = None,
    health: Health | None = None,
    passes: Passes | None = None,
) -> Run:
    """A run folder as an engine would leave it.

    `cut_off`: no end.json, no totals.json, no summary.json. `totals` False: removes totals.json from a finished run.
    `stored_seconds`: how many snapshots are kept; None: all. `passes`: those of each second that has hits.
    """
    rows = make_rows(3_000) if rows is None else rows.copy()
    folder.mkdir(parents=True, exist_ok=True)
    own_facts = run_facts or facts(folder=str(folder))
    run = Run.create(folder, own_facts, shards=1, max_failure_rate=max_failure_rate)
    _write_names(run, names, failures)
    for number, failure in enumerate(failures, start=1):
        rows["outcome"][rows["error"] == number] = int(failure.outcome)
        rows["status"][rows["error"] == number] = failure.status
    _write_log(run.hits_path(0), rows)
    counted = _write_seconds(run, rows, own_facts, stored_seconds, health, passes)
    _write_samples(run, rows, names, failures)
    if not cut_off:
        run.finish(counted, end or RunEnd(EndReason.COMPLETED, "", own_facts.planned_s, own_facts.planned_s or 0.0))
        if not totals:
            (folder / "totals.json").unlink()
    return Run.open(folder)


def _write_names(run: Run, names: Sequence[tuple[str, str]], failures: Sequence[Failure]) -> None:
    writer = NameWriter(run.names_path(0))
    for method, name in names:
        writer.series(method, name)
    for failure in failures:
        writer.error(int(failure.outcome), failure.text)
    writer.close()


def _write_log(path: Path, rows: Rows) -> None:
    HitLogWriter(path, shard=0, origin_unix_ns=int(STARTED_UNIX_S * 1e9), origin_monotonic_ns=0).close()
    with path.open("ab") as file:
        rows.tofile(file)


def _write_seconds(
    run: Run, rows: Rows, own_facts: RunFacts, stored_seconds: int | None, health: Health | None, passes: Passes | None
) -> Totals:
    counted = Totals()
    log = SnapshotLog(run)
    table = run.names()
    for start in range(0, len(rows), 1_000_000):
        # a second that lies in two chunks gets two lines, as a run of two processes would have it
        for second, delta in sorted(fold_rows(rows[start : start + 1_000_000], table).items()):
            delta.passes = replace(passes) if passes else Passes()
            counted.merge(delta)
            if stored_seconds is None or second < stored_seconds:
                users = min(own_facts.users, (second + 1) * 10)
                own = health or Health(users=users, in_flight=users, cpu=0.4, lag_ms=1.5, rss_bytes=90_000_000, open_files=60)
                log.append(Snapshot(second, own_facts.started_unix_s + second + 1, delta, own, own_facts.planned_s))
    log.close()
    return counted


def _write_samples(run: Run, rows: Rows, names: Sequence[tuple[str, str]], failures: Sequence[Failure]) -> None:
    with run.samples_path(0).open("w", encoding="utf-8") as file:
        for number, failure in enumerate(failures, start=1):
            if failure.sample is None:
                continue
            for series in np.unique(rows["series"][rows["error"] == number]).tolist():
                method, name = (printable(text) for text in names[series])
                entry = {
                    "method": method,
                    "name": name,
                    "outcome": int(failure.outcome),
                    "error": failure.text,
                    "sample": failure.sample,
                }
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def deal(run: Run, shards: int) -> Run:
    """The same hits as so many engine processes would leave them: dealt out in turn, and each numbers names and texts in its own order."""
    rows, names = np.array(run.hits()), run.names()
    for shard in range(shards):
        mine = rows[shard::shards]
        for path in (run.names_path(shard), run.hits_path(shard)):
            path.unlink(missing_ok=True)
        writer = NameWriter(run.names_path(shard))
        turned = sorted(names.series)[shard:] + sorted(names.series)[:shard]
        series = {number: writer.series(names.series[number].method, names.series[number].name) for number in turned}
        errors = {number: writer.error(int(text.outcome), text.text) for number, text in sorted(names.errors.items(), reverse=True)}
        mine["series"] = [series[number] for number in mine["series"].tolist()]
        mine["error"] = [errors[number] if number else 0 for number in mine["error"].tolist()]
        writer.close()
        _write_log(run.hits_path(shard), mine)
    plan = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**plan, "shards": shards}))
    return Run.open(run.folder)
