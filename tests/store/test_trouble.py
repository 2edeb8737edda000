"""Whatever goes wrong: a clear error, nothing half-written, and the same call works afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.ids import Ids
from loadflow.engine.records.run import Run
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.execute import call_with_retries
from loadflow.engine.session.session import Session, use_session
from loadflow.engine.session.table import TABLE
from loadflow.engine.store import connect, hits, write
from loadflow.engine.store.place import Place, place_of
from loadflow.engine.store.read import stored_runs
from loadflow.engine.store.write import persist
from loadflow.errors import CommandError, RunError, WatchdogTimeout
from tests.builders import build_run, facts, make_rows
from tests.services import PASSWORD, PostgreSQL, need
from tests.store.runs import fetch
from tests.waiting import HANG_S
from tests.warm.asked import MAY_BEGIN_WARM

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return build_run(tmp_path / "run", make_rows(1000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def on_sqlite(path: Path) -> Place:
    return place_of(str(path), None)


def counts(place: Place) -> list[int]:
    """Rows in each table."""
    with connect.reading(place) as connection:
        names = ("runs", "series", "errors", "seconds", "hits")
        return [connection.execute(text(f"SELECT count(*) FROM loadflow_{name}")).scalar_one() for name in names]


# -- the same run again


def test_a_run_that_is_persisted_again_is_not_stored_again(place: Place, run: Run) -> None:
    """What it got anew replaces what it had; what was not given stays."""
    assert persist(place, [run], label="first", metadata={"a": 1}) == [1]
    stored = counts(place)
    assert persist(place, [run]) == [1]
    assert persist(place, [Run.open(run.folder)], label="second") == [1]
    assert persist(place, [run, run], metadata={"b": 2}) == [1, 1]
    (row,) = stored_runs(place)
    assert (row["label"], row["metadata_json"]) == ("second", '{"b": 2}')
    assert counts(place) == stored


def test_writers_at_the_same_time_agree(place: Place, tmp_path: Path) -> None:
    """Three processes make the database, and store one run twice and another one once."""
    folders = ["same", "same", "other"]
    for name in {*folders}:
        build_run(tmp_path / name, make_rows(3000), run_facts=facts(id=name))
    url = place.url.render_as_string(hide_password=False)
    code = f"{MAY_BEGIN_WARM}import sys\nfrom tests.store.runs import persist_here\nprint(*persist_here(*sys.argv[1:]))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    commands = [[sys.executable, "-c", code, url, str(tmp_path / name)] for name in folders]
    writers = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for command in commands]
    ids = [int(writer.communicate(timeout=HANG_S)[0]) for writer in writers]
    assert ids[0] == ids[1]
    assert len({*ids}) == 2
    assert counts(place)[0] == 2
    assert [len(fetch(place, one)) for one in {*ids}] == [3000] * 2


def test_all_runs_of_a_call_are_stored_or_none(place: Place, run: Run, tmp_path: Path) -> None:
    torn = build_run(tmp_path / "torn", run_facts=facts(id="torn"))
    torn.hits_path(0).write_bytes(b"x" * 200)
    with pytest.raises(RunError, match="is not a hit log"):
        persist(place, [run, torn])
    assert counts(place) == [0] * 5
    assert persist(place, [run])


def test_a_writer_that_is_interrupted_takes_everything_back(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a task's timeout or Ctrl-C would, in the middle of the hits."""

    def interrupted(one: Run, ids: Ids) -> Iterator[Rows]:
        yield next(hits.ordered_hits(one, ids))
        raise WatchdogTimeout("LD_persist_records took longer than 600 s")

    with monkeypatch.context() as patched:
        patched.setattr(write, "ordered_hits", interrupted)
        with pytest.raises(WatchdogTimeout):
            persist(place, [run])
    assert counts(place) == [0] * 5
    assert persist(place, [run])


# -- SQLite


