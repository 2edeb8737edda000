"""`loadflow init`: a project to start from."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import click

from loadflow.cli.console import echo, echo_lines

__all__ = ["FILES", "PYTHON_FILES", "init"]

# where a file goes: which template it is made from
FILES = {
    "scripts/smoke.json": "smoke.json",
    "data/users.csv": "users.csv",
    "prefect.yaml": "prefect.yaml",
    ".github/workflows/load.yaml": "ci.yaml",
    ".gitignore": "gitignore.txt",
    "README.md": "README.md",
}
# with --python; their names are not those of modules, which this package would have
PYTHON_FILES = {"scenarios/example.py": "example.py.txt", "tests/test_load.py": "test_load.py.txt"}


@click.command(short_help="Create a project: a script, data, deployment, CI.")
@click.argument("path", type=click.Path(file_okay=False), default=".")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option("--python", "in_python", is_flag=True, help="Add scenarios/example.py: a scenario in Python, and a test of it.")
def init(path: str, force: bool, in_python: bool) -> None:
    """Create a project in the folder PATH (default: this one): scripts/smoke.json, data/users.csv, prefect.yaml, CI, .gitignore, README.md.

    Existing files are kept, unless --force is given.
    """
    root = Path(path)
    if root.suffix in (".py", ".json"):
        raise click.UsageError(f"{root} is the name of a file, and a project is a folder; give the folder's name, or none for this folder")
    files = {**FILES, **(PYTHON_FILES if in_python else {})}
    there = [name for name in files if (root / name).exists()]
    if there and not force:
        raise click.UsageError(f"{root} has {', '.join(there)} already; give another folder, or --force to overwrite")
    project = re.sub(r"[^A-Za-z0-9]+", "-", root.resolve().name).strip("-").lower() or "load"
    templates = resources.files("loadflow.cli") / "project"
    for name, template in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((templates / template).read_text(encoding="utf-8").replace("PROJECT", project), encoding="utf-8")
        echo(f"{'overwrote' if name in there else 'made'} {target}")
    enter = "" if root == Path() else f"\n  cd {root}"
    if in_python:
        echo_lines(
            f"""
next:{enter}
  loadflow check scenarios/example.py
  loadflow run scenarios/example.py --target http://127.0.0.1:8000      (your own system's address)
  pytest tests --load-target http://127.0.0.1:8000"""
        )
        return
    echo_lines(
        f"""
next:{enter}
  loadflow check scripts/smoke.json --var base=http://127.0.0.1:8000
  loadflow run scripts/smoke.json --var base=http://127.0.0.1:8000      (your own system's address)
  loadflow reports serve --port 8090      (the links on Prefect's pages lead there: LOADFLOW_REPORTS_URL in prefect.yaml)"""
    )
