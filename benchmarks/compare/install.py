"""Installs tools, each with the client of its own registry, into `benchmarks/.peers/`; Debian's packages into the system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

from benchmarks.compare.peer import NOT_INSTALLED, PEERS_DIR, Missing

__all__ = ["BIN", "cargo", "debian", "debian_version", "go", "go_version", "npm", "python_env", "python_of"]

BIN = PEERS_DIR / "bin"
LIMIT_S = 1800.0


def debian(package: str) -> None:
    _run(["apt-get", "update"])
    _run(["apt-get", "install", "-y", "--no-install-recommends", package], {"DEBIAN_FRONTEND": "noninteractive"})


def debian_version(package: str) -> str:
    """For programs that do not say theirs: 0.1.4 of 0.1.4-2+b4."""
    if shutil.which(package) is None:
        raise Missing(NOT_INSTALLED)
    return _said(["dpkg-query", "-W", "-f", "${Version}", package]).split("-")[0]


def go(module: str) -> None:
    _run(["go", "install", module], {"GOBIN": str(BIN)})


def go_version(program: str) -> str:
    """From what Go wrote into the program: the module and version that it was built from."""
    found = re.search(r"^\s+mod\s+\S+\s+v(\S+)", _said(["go", "version", "-m", str(BIN / program)]), re.MULTILINE)
    if found is None:
        raise Missing(NOT_INSTALLED)
    return found.group(1)


def npm(package: str) -> None:
    _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(PEERS_DIR / "npm"), package])


def cargo(crate: str, version: str) -> None:
    with tempfile.TemporaryDirectory() as target:
        kept = os.environ.get("CARGO_TARGET_DIR", target)
        root = ["--root", str(PEERS_DIR), "--locked", "--no-track"]
        _run(["cargo", "install", *root, f"{crate}@{version}"], {"CARGO_TARGET_DIR": kept})


def python_env(name: str, *packages: str) -> None:
    """An environment of its own: what one needs may not be what another can stand."""
    venv.create(PEERS_DIR / name, with_pip=True)
    _run([str(python_of(name)), "-m", "pip", "install", "--quiet", *packages])


def python_of(name: str) -> Path:
    return PEERS_DIR / name / "bin" / "python"


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(NOT_INSTALLED) from error


def _run(command: list[str], more: dict[str, str] | None = None) -> None:
    """Raises Missing with the last line of what the installer said."""
    if shutil.which(command[0]) is None:
        raise Missing(f"can't be installed: no {command[0]} here")
    PEERS_DIR.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            ["nice", *command],
            env={**os.environ, **(more or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"can't be installed: `{command[0]}` took longer than {LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()] or ["nothing said"]
        raise Missing(f"can't be installed: {said[-1].strip()[:200]}")
