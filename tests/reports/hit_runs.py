"""Runs for the record reports: a tiny one whose every number is known, and one of several engine processes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from loadflow.engine.records.hitlog import HIT_DTYPE, HitLogWriter, Rows
from loadflow.engine.records.judge import RunEnd
from loadflow.engine.records.names import NameWriter
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reports.csv_report import write_csv_report
from loadflow.engine.reports.json_report import write_json_report
from loadflow.engine.reports.xml_report import write_xml_report
from tests.builders import STARTED_UNIX_S, Failure, build_run, facts

__all__ = ["csv_rows", "json_pair", "rows_of", "run_of_shards", "tiny_run", "xml_pair"]

PLAN = {
    "host": "http://shop.test:8080",
    "steps": [
        {"method": "GET", "request_url": "/items?full=1", "name": None},
        {"method": "POST", "request_url": "http://me:pw@login.test/login", "name": "login"},
    ],
}


def rows_of(*hits: dict[str, int]) -> Rows:
    """Rows with what is given in each; a hit is due when it starts unless it says otherwise."""
    rows = np.zeros(len(hits), dtype=HIT_DTYPE)
    for row, hit in zip(rows, hits, strict=True):
        for key, value in {"due_ns": hit.get("start_ns", 0), **hit}.items():
            row[key] = value
    return rows


def tiny_run(folder: Path, end: RunEnd | None = None, **changes: Any) -> Run:
    """Three hits: a GET, a login that is tried again after a 503, and the attempt that then succeeds late."""
    rows = rows_of(
        {"start_ns": 1_000_000, "end_ns": 13_345_678, "series": 0, "user": 3, "sent_bytes": 180, "received_bytes": 420, "status": 200},
        {
            "start_ns": 2_000_000,
            "end_ns": 1_502_000_000,
            "series": 1,
            "user": 4,
            "error": 1,
            "sent_bytes": 99,
            "flags": HitFlag.SUPERSEDED,
        },
        {
            "due_ns": 1_502_000_000,
            "start_ns": 1_600_000_000,
            "end_ns": 1_602_500_400,
            "series": 1,
            "user": 4,
            "sent_bytes": 99,
            "received_bytes": 12,
            "status": 204,
            "flags": HitFlag.RETRY | HitFlag.LATE,
        },
    )
    failures = [Failure(Outcome.STATUS, 'status 503, "busy"', 503, {"user": 4, "response": {"status": 503, "body": "<busy>"}})]
    own = facts(folder="runs/tiny", plan=PLAN)
    return build_run(folder, rows, names=[("GET", "/items"), ("POST", "login")], failures=failures, run_facts=own, end=end, **changes)


def run_of_shards(folder: Path, shards: list[Rows]) -> Run:
    """Each shard has names of its own, its series numbered like the others', and one error text."""
    run = build_run(folder, shards[0][:0], cut_off=True)
    data = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**data, "shards": len(shards)}))
    run = Run.open(folder)
    for shard, rows in enumerate(shards):
        for path in (run.hits_path(shard), run.names_path(shard)):
            path.unlink(missing_ok=True)
        names = NameWriter(run.names_path(shard))
        for number in range(3):
            names.series("GET", f"/{shard}/{number}")
        names.error(int(Outcome.TIMEOUT), f"shard {shard} timed out")
        names.close()
        HitLogWriter(run.hits_path(shard), shard=shard, origin_unix_ns=int(STARTED_UNIX_S * 1e9), origin_monotonic_ns=0).close()
        with run.hits_path(shard).open("ab") as file:
            rows.tofile(file)
    return run


def csv_rows(*runs: Run, folder: Path) -> list[dict[str, str]]:
    path = write_csv_report(runs, folder / "made" / "hits.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    shutil.rmtree(path.parent)
    return rows


def json_pair(*runs: Run, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    paths = write_json_report(runs, folder / "made" / "s.json", folder / "made" / "f.json")
    success, failure = (json.loads(path.read_bytes()) for path in paths)
    return success, failure


def xml_pair(*runs: Run, folder: Path) -> tuple[bytes, bytes]:
    success, failure = write_xml_report(runs, folder / "made" / "s.xml", folder / "made" / "f.xml")
    return success.read_bytes(), failure.read_bytes()
