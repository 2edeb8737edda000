"""Where a calibration is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadflow.engine.machine.facts import this_machine
from loadflow.engine.machine.kept import calibration_path, ceiling_of_run, read_calibration, write_calibration
from loadflow.errors import RunError
from tests.machine.machines import calibration

HOME = Path.home()
PLACES = [
    ("by default among the caches", {}, HOME / ".cache/loadflow/calibration.json"),
    ("where caches are", {"XDG_CACHE_HOME": "/var/cache/ann"}, Path("/var/cache/ann/loadflow/calibration.json")),
    ("a relative folder for caches is none", {"XDG_CACHE_HOME": "cache"}, HOME / ".cache/loadflow/calibration.json"),
    ("a place of its own", {"LOADFLOW_CALIBRATION": "~/mine.json", "XDG_CACHE_HOME": "/var/cache/ann"}, HOME / "mine.json"),
]


@pytest.mark.parametrize(("environment", "path"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_place(environment: dict[str, str], path: Path) -> None:
    assert calibration_path(environment) == path


def test_what_was_written_is_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "made" / "calibration.json"
    assert read_calibration(path) is None
    write_calibration(path, calibration())
    assert read_calibration(path) == calibration()
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_can_not_be_written_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"can't be written .*set LOADFLOW_CALIBRATION"):
        write_calibration(tmp_path / "file" / "calibration.json", calibration())


def test_a_broken_file_is_no_ceiling_and_the_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"format": "loadfl', encoding="utf-8")
    with pytest.raises(RunError, match="`loadflow calibrate` makes it anew"):
        read_calibration(path)
    monkeypatch.setenv("LOADFLOW_CALIBRATION", str(path))
    ceiling = ceiling_of_run("native", "fast_http_user", 1, None)
    assert ceiling is not None
    assert "can't be read" in ceiling.unused


def test_a_run_on_the_calibrated_machine_has_its_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration(this_machine()).to_json()), encoding="utf-8")
    monkeypatch.setenv("LOADFLOW_CALIBRATION", str(path))
    ceiling = ceiling_of_run("native", "fast_http_user", 1, 5.0)
    assert ceiling is not None
    assert (ceiling.hits_per_s, ceiling.asked_per_s, ceiling.unused) == (1000.0, 5.0, "")
    assert ceiling_of_run("native", "grpc_user", 1, 5.0) is None
