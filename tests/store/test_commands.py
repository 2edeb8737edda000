"""LD_persist_records, LD_list_runs, LD_fetch_run_records, from scripts and from Python; and how a store is named."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from loadflow import execute_action, fetch_run_records, iter_run_records, list_runs, persist_records
from loadflow.engine.base.redact import Redactor
from loadflow.engine.session.session import Session, use_session
from loadflow.engine.store import migrate, schema
from loadflow.engine.store.connect import reading, writing
from loadflow.engine.store.place import Place, place_of
from loadflow.errors import CommandError, RunError
from tests.builders import build_run, facts, make_rows


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """One run was made."""
    with use_session(Session(name="nightly")) as session:
        session.keep(build_run(tmp_path / "run", make_rows(300)))
        yield session


@pytest.mark.usefixtures("session")
def test_a_script_stores_its_run_and_reads_it_back(tmp_path: Path) -> None:
    where = {"database_path": str(tmp_path / "new" / "folder" / "runs.db")}
    script = [
        ["LD_persist_records", {**where, "label": "smoke", "metadata": {"commit": "4f2a"}}],
        ["LD_persist_records", [where["database_path"], "nightly"]],
        ["LD_list_runs", {**where, "limit": 5}],
        ["LD_fetch_run_records", {**where, "run_id": 1, "outcome": "success", "since": 1, "until": "2026-09-21T14:13:40Z", "limit": 3}],
    ]
    results = execute_action(script)
    results.raise_for_failure()
    first, again, listed, fetched = (result.value for result in results.results)
    assert (first, again) == (1, 1)
    assert [(row["id"], row["label"], row["metadata_json"]) for row in listed] == [(1, "nightly", '{"commit": "4f2a"}')]
    assert [hit["outcome"] for hit in fetched] == ["success"] * 3


def test_several_runs_have_an_id_each(session: Session, tmp_path: Path) -> None:
    session.keep(build_run(tmp_path / "second", make_rows(20), run_facts=facts(id="second")))
    path = str(tmp_path / "runs.db")
    assert persist_records(path) == [1, 2]
    session.clear_records()
    with pytest.raises(CommandError, match="there is no run to store; LD_start_test comes first"):
        persist_records(path)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [([1], "metadata: is a list; give an object"), ({"a": {1}}, "can't be written as JSON"), ({"a": math.nan}, "can't be written as JSON")],
    ids=["a list", "a set", "nan"],
)
@pytest.mark.usefixtures("session")
def test_metadata_that_is_no_json_object_is_refused(tmp_path: Path, metadata: Any, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        persist_records(str(tmp_path / "runs.db"), metadata=metadata)
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"outcome": "failed"}, "outcome: 'failed' is none; one of success, failure, status, "),
        ({"since": "yesterday"}, "since: 'yesterday' is not a time; give"),
        ({"until": True}, "until: true is not a time"),
        ({"limit": -1}, "limit: -1 is below 0"),
        ({"offset": -5}, "offset: -5 is below 0"),
        ({"limit": -1, "offset": -1}, "2 mistakes"),
    ],
    ids=str,
)
def test_filters_that_can_not_be_meant_are_refused_before_the_first_record_is_asked_for(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        iter_run_records("runs.db", 1, **wrong)


def test_a_generator_that_is_closed_lets_go_of_the_database(session: Session, tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    persist_records(path)
    records = iter_run_records(path, 1)
    assert next(records)["name"]
    records.close()  # type: ignore[attr-defined]
    assert not Path(f"{path}-wal").exists()
    assert len(fetch_run_records(path, 1)) == 300


@pytest.mark.parametrize(
    ("database_path", "url", "said"),
    [
        (None, None, "exactly one of database_path and url"),
        ("runs.db", "sqlite:///runs.db", "exactly one of database_path and url"),
        ("", None, "is not the path of a file"),
        (":memory:", None, "is not the path of a file"),
        ("postgresql://a:hunter22@b/c", None, "is not the path of a file"),
        (None, "sqlite://", "names no file"),
        (None, "sqlite:///:memory:", "names no file"),
        (None, "mysql://a:hunter22@b/c", "mysql is not a database that loadflow can use"),
        (None, "postgresql+asyncpg://a:hunter22@b/c", "asyncpg is not a database"),
        (None, "hunter22", "can't be read as a database URL"),
        (None, "postgresql://a:hunter22@b:port/c", "can't be read as a database URL"),
    ],
    ids=str,
)
def test_a_place_that_can_not_be_meant_is_refused(database_path: str | None, url: str | None, said: str) -> None:
    with pytest.raises(CommandError, match=said) as caught:
        place_of(database_path, url)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg_and_shown_without_its_password(scheme: str) -> None:
    place = place_of(None, f"{scheme}://ann:hunter22@db.test:5433/runs?sslpassword=hunter33")
    assert str(place) == "postgresql+psycopg://ann:***@db.test:5433/runs"
    assert place.url.password == "hunter22"
    assert place.scrubbed("hunter22, hunter33") == "***, ***"


@given(st.text(st.characters(codec="ascii", exclude_characters="/?#\"'", min_codepoint=33), min_size=1))
def test_the_password_of_a_url_is_masked_in_what_is_shown_of_a_script(password: str) -> None:
    shown = Redactor().value({"url": f"postgresql://ann:{password}@db.test/runs"})
    assert shown == {"url": "postgresql://ann:***@db.test/runs"}


def test_without_psycopg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(RunError, match=r'run pip install "loadflow\[postgres\]"'):
        list_runs(url="postgresql://a@127.0.0.1/b")


def test_odd_characters_in_a_path_are_part_of_it(session: Session, tmp_path: Path) -> None:
    for name in ("a?mode=memory.db", "ü #1%20.db"):
        assert persist_records(str(tmp_path / name)) == 1
        assert (tmp_path / name).stat().st_size > 4096
        assert len(list_runs(str(tmp_path / name))) == 1


def test_the_migrations_lead_to_the_tables_that_the_code_uses(place: Place) -> None:
    assert migrate.newest_revision() == schema.REVISION
    with writing(place):
        pass
    with reading(place) as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": schema.tables, "version_table": schema.VERSION_TABLE})
        differences = [one[0] for one in compare_metadata(context, schema.tables)]
    assert differences == (["remove_fk"] if place.path else [])  # of the hits, which only SQLite checks fast enough


def test_a_store_lives_beside_other_tables(session: Session, tmp_path: Path) -> None:
    """Also beside those of another user of Alembic."""
    place = place_of(str(tmp_path / "shared.db"), None)
    import sqlite3

    with sqlite3.connect(str(place.path)) as database:
        database.execute("CREATE TABLE alembic_version(version_num TEXT)")
        database.execute("CREATE TABLE runs(id INTEGER)")
    database.close()
    assert persist_records(str(place.path)) == 1
    with reading(place) as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0
    shutil.rmtree(tmp_path / "run")
    assert len(list_runs(url=f"sqlite:///{place.path}")) == 1
