"""Runs the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import HANG_S

__all__ = ["Done", "command", "environment", "load", "loadflow", "start", "steps_script"]

LIMIT_S = HANG_S


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def command(*arguments: str | os.PathLike[str]) -> list[str]:
    return [sys.executable, "-m", "loadflow", *map(str, arguments)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's, with run folders below `folder`."""
    return {**os.environ, "LOADFLOW_RUNS_DIR": str(folder / "runs"), "NO_COLOR": "1", **more}


def loadflow(folder: Path, *arguments: str | os.PathLike[str], stdin: str = "", **more: str) -> Done:
    """Run it to its end; `more` are environment variables."""
    env = environment(folder, **more)
    done = subprocess.run(
        command(*arguments), cwd=folder, env=env, input=stdin, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def start(folder: Path, *arguments: str | os.PathLike[str], **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(folder, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def load(url: str, **keys: Any) -> list[Any]:
    """One short LD_start_test on `url`."""
    step = {"method": "get", "request_url": url, **keys.pop("step", {})}
    quick = {"user_count": 2, "spawn_rate": 10, "test_time": 1, "wait_time": 0.02}
    return ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, **quick, "tasks": [step], **keys}]


def steps_script(folder: Path, *actions: list[Any], name: str = "script.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(actions)), encoding="utf-8")
    return path
