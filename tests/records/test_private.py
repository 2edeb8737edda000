"""What a run leaves is for its owner alone, whatever the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadflow.engine.base.private import opener
from loadflow.engine.commands.ld_generate_csv_report import generate_csv_report
from loadflow.engine.commands.ld_persist_records import persist_records
from loadflow.engine.session.session import Session, use_session
from tests.load.harness import get, load
from tests.targets.fixture import Target


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("user", ["native", pytest.param("fast_http_user", marks=pytest.mark.long)])
def test_a_run_folder_and_all_that_is_in_it(user: str, target: Target, tmp_path: Path) -> None:
    run = load(tmp_path, [get(f"{target.url}/status/500", name="x"), get(f"{target.url}/ok")], user=user).run
    assert mode(run.folder) == 0o700
    found = {path.name: oct(mode(path)) for path in run.folder.rglob("*") if path.is_file()}
    assert {
        "run.json",
        "summary.json",
        "report.html",
        "samples-0.ndjson",
        "hits-0.bin",
        "snapshots.ndjson",
        "supervisor.log",
    } <= found.keys()
    assert set(found.values()) == {"0o600"}, found


def test_a_store_is_too(tmp_path: Path, target: Target) -> None:
    tmp_path.chmod(0o755)
    with use_session(Session(runs_dir=tmp_path / "runs")) as session:
        run = load(tmp_path, [get(f"{target.url}/ok")]).run
        session.keep(run)
        persist_records(str(tmp_path / "runs.db"))
        there = generate_csv_report(str(tmp_path / "hits"))
    files = {path.name: oct(mode(path)) for path in tmp_path.glob("runs.db*")}
    assert set(files.values()) == {"0o600"}, files
    assert mode(Path(there)) == 0o666  # where its owner put it: as open as the folder's umask says


def test_a_file_is_as_private_as_its_folder(tmp_path: Path) -> None:
    for folder, wanted in ((0o700, 0o600), (0o755, 0o666)):
        (tmp_path / oct(folder)).mkdir()
        (tmp_path / oct(folder)).chmod(folder)
        with open(tmp_path / oct(folder) / "x", "w", opener=opener):
            pass
        assert mode(tmp_path / oct(folder) / "x") == wanted
