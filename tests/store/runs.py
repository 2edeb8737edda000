"""Runs for the store's tests: of several processes, cut off anywhere, and what their hits look like when fetched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loadflow.engine.records.hitlog import HitLogWriter, Rows
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.names import NameWriter
from loadflow.engine.records.run import Run
from loadflow.engine.store.filters import filters_of
from loadflow.engine.store.place import Place, place_of
from loadflow.engine.store.read import records
from loadflow.engine.store.write import persist
from tests.builders import STARTED_UNIX_S, facts

ORIGIN_NS = int(STARTED_UNIX_S * 1e9)


def fetch(place: Place, run_id: int = 1, **filters: Any) -> list[dict[str, Any]]:
    return list(records(place, run_id, filters_of(**filters)))


def run_of_processes(
    folder: Path, logs: Sequence[Rows], names: Sequence[Sequence[tuple[str, str]]], errors: Sequence[Sequence[tuple[int, str]]] = ()
) -> Run:
    """One hit log for each process, with its own names and errors, and no snapshots."""
    folder.mkdir(parents=True)
    run = Run.create(folder, facts(folder=str(folder)), shards=len(logs), max_failure_rate=1.0)
    for shard, rows in enumerate(logs):
        HitLogWriter(run.hits_path(shard), shard=shard, origin_unix_ns=ORIGIN_NS, origin_monotonic_ns=0).close()
        with run.hits_path(shard).open("ab") as file:
            rows.tofile(file)
        writer = NameWriter(run.names_path(shard))
        for method, name in names[shard]:
            writer.series(method, name)
        for outcome, text in errors[shard] if errors else ():
            writer.error(outcome, text)
        writer.close()
    run.finish(run.fold(), RunEnd(EndReason.COMPLETED, "", 30.0, 30.0))
    return Run.open(folder)


def persist_here(url: str, folder: str) -> list[int]:
    """For a process of its own."""
    return persist(place_of(None, url), [Run.open(folder)])


def at(since_origin_ns: int) -> str:
    moment = datetime.fromtimestamp(STARTED_UNIX_S, UTC) + timedelta(microseconds=since_origin_ns // 1000)
    return moment.isoformat(timespec="microseconds")
