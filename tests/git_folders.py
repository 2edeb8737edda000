"""Git repositories of a test's own: a bare one, and a clone of it with a branch that is pushed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["git", "pushed"]

WHO = ("-c", "user.name=A test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True)


def pushed(remote: Path, clone: Path, files: Mapping[str, str]) -> Path:
    """`clone`, with the `files` on the branch main of `remote`."""
    remote.mkdir()
    git(remote, "init", "--bare", "--initial-branch", "main")
    git(remote.parent, "clone", str(remote), str(clone))
    git(clone, "checkout", "-B", "main")
    for name, text in files.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)
    git(clone, "add", "--all")
    git(clone, "commit", "--message", "scripts")
    git(clone, "push", "origin", "main")
    return clone
