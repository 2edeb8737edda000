"""The example runs as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.targets.fixture import Target
from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_the_example_of_two_agents_makes_all_of_its_load(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    command = tmp_path / "bin" / "loadflow"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m loadflow "$@"\n')
    command.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PORT": str(port),
        "LOADFLOW_RUNS_DIR": str(tmp_path / "runs"),
    }
    script = ["sh", str(ROOT / "examples" / "two_agents.sh"), f"{target.url}/ok"]
    done = subprocess.run(script, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (done.returncode, target.counts()) == (0, {"/ok": 1000}), done.stderr
    assert done.stdout.count("500 hits, all received by the coordinator") == 2
