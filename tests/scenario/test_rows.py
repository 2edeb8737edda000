"""Rows of files and databases in scenarios: the same cells, whichever way its functions run, on either engine."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from loadflow.engine.scenario.script import script_of
from loadflow.engine.scenario.sources import source_json
from loadflow.engine.scenario.tracing import trace
from loadflow.engine.scenario.values import csv, rows
from loadflow.errors import ScriptError
from tests.scenario.test_streams_and_credentials import WAYS, run
from tests.targets.fixture import Target

TEXT = """
    from loadflow import VUser, csv, rows, scenario, task

    people = rows(database="${secret.users_db}", query="SELECT name, path, mode AS [its mode] FROM users ORDER BY name", mode="once")
    plain = csv(FILE, delimiter=";", quote="'", encoding="latin-1")

    @scenario(rps=1)
    class Shop(VUser):
        @task
        def a(self, client):
            client.get(f"{people.path}?name={people.name}&mode={people['its mode']}")
            client.get(f"{plain.path}?{plain.mode}-{plain.seed}-{plain.delimiter}-{plain.quote}-{plain.query}-{plain.database}-{plain.encoding}")
"""  # fmt: skip
HEADER = "path;mode;seed;delimiter;quote;query;database;encoding"


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with sqlite3.connect(tmp_path / "users.db") as database:
        database.execute("CREATE TABLE users (name TEXT, path TEXT, mode TEXT)")
        database.executemany("INSERT INTO users VALUES (?, ?, ?)", [("ann", "/ok", "a"), ("bo", "/ok", "b")])
    database.close()
    monkeypatch.setenv("LOADFLOW_SECRET_USERS_DB", f"sqlite:///{tmp_path / 'users.db'}?timeout=71")
    file = tmp_path / "plain.csv"
    file.write_bytes(f"{HEADER}\n'/ok';m;s;d;'a;b';é;db;e\n".encode("latin-1"))
    return dedent(TEXT).replace("FILE", repr(str(file)))


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_columns_of_any_name_are_those_of_the_rows(
    way: tuple[str, str], text: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.reset()
    done = run(tmp_path / "load", text, way, monkeypatch, user_count=2, iterations=1, spawn_rate=100, host=target.url)
    assert done.error is None, done.error
    assert [hit.error for hit in done.hits] == [""] * 4
    sent = sorted(record.target for record in target.records())
    assert sent == ["/ok?m-s-d-a;b-%C3%A9-db-e", "/ok?m-s-d-a;b-%C3%A9-db-e", "/ok?name=ann&mode=a", "/ok?name=bo&mode=b"]
    written = "".join(path.read_text(errors="replace") for path in done.run.folder.rglob("*") if path.is_file())
    assert "timeout=71" not in written


def test_rows_of_a_database_are_a_source_of_the_script(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    file = tmp_path / "shop.py"
    file.write_text(text)
    (made,) = load_scenarios(file)
    for in_python in (False, True):
        (_, test), *_ = script_of(made, trace(made), file, in_python=in_python)["load_density"]
        assert test["csv_sources"][0] == {
            "name": "rows",
            "database": {"url": "${secret.users_db}", "query": "SELECT name, path, mode AS [its mode] FROM users ORDER BY name"},
            "mode": "once",
            "per": "user",
        }


def test_a_traced_scenario_with_a_database_is_proved(text: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(text.replace('mode="once"', 'mode="cycle"'))
    done = CliRunner().invoke(main, ["check", "--prove", str(file)])
    assert done.exit_code == 0, done.output + done.stderr
    assert "a: proved: 200 passes, 400 requests each the same" in done.output


def test_what_is_usual_is_not_written() -> None:
    assert source_json("a", csv("a.csv")) == {"name": "a", "file_path": "a.csv", "mode": "cycle", "per": "user"}
    more = source_json("a", csv("a.csv", seed=0, delimiter="\t", quote="", encoding="cp1252"))
    assert {key: more[key] for key in ("seed", "delimiter", "quote", "encoding")} == {
        "seed": 0, "delimiter": "\t", "quote": "", "encoding": "cp1252",
    }  # fmt: skip


def test_equal_rows_are_one_source_and_no_password_is_shown() -> None:
    one, other = (rows(database="postgresql://u:pw@h/d", query="SELECT 1 AS a") for _ in range(2))
    assert {one: 1}[other] == 1
    assert one != rows(database="postgresql://u:pw@h/d", query="SELECT 2 AS a")
    assert repr(one) == "rows(query='SELECT 1 AS a')"


# what stands in line 5, and what is said of it
WRONG = [
    ("no query", "rows(database='sqlite:///x')", "line 4: TypeError: rows() missing 1 required keyword-only argument: 'query'"),
    ("by position", "rows('sqlite:///x', 'SELECT 1')", "line 4: TypeError: rows() takes 0 positional arguments but 2 were given"),
    ("an empty URL", "rows(database='', query='SELECT 1')", 'line 4: database must be a text; write rows(database='),
    ("a query that is no text", "rows(database='sqlite:///x', query=['SELECT 1'])", "line 4: query must be a text; write rows("),
    ("a mode", "rows(database='sqlite:///x', query='SELECT 1', mode='sometimes')", "line 4: mode 'sometimes' is not known; there are"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said_with_its_line(made: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(f"from loadflow import rows\n\n\nusers = {made}\n")
    with pytest.raises(ScriptError) as caught:
        load_scenarios(file)
    (mistake,) = caught.value.mistakes
    assert said in str(mistake)


# rows that a check refuses, and what it says
REFUSED = [
    ("rows(database='users.db', query='SELECT 1')", "rows(query='SELECT 1').database.url: is not the URL of a database\n"),
    ("csv('u.csv', delimiter=';;')", "csv('u.csv').delimiter: "),
    ("csv('u.csv', encoding='utf-0')", "csv('u.csv').encoding: 'utf-0' is not a text encoding\n"),
    ("csv('none.csv')", "csv('none.csv').file_path: 'none.csv' "),
]  # fmt: skip


@pytest.mark.parametrize(("made", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_a_check_refuses_is_said_by_the_call_that_made_it(made: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    body = "    @task\n    def a(self, client):\n        client.get(f'/{users.a}')\n"
    file.write_text(f"from loadflow import csv, rows, scenario, task\n\nusers = {made}\n\n@scenario(rps=1)\nclass A:\n{body}")
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 2
    assert f"\n  {said}" in done.stderr, done.stderr
