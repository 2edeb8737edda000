"""prefect.yaml as the tests of ends deploy it: in a folder and a work pool of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.ends.processes import Stage

__all__ = ["TOP", "deploy", "project_file", "python"]

TOP = Path(__file__).resolve().parents[2]


def project_file() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((TOP / "prefect.yaml").read_text(encoding="utf-8"))
    return document


def deploy(on: Stage, document: dict[str, Any]) -> None:
    """All of the document's deployments, in a new pool with the name of the stage."""
    for deployment in document["deployments"]:
        deployment["work_pool"]["name"] = on.name
    (on.folder / "prefect.yaml").write_text(yaml.safe_dump(document))
    template = TOP / "deployments" / "work-pools" / "process.json"
    python(on, "-m", "prefect", "work-pool", "create", "--type", "process", "--base-job-template", str(template), on.name)
    python(on, "-m", "prefect", "--no-prompt", "deploy", "--all")


def python(on: Stage, *arguments: str, folder: Path | None = None) -> str:
    """What a Python process prints, in `folder` or the stage's, on its server; it has to end well."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder or on.folder, env=on.env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
