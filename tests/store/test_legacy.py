"""Databases of LoadDensity: listed and fetched, never changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from loadflow import fetch_run_records, list_runs
from loadflow.engine.store.place import place_of
from loadflow.engine.store.read import stored_totals
from loadflow.engine.store.write import persist
from loadflow.errors import CommandError
from tests.builders import build_run, make_rows

SCHEMA = """
CREATE TABLE load_density_runs(id INTEGER PRIMARY KEY AUTOINCREMENT, started_at TEXT NOT NULL, label TEXT, metadata_json TEXT);
CREATE TABLE load_density_records(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES load_density_runs(id) ON DELETE CASCADE,
    outcome TEXT NOT NULL, method TEXT, test_url TEXT, name TEXT, status_code TEXT,
    response_time_ms REAL, response_length INTEGER, error TEXT);
CREATE INDEX idx_records_run_id ON load_density_records(run_id);
CREATE INDEX idx_records_name ON load_density_records(name);
"""
RUNS = [(1, "2026-01-02T03:04:05+00:00", "nightly", '{"commit": "4f2a"}'), (2, "2026-01-03T03:04:05+00:00", None, "{}")]
KEYS = ("outcome", "method", "test_url", "name", "status_code", "response_time_ms", "response_length", "error")
RECORDS = [
    ("success", "GET", "http://a/", "home", "200", 12.5, 300, None),
    ("success", "WS", "ws://a/", "ping", None, 1.5, 4, None),
    ("failure", "GET", "http://a/", "home", "503", 7.0, 0, "status 503"),
]


@pytest.fixture
def old(tmp_path: Path) -> str:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMA)
        database.executemany("INSERT INTO load_density_runs VALUES (?, ?, ?, ?)", RUNS)
        for number, record in enumerate(RECORDS, start=1):
            database.execute("INSERT INTO load_density_records VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?)", (number, *record))
    database.close()
    return str(path)


def test_runs_are_listed_newest_first(old: str) -> None:
    first, second = (dict(zip(("id", "started_at", "label", "metadata_json"), run, strict=True)) for run in RUNS)
    assert list_runs(old) == [second, first]
    assert list_runs(old, limit=1) == [second]
    assert list_runs(old, limit=-1) == [second, first]


def test_records_have_the_keys_of_ours_with_none_for_what_was_not_kept(old: str) -> None:
    found = fetch_run_records(old, 1)
    assert [tuple(record[key] for key in KEYS) for record in found] == RECORDS
    own = {"outcome_kind", "started_at", "ended_at", "due_ms", "service_time_ms", "sent_bytes", "user", "flags"}
    own |= {"ttfb_ms", "dns_ms", "connect_ms", "tls_ms", "send_ms"}
    assert all({record[key] for key in own} == {None} and {*record} == own | {*KEYS} for record in found)
    assert fetch_run_records(old, 2) == []


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"name": "home"}, [0, 2]),
        ({"outcome": "failure"}, [2]),
        ({"name": "home", "outcome": "success"}, [0]),
        ({"limit": 2}, [0, 1]),
        ({"offset": 1}, [1, 2]),
        ({"limit": 1, "offset": 1}, [1]),
    ],
    ids=str,
)
def test_filters_and_pages_work(old: str, filters: dict[str, object], kept: list[int]) -> None:
    everything = fetch_run_records(old, 1)
    assert fetch_run_records(old, 1, **filters) == [everything[number] for number in kept]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run_id", "filters", "said"),
    [
        (1, {"since": 3}, "kept no times of hits"),
        (1, {"outcome": "timeout"}, "kept no kinds of failure"),
        (9, {}, "holds no run 9"),
    ],
    ids=str,
)
def test_what_it_did_not_keep_can_not_be_asked_for(old: str, run_id: int, filters: dict[str, object], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        fetch_run_records(old, run_id, **filters)  # type: ignore[arg-type]


def test_it_is_never_changed(old: str, tmp_path: Path) -> None:
    """Not by reading, and not by an attempt to store into it."""
    before = Path(old).read_bytes()
    list_runs(old)
    fetch_run_records(old, 1)
    with pytest.raises(CommandError, match=r"old\.db is a database of LoadDensity, which is read but never changed; store into a new"):
        persist(place_of(old, None), [build_run(tmp_path / "run", make_rows(10))])
    with pytest.raises(CommandError, match="kept no counts"):
        stored_totals(place_of(old, None), 1)
    assert Path(old).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.db", "run"]
