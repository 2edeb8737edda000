"""The database that servers of the tests start with."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.prefect_database import with_tables


def test_a_new_home_has_the_tables_of_this_version_of_prefect_and_no_rows(tmp_path: Path) -> None:
    with sqlite3.connect(with_tables(tmp_path / "new") / "prefect.db") as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        assert {"flow_run", "task_run", "deployment", "alembic_version"} <= tables
        assert database.execute("select count(*) from flow_run").fetchone() == (0,)


def test_a_home_that_has_a_database_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"its own")
    assert (with_tables(tmp_path) / "prefect.db").read_bytes() == b"its own"