@pytest.fixture
def locked(on_sqlite: Place, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A store in which another connection is writing."""
    with connect.writing(on_sqlite):
        pass
    monkeypatch.setattr(connect, "BUSY_S", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


@pytest.mark.usefixtures("locked")
def test_a_locked_database_is_said_to_be_locked_and_can_still_be_read(on_sqlite: Place, run: Run) -> None:
    with pytest.raises(RunError, match=r"runs\.db is locked by another process .*; try again"):
        persist(on_sqlite, [run])
    assert stored_runs(on_sqlite) == []


def test_the_policy_of_the_command_waits_for_the_lock(path: Path, run: Run, locked: sqlite3.Connection) -> None:
    """The task's retries end as soon as the other writer does."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            locked.execute("ROLLBACK")

    command = TABLE["LD_persist_records"]
    with use_session(Session()) as session:
        session.keep(run)
        (action,) = parse_script([["LD_persist_records", {"database_path": str(path)}]], commands=session.commands).actions
        assert call_with_retries(command, action, command.policy, sleep) == 1
    assert waited == [2, 2]


def test_a_new_database_that_another_one_locks_is_so_too(path: Path, on_sqlite: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "BUSY_S", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RunError, match="is locked by another process"):
        persist(on_sqlite, [run])
    other.close()
    assert persist(on_sqlite, [run]) == [1]


def test_a_full_disk_leaves_what_was_there(on_sqlite: Place, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    persist(on_sqlite, [run])
    before = counts(on_sqlite)
    open_wal = connect._wal

    def small(connection: sqlite3.Connection) -> None:
        open_wal(connection)
        connection.execute("PRAGMA max_page_count = 40")

    big = build_run(tmp_path / "big", make_rows(20_000), run_facts=facts(id="big"))
    with monkeypatch.context() as patched:
        patched.setattr(connect, "_wal", small)
        with pytest.raises(RunError, match=r"disk is full \(database or disk is full\); nothing was stored; free some space"):
            persist(on_sqlite, [big])
    assert counts(on_sqlite) == before
    assert persist(on_sqlite, [big]) == [2]


def test_a_full_file_system_leaves_what_was_there(tmp_path: Path) -> None:
    """A real one, of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, check=False)
    need(mounted.returncode == 0, "mounting a small file system needs root")
    try:
        place = place_of(str(folder / "runs.db"), None)
        persist(place, [build_run(tmp_path / "run", make_rows(1000))])
        before = counts(place)
        big = build_run(tmp_path / "big", make_rows(60_000), run_facts=facts(id="big"))
        with pytest.raises(RunError, match=r"runs\.db can't"):
            persist(place, [big])
        assert counts(place) == before
        shutil.copy(folder / "runs.db", tmp_path)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert persist(place_of(str(tmp_path / "runs.db"), None), [big]) == [2]


def test_a_writer_that_is_killed_leaves_a_readable_database_without_its_run(on_sqlite: Place, path: Path, run: Run, tmp_path: Path) -> None:
    persist(on_sqlite, [run])
    before = counts(on_sqlite)
    big = build_run(tmp_path / "big", make_rows(60_000), run_facts=facts(id="big"))
    code = """
        import sys, time
        from loadflow.engine.records.run import Run
        from loadflow.engine.store import write
        from loadflow.engine.store.place import place_of
        def halting(run, ids, ordered=write.ordered_hits):
            for number, rows in enumerate(ordered(run, ids, 20_000)):  # more than SQLite holds in memory
                if number == 2:
                    print("in the middle", flush=True)
                    time.sleep(600)
                yield rows
        write.ordered_hits = halting
        write.persist(place_of(sys.argv[1], None), [Run.open(sys.argv[2])])
    """
    python = [sys.executable, "-c", MAY_BEGIN_WARM + textwrap.dedent(code), str(path), str(big.folder)]
    with subprocess.Popen(python, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        assert stored_runs(on_sqlite)[0]["id"] == 1  # reading goes on
        os.kill(process.pid, signal.SIGKILL)
    assert counts(on_sqlite) == before
    assert persist(on_sqlite, [big]) == [2]


def test_reading_makes_no_file_and_leaves_none(on_sqlite: Place, path: Path, run: Run) -> None:
    with pytest.raises(CommandError, match=r"there is no database .*runs\.db"):
        stored_runs(on_sqlite)
    assert not path.exists()
    persist(on_sqlite, [run])
    before = {one.name: one.stat().st_mtime_ns for one in path.parent.iterdir()}
    assert len(fetch(on_sqlite)) == 1000
    assert {one.name: one.stat().st_mtime_ns for one in path.parent.iterdir()} == before


def test_a_reader_of_a_folder_that_it_can_not_write_reads_all_the_same(
    on_sqlite: Place, path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    persist(on_sqlite, [run])
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert len(fetch(on_sqlite)) == 1000
    assert sorted(one.name for one in path.parent.iterdir()) == ["run", "runs.db"]


def test_foreign_keys_are_checked_and_writers_do_not_block_readers(on_sqlite: Place, run: Run) -> None:
    persist(on_sqlite, [run])
    with connect.writing(on_sqlite) as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        connection.execute(text("UPDATE loadflow_runs SET label = 'half done'"))
        assert stored_runs(on_sqlite)[0]["label"] == "smoke"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no stored runs"),
        (b"this is not a database at all" * 100, "is not an SQLite database; give another path"),
    ],
    ids=["empty", "text"],
)
def test_a_file_that_is_no_store_is_refused(on_sqlite: Place, path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CommandError, match=said):
        stored_runs(on_sqlite)
    assert path.read_bytes() == content


def test_a_store_of_a_newer_loadflow_is_refused_and_left_alone(place: Place, run: Run) -> None:
    with connect.writing(place) as connection:
        connection.execute(text("UPDATE loadflow_version SET version_num = '0999'"))
    with pytest.raises(CommandError, match=r"made by a newer loadflow .*schema 0999.*; update this loadflow"):
        persist(place, [run])
    with pytest.raises(CommandError, match="made by a newer loadflow"):
        stored_runs(place)


def test_a_run_that_is_not_there_is_said_so(place: Place, run: Run) -> None:
    persist(place, [run])
    with pytest.raises(CommandError, match="holds no run 7; LD_list_runs says"):
        fetch(place, 7)


# -- PostgreSQL


def test_a_server_that_is_killed_in_the_middle_has_nothing_of_the_run(
    postgresql: PostgreSQL, postgresql_url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(None, postgresql_url)
    persist(place, [run])
    big = build_run(tmp_path / "big", make_rows(20_000), run_facts=facts(id="big"))

    def killing(one: Run, ids: Ids) -> Iterator[Rows]:
        for number, rows in enumerate(hits.ordered_hits(one, ids, 4_000)):
            if number == 2:
                postgresql.kill()
            yield rows

    try:
        with monkeypatch.context() as patched:
            patched.setattr(write, "ordered_hits", killing)
            with pytest.raises(RunError, match=r"persist again") as caught:
                persist(place, [big])
        assert PASSWORD not in str(caught.value)
        with pytest.raises(RunError, match=r"loadflow:\*\*\*@127\.0\.0\.1.* can't be reached"):
            stored_runs(place)
    finally:
        postgresql.start()
    assert [row["id"] for row in stored_runs(place)] == [1]
    assert persist(place, [big])
    assert len(stored_runs(place)) == 2


@pytest.mark.parametrize(
    ("database", "password", "said"),
    [("postgres", "hunter/22", "password authentication failed"), ("nowhere", PASSWORD, "does not exist")],
    ids=["a wrong password", "an unknown database"],
)
def test_a_login_that_fails_shows_no_password(postgresql: PostgreSQL, run: Run, database: str, password: str, said: str) -> None:
    place = place_of(None, postgresql.url(database, password=password))
    for attempt in (lambda: persist(place, [run]), lambda: stored_runs(place)):
        with pytest.raises(RunError, match=said) as caught:
            attempt()
        assert password not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_database_without_a_store_is_said_so(postgresql_url: str) -> None:
    with pytest.raises(CommandError, match="holds no stored runs"):
        stored_runs(place_of(None, postgresql_url))


def test_reading_can_not_write(place: Place, run: Run) -> None:
    persist(place, [run])
    with pytest.raises(RunError, match=r"read-?only"), connect.reading(place) as connection:
        connection.execute(text("DELETE FROM loadflow_hits"))
    assert len(fetch(place)) == 1000


def test_commands_of_the_store_may_be_retried() -> None:
    for name in ("LD_persist_records", "LD_list_runs", "LD_fetch_run_records"):
        command: Command = TABLE[name]
        assert command.policy == Policy(retries=3, retry_delay_seconds=2, timeout_seconds=600)
