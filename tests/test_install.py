"""`.ci/install.py`, which makes the environment of `make demo`: a failure is told, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import psutil
import pytest

FILE = Path(__file__).resolve().parents[1] / ".ci" / "install.py"
# stands for pip: the packages fail once the core's compiler, a grandchild, is running
PIP = """#!{python}
import pathlib, subprocess, sys, time
here = pathlib.Path({folder!r})
if "--editable" in sys.argv:
    here.joinpath("compiler.pid").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    time.sleep(600)
while not here.joinpath("compiler.pid").exists() or not here.joinpath("compiler.pid").read_text():
    time.sleep(0.05)
print("Collecting prefect")
print("ERROR: No matching distribution found for prefect")
sys.exit(1)
"""


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_install", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def create(folder: Path, **given: object) -> None:
        (folder / "bin").mkdir(parents=True)
        pip = folder / "bin" / "pip"
        pip.write_text(PIP.format(python=sys.executable, folder=str(tmp_path)), encoding="utf-8")
        pip.chmod(0o755)

    monkeypatch.setattr(module.venv, "create", create)
    return module


def test_what_failed_is_printed_and_the_other_is_ended(install: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert install.main(tmp_path / "made") == 1
    said = capfd.readouterr()
    assert said.out.splitlines()[0].startswith("Making made: pip fetches")
    assert "No matching distribution found for prefect" in said.err
    compiler = int((tmp_path / "compiler.pid").read_text())
    assert not psutil.pid_exists(compiler) or psutil.Process(compiler).status() == psutil.STATUS_ZOMBIE
