"""prefect.yaml as the tests of ends deploy it: in a folder and a work pool of the test's own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from loadflow.cli import main
from tests.ends.processes import Stage

__all__ = ["POOL", "TOP", "deploy", "loadflow", "project_file", "python"]

TOP = Path(__file__).resolve().parents[2]
POOL = TOP / "deployments" / "work-pools" / "process.json"


def project_file() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((TOP / "prefect.yaml").read_text(encoding="utf-8"))
    return document


def deploy(on: Stage, document: dict[str, Any]) -> None:
    """All of the document's deployments by `prefect deploy`, in a new pool with the name of the stage."""
    for deployment in document["deployments"]:
        deployment["work_pool"]["name"] = on.name
    (on.folder / "prefect.yaml").write_text(yaml.safe_dump(document))
    on.server.ask("POST", "/work_pools/", {"name": on.name, "type": "process", "base_job_template": json.loads(POOL.read_text())})
    python(on, "-m", "prefect", "--no-prompt", "deploy", "--all")


def python(on: Stage, *arguments: str, folder: Path | None = None) -> str:
    """What a Python process prints, in `folder` or the stage's, on its server; it has to end well."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder or on.folder, env=on.env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loadflow(on: Stage, *arguments: str, folder: Path | None = None) -> str:
    """What the command prints, in this process, which has imported Prefect; otherwise as `python`."""
    settings = {PREFECT_API_URL: on.server.url, PREFECT_HOME: on.server.home}
    with temporary_settings(settings), contextlib.chdir(folder or on.folder):
        done = CliRunner().invoke(main, arguments, env={"LOADFLOW_RUNS_DIR": str(on.runs_dir)})
    assert done.exit_code == 0, done.output
    return done.output
