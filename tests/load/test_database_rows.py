"""Rows of a database as a data source: what cells are, who reads them, and what is said where there are none."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from loadflow.engine.load.rerun import again
from loadflow.engine.plan.csv_source import CsvSource, Query
from loadflow.engine.resolve.data import load_rows
from loadflow.engine.resolve.database_rows import fetch, rows_kept
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.checking import Checking
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, ScriptError
from tests.load.harness import ENGINES, get, load
from tests.services import PostgreSQL
from tests.targets.fixture import Target


@pytest.fixture
def users(tmp_path: Path) -> str:
    """The URL of an SQLite database."""
    path = tmp_path / "users.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE users (name TEXT, age INTEGER, score REAL, photo BLOB)")
        database.executemany(
            "INSERT INTO users VALUES (?, ?, ?, ?)",
            [("ann", 31, 0.5, b"\x00"), ('b"o,b\n', 7, -2.0, b"\x00"), ("", None, 1e300, b"\x00")],
        )
    database.close()
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    yield server
    server.close()


SOURCE = CsvSource("users", "")


def rows_of(url: str, query: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    with rows_kept():
        source, columns = fetch(SOURCE, Query(url, query))
        path = Path(source.file_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        table = load_rows(source)
    assert not path.parent.exists()
    assert table.columns == columns
    return columns, list(table.rows)


def test_cells_are_text_as_those_of_json_are(users: str) -> None:
    columns, rows = rows_of(users, "SELECT name, age, score, age > 10 AS adult FROM users ORDER BY rowid")
    assert columns == ("name", "age", "score", "adult")
    assert rows == [("ann", "31", "0.5", "1"), ('b"o,b\n', "7", "-2.0", "0"), ("", "null", "1e+300", "null")]


POSTGRESQL = [
    ("true", "true"),
    ("12", "12"),
    ("10.50::numeric", "10.50"),
    ("0.25::float8", "0.25"),
    ("'5 %, :x ${y}'::text", "5 %, :x ${y}"),
    ("NULL::int", "null"),
    ("DATE '2026-02-03'", "2026-02-03"),
    ("TIMESTAMPTZ '2026-02-03 04:05:06.5+00'", "2026-02-03T04:05:06.500000+00:00"),
    ("TIME '04:05'", "04:05:00"),
    ("'6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ("""'{"a": [1, null]}'::jsonb""", '{"a":[1,null]}'),
    ("ARRAY[DATE '2026-02-03']", '["2026-02-03"]'),
    ("inet '10.0.0.1'", "10.0.0.1"),
]


def test_cells_of_each_type_of_postgresql(postgresql: PostgreSQL) -> None:
    query = "SELECT " + ", ".join(f"{value} AS c{at}" for at, (value, _) in enumerate(POSTGRESQL))
    _, rows = rows_of(postgresql.url(), query)
    assert dict(zip([value for value, _ in POSTGRESQL], rows[0], strict=True)) == dict(POSTGRESQL)


def test_many_rows_are_all_there(postgresql: PostgreSQL) -> None:
    _, rows = rows_of(postgresql.url(), "SELECT n, 'user ' || n AS name FROM generate_series(1, 5000) n")
    assert rows == [(str(n), f"user {n}") for n in range(1, 5001)]


def test_a_query_changes_nothing(users: str, postgresql: PostgreSQL) -> None:
    with pytest.raises(CommandError, match="its query failed: attempt to write a readonly database"):
        rows_of(users, "DELETE FROM users RETURNING name")
    with pytest.raises(CommandError, match="its query failed"):
        rows_of(postgresql.url(), "CREATE TABLE t (a int)")
    assert len(rows_of(users, "SELECT name FROM users")[1]) == 3


# URL ({} is that of the SQLite database), query, what is said
WRONG = [
    ("no such file", "sqlite:///nowhere/users.db", "SELECT 1", r"sqlite:///nowhere/users\.db: there is no such file; give a path"),
    ("no such table", "{}", "SELECT name FROM people", r"its query failed: no such table: people; correct the query"),
    ("two statements", "{}", "SELECT 1; SELECT 2", r"its query failed: You can only execute one statement at a time"),
    ("no answer", "{}", "PRAGMA query_only = OFF", r"its query gives no rows at all; write one that reads"),
    ("no rows", "{}", "SELECT name FROM users WHERE age > 99", r"users\.db: has column names but no rows; add at least one row"),
    ("a name twice", "{}", "SELECT name, age AS name FROM users", r"column 'name' is there twice"),
    ("no name", "{}", 'SELECT name AS "" FROM users', r"column 1 has no name"),
    ("bytes", "{}", "SELECT photo FROM users", r"row 1, column 'photo': holds bytes; cast it to text"),
    ("no number", "{}", "SELECT name, 9e999 AS n FROM users", r"row 1, column 'n': inf is not a number that JSON has; cast it to text"),
    ("no driver", "mysql+nonesuch://h/d", "SELECT 1", r"needs a driver that is not installed"),
    ("no URL", "postgresql:/x", "SELECT 1", r"its database url can't be read; write it as SQLAlchemy does"),
    ("nobody there", "postgresql://u:hunter22@127.0.0.1:1/d", "SELECT 1", r"u:\*\*\*@127\.0\.0\.1:1/d: can't be connected to"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "query", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said_and_no_password_is(url: str, query: str, said: str, users: str) -> None:
    with pytest.raises(CommandError, match=said) as raised:
        rows_of(url.format(users), query)
    assert "hunter22" not in str(raised.value)
    assert "csv source 'users'" in str(raised.value)


def test_no_message_holds_a_secret(postgresql: PostgreSQL) -> None:
    wrong = postgresql.url(password="hunter22")
    with pytest.raises(CommandError, match="can't be connected to") as raised:
        rows_of(wrong, "SELECT 1")
    assert "hunter22" not in str(raised.value)
    with rows_kept(), pytest.raises(CommandError, match="its query failed") as raised:
        fetch(SOURCE, Query(postgresql.url(), "SELECT 'hunter22'::int"), ["hunter22"])
    assert "hunter22" not in str(raised.value)


def names_of(target: Target) -> Counter[str]:
    return Counter(parse_qs(urlsplit(record.target).query, keep_blank_values=True)["name"][0] for record in target.records())


def source_of(url: str, query: str, **more: Any) -> dict[str, Any]:
    return {"name": "users", "database": {"url": url, "query": query}, **more}


@pytest.mark.parametrize("engine", ENGINES)
def test_each_row_is_used_and_nothing_of_the_database_is_kept(
    engine: str, postgresql: PostgreSQL, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADFLOW_SECRET_USERS_DB", postgresql.url())
    step = get("/echo?name=${csv.users.name}", name="a", json={"age": "${csv.users.age}"})
    rows = source_of("${secret.users_db}", "SELECT 'u' || n AS name, n AS age FROM generate_series(1, 3) n", mode="once")
    target.reset()
    done = load(tmp_path, [step], engine=engine, host=target.url, csv_sources=[rows], user_count=2, iterations=9)
    assert done.error is None, done.error
    assert names_of(target) == {"u1": 1, "u2": 1, "u3": 1}
    assert sorted(json.loads(record.body)["age"] for record in target.records()) == ["1", "2", "3"]
    written = "".join(path.read_text(errors="replace") for path in done.run.folder.rglob("*") if path.is_file())
    assert "pa%2Fss" not in written
    assert "pa/ss" not in written
    digests = json.loads((done.run.folder / "evidence.json").read_text())["made_of"]["digests"]["data"]
    assert [name.startswith("users of postgresql+psycopg://") for name in digests] == [True]


def test_a_load_can_be_made_again_and_says_when_the_rows_are_others(users: str, target: Target, tmp_path: Path) -> None:
    step = get("/echo?name=${csv.users.name}", name="a")
    done = load(tmp_path, [step], host=target.url, csv_sources=[source_of(users, "SELECT name FROM users")], iterations=3)
    assert again(done.run, tmp_path / "again").different == ()
    with sqlite3.connect(users.removeprefix("sqlite:///")) as database:
        database.execute("INSERT INTO users (name) VALUES ('cleo')")
    database.close()
    (other,) = again(done.run, tmp_path / "again").different
    assert other.startswith(f"the file users of {users}: ")


ASK = "${secret.users_db}"
# an action that registers a source, and how a load that follows writes it itself
SOURCE_JSON = {"name": "users", "mode": "once", "database": {"url": ASK, "query": "SELECT name FROM ${var.table}"}}
REGISTERED = [
    ("one", ["LD_register_csv_source", SOURCE_JSON]),
    ("one of several", ["LD_register_csv_sources", {"sources": [SOURCE_JSON]}]),
]


def two_loads(action: list[object], target: Target) -> list[list[object]]:
    test = {
        "user_detail_dict": {"user": "fast_http_user"}, "host": target.url, "user_count": 1, "iterations": 5, "max_failure_rate": 1,
        "tasks": [get("/echo?name=${csv.users.name}", name="a")],
    }  # fmt: skip
    return [["LD_register_variables", {"variables": {"table": "users"}}], action, ["LD_start_test", test], ["LD_start_test", test]]


@pytest.mark.parametrize("action", [row[1] for row in REGISTERED], ids=[row[0] for row in REGISTERED])
def test_a_registered_database_is_asked_by_each_load_that_follows(
    action: list[object], users: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADFLOW_SECRET_USERS_DB", f"{users}?timeout=71")
    session = Session(runs_dir=tmp_path / "runs")
    Checking(session).script(two_loads(action, target))
    target.reset()
    with use_session(session):
        execute_action(two_loads(action, target))
    first, second = session.runs
    assert names_of(target) == {"ann": 2, 'b"o,b': 2, "": 2}  # URLs have no line ends
    for run in (first, second):
        written = "".join(path.read_text(errors="replace") for path in run.folder.rglob("*") if path.is_file())
        assert "timeout=71" not in written
    assert again(second, tmp_path / "again").different == ()


def test_a_registered_database_that_is_not_there_is_said_by_the_load(users: str, target: Target, tmp_path: Path) -> None:
    action = ["LD_register_csv_source", {"name": "users", "database": {"url": "sqlite:///nowhere.db", "query": "SELECT 1"}}]
    session = Session(runs_dir=tmp_path / "runs")
    with use_session(session):
        done = execute_action(two_loads(action, target))
    assert [str(result.error) for result in done.results if result.error is not None] == [
        "csv source 'users': sqlite:///nowhere.db: there is no such file; give a path that exists, absolute or relative to "
        + str(Path.cwd())
    ]


# what a source says, and what is wrong with it
FORMS: list[tuple[str, dict[str, Any], str]] = [
    ("neither", {"name": "users"}, r"file_path: is missing; name a file of rows, or a \"database\""),
    ("both", {**source_of("sqlite:///x", "SELECT 1"), "file_path": "a.csv"}, r"file_path: has no meaning for a database"),
    ("a delimiter", {**source_of("sqlite:///x", "SELECT 1"), "delimiter": ";"}, r"delimiter: has no meaning for a database"),
    ("no query", {"name": "users", "database": {"url": "sqlite:///x"}}, r"query: is missing"),
    ("no URL", source_of("users.db", "SELECT 1"), r"url: is not the URL of a database; write it as SQLAlchemy does"),
    ("another key", {"name": "users", "database": {"url": "sqlite:///x", "query": "SELECT 1", "sql": ""}}, r"'sql' is not a key"),
]


@pytest.mark.parametrize(("source", "said"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_a_check_sees_the_form(source: dict[str, Any], said: str) -> None:
    test = {"user_detail_dict": {"user": "fast_http_user"}, "csv_sources": [source], "tasks": [get("http://127.0.0.1/${csv.users.a}")]}
    with pytest.raises(ScriptError, match=said):
        parse_script([["LD_start_test", test]], commands=Session().commands)
