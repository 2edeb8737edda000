"""A Prefect home whose database has its tables already: making them is more than half of what the start of a server costs.

The tables are made once for an environment and a version of Prefect, and kept beside its packages where that is allowed. Each home gets a
copy of the file.

What else a server or client of Prefect's does at its start and no test is about is left out, by `SETTINGS`, in all that the session starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import certifi
import pytest

from tests.waiting import HANG_S

__all__ = ["OF_CONTAINERS", "SETTINGS", "VARIABLE", "with_tables"]

VARIABLE = "LOADFLOW_TEST_SHARED"  # the folder
ROOT = Path(__file__).resolve().parents[1]
KEPT = Path(sys.prefix) / f"prefect-{version('prefect')}-of-tests.db"
FOLDER = pytest.StashKey[str]()
SETTINGS = {
    # a server writes the 54 kinds of blocks that Prefect comes with into its database: those that a test saves are written then
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    # what no test waits for is looked for every five seconds otherwise, by each server, as long as it is there
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "600",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "600",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "600",
    # a schedule has a hundred runs in the database otherwise, as soon as it is deployed
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "3",
    # each client reads the certificates of all authorities, 40 ms, before it speaks plain HTTP: one is enough
    "PREFECT_API_SSL_CERT_FILE": "authority.pem",
}
# of a worker that starts containers: it gives them its own settings, and they do not have the file
OF_CONTAINERS = {"PREFECT_API_SSL_CERT_FILE": ""}


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[FOLDER] = os.environ[VARIABLE] = tempfile.mkdtemp(prefix="loadflow-tests-")
        authority = Path(os.environ[VARIABLE], SETTINGS["PREFECT_API_SSL_CERT_FILE"])
        authority.write_text(first_certificate(Path(certifi.where()).read_text(encoding="utf-8")), encoding="utf-8")
        os.environ.update(SETTINGS, PREFECT_API_SSL_CERT_FILE=str(authority))


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)
        for name in (VARIABLE, *SETTINGS):
            os.environ.pop(name, None)


def first_certificate(text: str) -> str:
    """Of some in PEM, with what is said of it before."""
    end = "-----END CERTIFICATE-----"
    return text[: text.index(end) + len(end)] + "\n"


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
        if not made.exists() and KEPT.exists():
            shutil.copyfile(KEPT, made)
        if not made.exists():
            new = folder / "new.db"
            own = {
                "PREFECT_HOME": str(folder),
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{new}",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            }
            env = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_API", "PREFECT_SERVER"))}
            subprocess.run([sys.executable, "-m", "tests.prefect_tables"], cwd=ROOT, env={**env, **own}, check=True, timeout=HANG_S)
            assert [path.name for path in folder.glob("new.db*")] == ["new.db"], "the last one to close it leaves one file"
            with suppress(OSError):  # an environment of somebody else's
                beside = Path(shutil.copyfile(new, KEPT.with_suffix(f".{os.getpid()}")))
                beside.replace(KEPT)
            new.rename(made)
    return made
