"""What `pip install .` gives: one importable name, every file that it needs, a command that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import loadflow
from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (
    "loadflow/py.typed",
    "loadflow/_native.pyi",
    "loadflow/engine/reports/summary_schema.json",
    "loadflow/engine/reports/templates/report.html.j2",
    "loadflow/engine/store/migrations/env.py",
    "loadflow/engine/store/migrations/versions/v0001_runs.py",
    "loadflow/engine/reports/templates/report.css",
    "loadflow/engine/reports/logo.png",
    "loadflow/engine/reports/templates/report.js",
    "loadflow/cli/project/smoke.json",
    "loadflow/cli/project/users.csv",
    "loadflow/cli/project/prefect.yaml",
    "loadflow/cli/project/ci.yaml",
    "loadflow/cli/project/gitignore.txt",
    "loadflow/cli/project/README.md",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that was built before the tests, else one built now."""
    dist = os.environ.get("LOADFLOW_DIST")
    if dist is None:
        # from a copy: building leaves files beside the sources, and two test processes may build at a time
        folder = tmp_path_factory.mktemp("dist")
        shutil.copytree(ROOT / "loadflow", folder / "loadflow", ignore=shutil.ignore_patterns("__pycache__", "_native*.so"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(folder)]
        subprocess.run(pip, check=True, timeout=HANG_S)
        dist = str(folder)
    (found,) = Path(dist).glob("loadflow-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with loadflow in it, and nothing else: what pip does with a wheel, which takes pip alone two seconds of CPU."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_tests_run_against_the_installed_package_when_they_say_so() -> None:
    if os.environ.get("LOADFLOW_INSTALLED") == "1":
        assert "site-packages" in Path(loadflow.__file__).parts


def test_only_loadflow_becomes_importable(installed: Path, tmp_path: Path) -> None:
    """Not the `flows`, `tasks` and `engine` links at the repository's top, nor tests or examples."""
    code = "import pkgutil, sys; print(sorted(module.name for module in pkgutil.iter_modules([sys.argv[1]])))"
    python = [sys.executable, "-I", "-c", code, str(installed)]
    done = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S, check=True)
    assert done.stdout.strip() == "['loadflow']"
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"loadflow"}


def test_every_file_that_is_needed_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert [name for name in NEEDED if name not in names] == []
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "examples/"))]


def test_the_native_core_is_in_the_wheel_where_it_must_be(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        built = [name for name in archive.namelist() if name.startswith("loadflow/_native") and name.endswith(".so")]
    assert built or os.environ.get("LOADFLOW_NATIVE") != "1" or "LOADFLOW_DIST" not in os.environ
    assert len(built) <= 1


def test_the_command_runs_from_elsewhere(installed: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    python = [sys.executable, "-m", "loadflow", "--help"]
    done = subprocess.run(python, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=HANG_S, check=True)
    assert "Run load tests as Prefect flows" in done.stdout


def test_the_version_is_said_once(wheel: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert wheel.name.startswith(f"loadflow-{version}-")
    if os.environ.get("LOADFLOW_INSTALLED") == "1":
        assert loadflow.__version__ == version
