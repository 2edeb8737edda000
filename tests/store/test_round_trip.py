"""What is fetched is what was recorded, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.ids import Ids
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.totals import Totals
from loadflow.engine.store.connect import reading, writing
from loadflow.engine.store.filters import filters_of
from loadflow.engine.store.hits import ordered_hits
from loadflow.engine.store.migrations.versions.v0001_runs import VIEW as FIRST_VIEW
from loadflow.engine.store.place import Place, place_of
from loadflow.engine.store.read import records, stored_runs, stored_seconds, stored_summary, stored_totals
from loadflow.engine.store.write import persist
from tests.builders import STARTED_UNIX_S, Failure, build_run, facts, make_rows
from tests.examples import examples
from tests.store.conftest import new_database
from tests.store.runs import at, fetch, run_of_processes

NAMES = (("GET", "/items"), ("POST", "/login"), ("GET", "/search"))
TIMEOUT = Failure(Outcome.TIMEOUT, "no answer within 2 s")
PHASES_MS = ("dns_ms", "connect_ms", "tls_ms", "send_ms")
FULL = Failure(Outcome.STATUS, "status 503", 503)


def test_each_hit_comes_back_with_all_that_was_recorded(place: Place, tmp_path: Path) -> None:
    rows = make_rows(5000, failures=2, failure_rate=0.1, arrival_rate=True)
    rows["first_byte_ns"][10:] = rows["start_ns"][10:] + 1_500_001
    rows["dns_ms"][20:30], rows["connect_ms"][20:], rows["tls_ms"][40:50], rows["send_ms"][:] = 0.25, 1.5, 60_000, 0.001
    rows["flags"][:3] = HitFlag.RETRY, HitFlag.SUPERSEDED, HitFlag.RETRY | HitFlag.SUPERSEDED
    run = build_run(tmp_path / "run", rows, failures=(FULL, TIMEOUT))
    persist(place, [run])
    rows = run.hits()
    assert fetch(place) == [
        {
            "outcome": "failure" if row["outcome"] else "success",
            "method": NAMES[row["series"]][0],
            "test_url": NAMES[row["series"]][1],
            "name": NAMES[row["series"]][1],
            "status_code": str(row["status"]),
            "response_time_ms": (row["end_ns"] - row["due_ns"]) / 1e6,
            "response_length": row["received_bytes"],
            "error": {0: None, 1: "status 503", 2: "no answer within 2 s"}[row["error"]],
            "outcome_kind": {0: "ok", 1: "status", 2: "timeout"}[row["error"]],
            "started_at": at(row["start_ns"]),
            "ended_at": at(row["end_ns"]),
            "due_ms": row["due_ns"] / 1e6,
            "service_time_ms": (row["end_ns"] - row["start_ns"]) / 1e6,
            "sent_bytes": 180,
            "user": row["user"],
            "flags": {0: "", 1: "retry", 2: "superseded", 3: "retry superseded"}[row["flags"]],
            "ttfb_ms": (row["first_byte_ns"] - row["start_ns"]) / 1e6 if row["first_byte_ns"] else None,
            **{name: round(row[name] * 1000) / 1e3 or None for name in PHASES_MS},
        }
        for row in (dict(zip(rows.dtype.names or (), one, strict=True)) for one in rows.tolist())
    ]


def test_the_largest_values_of_the_log_fit(place: Place, tmp_path: Path) -> None:
    rows = np.zeros(1, dtype=HIT_DTYPE)
    for name in ("user", "sent_bytes", "received_bytes"):
        rows[name] = 2**32 - 1
    rows["end_ns"] = 10**18  # 31 years
    rows["status"] = 2**16 - 1
    rows["flags"] = 255 & ~HitFlag.EVENT
    persist(place, [run_of_processes(tmp_path / "run", [rows], [[("GET", "/")]])])
    (hit,) = fetch(place)
    assert (hit["user"], hit["sent_bytes"], hit["response_length"], hit["status_code"]) == (2**32 - 1, 2**32 - 1, 2**32 - 1, "65535")
    assert (hit["response_time_ms"], hit["ended_at"]) == (10**12, at(10**18))


def test_a_run_keeps_its_facts_verdict_numbers_and_metadata(place: Place, tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", max_failure_rate=0.5)
    assert persist(place, [run], metadata={"commit": "4f2a", "ä": [1, None]}) == [1]
    (row,) = stored_runs(place)
    overall = run.summary().overall
    told = {"id": 1, "run_key": run.facts.id, "label": "smoke", "script": "examples/shop.json", "target": "http://shop.test:8080"}
    told |= {"protocol": "fast_http_user", "engine": "locust", "verdict": "passed", "reasons": [], "users": 50, "planned_s": 30.0}
    told |= {"requests": 3000, "failures": overall.failures, "failure_rate": overall.failure_rate, "p99_ms": overall.latency.p99_ms}
    assert {name: row[name] for name in told} == told
    assert json.loads(row["metadata_json"]) == {"commit": "4f2a", "ä": [1, None]}
    assert stored_summary(place, 1) == json.loads(json.dumps(run.summary().to_json()))


def test_times_are_when_it_happened_in_utc(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    before = datetime.now(UTC)
    persist(place, [build_run(tmp_path / "run", end=RunEnd(EndReason.COMPLETED, "", 30.0, 31.5))])
    (row,) = stored_runs(place)
    assert row["started_at"] == "2026-09-21T14:13:20+00:00" == datetime.fromtimestamp(STARTED_UNIX_S, UTC).isoformat()
    assert row["ended_at"] == "2026-09-21T14:13:51.500000+00:00"
    assert before <= datetime.fromisoformat(row["stored_at"]) <= datetime.now(UTC)


def test_counts_and_histograms_come_back_ready_to_be_merged(place: Place, tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(2000, failures=2), failures=(FULL, TIMEOUT))
    persist(place, [run])
    expected = run.totals().to_json() | {"first_start_ns": None, "last_end_ns": None}
    found = stored_totals(place, 1).to_json()
    assert found["series"] == expected["series"]
    assert sorted(found["errors"], key=str) == sorted(expected["errors"], key=str)
    assert [one.to_json() for one in stored_seconds(place, 1)] == [one.to_json() for one in run.seconds()]


def test_seconds_that_a_cut_off_run_never_kept_are_made_from_its_hits(place: Place, tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", stored_seconds=20, cut_off=True)
    persist(place, [run])
    found = list(stored_seconds(place, 1))
    assert [one.second for one in found] == list(range(30))
    assert sum(one.succeeded.count + one.failed.count for one in found) == 3000
    assert [one.health.users for one in found[18:22]] == [50, 50, 0, 0]
    assert stored_runs(place)[0]["verdict"] == "interrupted"


def test_hits_of_several_processes_stand_in_one_order_under_their_own_names(place: Place, tmp_path: Path) -> None:
    first, second = make_rows(900, series=2, failure_rate=0, seed=1), make_rows(700, series=2, failure_rate=0, seed=2)
    second["error"][:10], second["outcome"][:10] = 1, Outcome.TIMEOUT
    names = [[("GET", "/a"), ("GET", "/b")], [("GET", "/b"), ("GET", "/c")]]
    run = run_of_processes(tmp_path / "run", [first, second], names, [[], [(Outcome.TIMEOUT, "late")]])
    persist(place, [run])
    hits = fetch(place)
    ends = [hit["ended_at"] for hit in hits]
    assert len(ends) == 1600
    assert ends == sorted(ends)
    of_b = int(np.count_nonzero(first["series"] == 1) + np.count_nonzero(second["series"] == 0))
    assert len(fetch(place, name="/b")) == of_b == run.totals().series[SeriesName("GET", "/b")].hits
    assert [hit["error"] for hit in fetch(place, outcome="failure")] == ["late"] * 10


def test_names_that_were_lost_say_so(place: Place, tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(300, failure_rate=0.5), cut_off=True)
    run.names_path(0).write_text("")
    persist(place, [run])
    assert {(hit["name"], hit["error"], hit["outcome_kind"]) for hit in fetch(place)} == {
        ("(name lost)", None, "ok"),
        ("(name lost)", "(text lost)", "status"),
    }


def test_text_that_postgresql_does_not_take_is_stored_all_the_same(place: Place, tmp_path: Path) -> None:
    odd = Failure(Outcome.PROTOCOL, "got \0\x1b\u2028")
    own = facts(label="a\0b \ud800", plan={"text": "\0 \ud800"})
    run = build_run(tmp_path / "run", names=[("GET", "/\0")] * 3, failures=(odd,))
    run = type(run)(run.folder, own, shards=1, max_failure_rate=0.0)
    persist(place, [run], metadata={"nul": "\0"})
    assert fetch(place, outcome="failure", limit=1)[0]["error"] == "got \ufffd\x1b\u2028"
    (row,) = stored_runs(place)
    assert (row["label"], json.loads(row["metadata_json"])) == ("a\ufffdb ?", {"nul": "\0"})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def read_only(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, list[dict[str, Any]]]:
    """A store of one run for all rows of the table, and all its hits."""
    folder = tmp_path_factory.mktemp("read-only")
    if request.param == "sqlite":
        place = place_of(str(folder / "runs.db"), None)
    else:
        place = place_of(None, new_database(request.getfixturevalue("postgresql")))
    rows = make_rows(2000, failures=2, failure_rate=0.3)
    persist(place, [build_run(folder / "run", rows, failures=(FULL, TIMEOUT))])
    return place, fetch(place)


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({}, lambda hit: True),
        ({"name": "/login"}, lambda hit: hit["name"] == "/login"),
        ({"name": "/nothing"}, lambda hit: False),
        ({"outcome": "success"}, lambda hit: hit["outcome"] == "success"),
        ({"outcome": "failure"}, lambda hit: hit["outcome"] == "failure"),
        ({"outcome": "timeout"}, lambda hit: hit["outcome_kind"] == "timeout"),
        ({"since": at(10**10)}, lambda hit: hit["ended_at"] >= at(10**10)),
        ({"until": 20}, lambda hit: hit["ended_at"] < at(2 * 10**10)),
        (
            {"name": "/items", "outcome": "failure", "since": 5.5, "until": "2026-09-21T14:13:45"},
            lambda hit: hit["name"] == "/items" and hit["outcome"] == "failure" and at(5_500_000_000) <= hit["ended_at"] < at(25 * 10**9),
        ),
    ],
    ids=["none", "name", "unknown name", "success", "failure", "kind", "since", "until", "all together"],
)
def test_filters_and_pages_keep_the_order(
    read_only: tuple[Place, list[dict[str, Any]]], filters: dict[str, Any], kept: Callable[[Any], bool]
) -> None:
    place, whole = read_only
    expected = [hit for hit in whole if kept(hit)]
    assert fetch(place, **filters) == expected
    pages = [fetch(place, **filters, limit=300, offset=offset) for offset in range(0, 2400, 300)]
    assert [hit for page in pages for hit in page] == expected
    assert fetch(place, **filters, offset=len(expected) - 1 if expected else 0) == expected[-1:]
    assert fetch(place, **filters, limit=0) == []


def test_since_the_time_of_a_record_finds_that_record(tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "runs.db"), None)
    persist(place, [build_run(tmp_path / "run", make_rows(50))])
    hits = fetch(place)
    assert fetch(place, since=hits[20]["ended_at"]) == hits[20:]
    assert fetch(place, until=hits[20]["ended_at"]) == hits[:20]


def test_streaming_holds_a_small_part_of_the_run_at_a_time(tmp_path: Path) -> None:
    import tracemalloc

    place = place_of(str(tmp_path / "runs.db"), None)
    persist(place, [build_run(tmp_path / "run", make_rows(30_000))])
    tracemalloc.start()
    try:
        assert sum(1 for _ in records(place, 1, filters_of())) == 30_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000  # the list of all of them takes over 30 MB


def test_runs_are_listed_newest_first(place: Place, tmp_path: Path) -> None:
    runs = [build_run(tmp_path / str(number), make_rows(5), run_facts=facts(id=f"run-{number}")) for number in range(4)]
    assert persist(place, runs[:1]) == [1]
    assert persist(place, runs[1:]) == [2, 3, 4]
    assert [row["id"] for row in stored_runs(place)] == [4, 3, 2, 1]
    assert [row["id"] for row in stored_runs(place, 2)] == [4, 3]
    assert stored_runs(place, 0) == []
    assert len(stored_runs(place, -1)) == 4


def test_a_run_without_hits_is_a_run(place: Place, tmp_path: Path) -> None:
    persist(place, [build_run(tmp_path / "run", make_rows(0))])
    assert (fetch(place), stored_runs(place)[0]["verdict"]) == ([], "inconclusive")
    assert stored_totals(place, 1) == Totals()


def test_the_url_that_the_plan_asks_for_stands_beside_the_name(tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "runs.db"), None)
    steps = [
        {"method": "get", "request_url": "${var.base}/items/1", "name": "/items"},
        {"method": "post", "request_url": "http://a/1", "name": "/login"},
        {"method": "post", "request_url": "http://a/2", "name": "/login"},
    ]
    persist(place, [build_run(tmp_path / "run", run_facts=facts(plan={"steps": steps}))])
    urls = {hit["name"]: hit["test_url"] for hit in fetch(place)}
    assert urls == {"/items": "${var.base}/items/1", "/login": "/login", "/search": "/search"}


def test_a_store_without_timings_is_read_and_gets_them_with_its_next_run(place: Place, tmp_path: Path) -> None:
    columns = ["first_byte_ns", "dns_us", "connect_us", "tls_us", "send_us"]
    rows = make_rows(300)
    rows["first_byte_ns"], rows["send_ms"] = rows["start_ns"] + 1_000_000, 0.5
    persist(place, [build_run(tmp_path / "old", rows, run_facts=facts(id="old"))])
    whole = fetch(place)
    with writing(place) as connection:  # as the first schema was
        for statement in (
            "DROP VIEW loadflow_requests",
            *(f"ALTER TABLE loadflow_hits DROP COLUMN {name}" for name in columns),
            FIRST_VIEW,
        ):
            connection.execute(text(statement))
        connection.execute(text("UPDATE loadflow_version SET version_num = '0001'"))
    unknown = dict.fromkeys(("ttfb_ms", *PHASES_MS))
    assert fetch(place) == [{**hit, **unknown} for hit in whole]
    with reading(place) as connection:
        assert connection.execute(text("SELECT version_num FROM loadflow_version")).scalar() == "0001", "reading changes nothing"
    persist(place, [build_run(tmp_path / "new", rows, run_facts=facts(id="new"))])
    assert fetch(place) == [{**hit, **unknown} for hit in whole]
    assert fetch(place, 2) == whole
    with reading(place) as connection:
        asked = text("SELECT ttfb_ms, send_ms, dns_ms FROM loadflow_requests WHERE run_id = :run AND n = 7")
        found = [[None if one is None else float(one) for one in connection.execute(asked, {"run": run}).one()] for run in (1, 2)]
    assert found == [[None, None, None], [1.0, 0.5, None]]


def test_people_can_ask_the_view(place: Place, tmp_path: Path) -> None:
    persist(place, [build_run(tmp_path / "run", make_rows(500, failure_rate=0.2))])
    with reading(place) as connection:
        rows = connection.execute(text("SELECT * FROM loadflow_requests WHERE run_id = 1 ORDER BY n")).mappings().all()
    for row, hit in zip(rows, fetch(place), strict=True):
        same = ("method", "name", "outcome", "outcome_kind", "error", "response_length")
        assert {name: row[name] for name in same} == {name: hit[name] for name in same}
        assert float(row["response_time_ms"]) == pytest.approx(hit["response_time_ms"])


def test_deleting_a_run_by_hand_leaves_nothing_of_it(place: Place, tmp_path: Path) -> None:
    persist(place, [build_run(tmp_path / name, make_rows(50), run_facts=facts(id=name)) for name in ("a", "b")])
    with writing(place) as connection:
        connection.execute(text("DELETE FROM loadflow_runs WHERE id = 1"))
        for table in ("series", "errors", "seconds", "hits"):
            assert connection.execute(text(f"SELECT DISTINCT run_id FROM loadflow_{table}")).scalars().all() in ([2], [])


@settings(deadline=None, max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 500), max_size=60), min_size=1, max_size=3), st.integers(4, 30))
def test_hits_are_put_in_order_whatever_the_processes_logged(
    tmp_path_factory: pytest.TempPathFactory, ends: list[list[int]], chunk_rows: int
) -> None:
    """Each log is nearly in order: neighbours may be exchanged. None is lost, none comes twice."""
    logs = []
    for shard, values in enumerate(ends):
        rows: Rows = np.zeros(len(values), dtype=HIT_DTYPE)
        rows["end_ns"] = sorted(values)
        rows["user"] = np.arange(len(values)) + 1000 * shard
        for position in range(0, len(rows) - 1, 3):
            rows[[position, position + 1]] = rows[[position + 1, position]]
        logs.append(rows)
    run = run_of_processes(tmp_path_factory.mktemp("runs") / "run", logs, [[("GET", "/")]] * len(logs))
    chunks = list(ordered_hits(run, Ids(), chunk_rows))
    found = np.concatenate(chunks) if chunks else np.zeros(0, dtype=HIT_DTYPE)
    everything = np.concatenate(logs)
    assert found["end_ns"].tolist() == sorted(everything["end_ns"].tolist())
    assert sorted(found["user"].tolist()) == sorted(everything["user"].tolist())
    assert all(len(chunk) <= 2 * len(logs) * (chunk_rows + 60) for chunk in chunks)
