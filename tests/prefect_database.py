"""A Prefect home whose database has its tables already: making them is more than half of what the start of a server costs.

The tables are made once for a session, in a folder that its pytest processes share, and each home gets a copy of the file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.waiting import HANG_S

__all__ = ["VARIABLE", "with_tables"]

VARIABLE = "LOADFLOW_TEST_SHARED"  # the folder
FOLDER = pytest.StashKey[str]()
MAKE = """
import asyncio
from prefect.server.database import provide_database_interface

async def make():
    database = provide_database_interface()
    await database.create_db()
    await (await database.engine()).dispose()

asyncio.run(make())
"""


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[FOLDER] = os.environ[VARIABLE] = tempfile.mkdtemp(prefix="loadflow-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(VARIABLE, None)


def with_tables(home: Path, name: str = "prefect.db") -> Path:
    """`home`, made where it is not there, with an empty database of that name unless it has one."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / name).exists():
        shutil.copyfile(_template(Path(os.environ[VARIABLE])), home / name)
    return home


def _template(folder: Path) -> Path:
    made = folder / "prefect.db"
    with (folder / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            new = folder / "new.db"
            own = {
                "PREFECT_HOME": str(folder),
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{new}",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            }
            env = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_API", "PREFECT_SERVER"))}
            subprocess.run([sys.executable, "-c", MAKE], env={**env, **own}, check=True, timeout=HANG_S)
            assert [path.name for path in folder.glob("new.db*")] == ["new.db"], "the last one to close it leaves one file"
            new.rename(made)
    return made
