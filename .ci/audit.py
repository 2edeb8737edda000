"""Looks the locked packages up in the advisory databases: constraints.txt with pip-audit, native/Cargo.lock with cargo audit.

Exits with 1 when an advisory is known for a locked version. Without a tool or its database it says that nothing was looked up,
which is a failure only where LOADFLOW_REQUIRE_ADVISORIES=1 demands it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Audit:
    """`known`: a line for each advisory; `missing`: a line for what could not be looked up; `looked_up`: how many packages were."""

    known: list[str]
    missing: list[str]
    looked_up: int


def python_audit(found: Mapping[str, Any]) -> Audit:
    """Of what `pip-audit --format json` wrote."""
    known, missing, looked_up = [], [], 0
    for package in found["dependencies"]:
        if "skip_reason" in package:
            missing.append(f"{package['name']}: {package['skip_reason']}")
            continue
        looked_up += 1
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version"
            known.append(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    return Audit(known, missing, looked_up)


def rust_audit(found: Mapping[str, Any]) -> Audit:
    """Of what `cargo audit --json` wrote."""
    known = []
    for one in found["vulnerabilities"]["list"]:
        fixed = ", ".join(one["versions"]["patched"]) or "no version"
        known.append(f"{one['package']['name']} {one['package']['version']}: {one['advisory']['id']}, fixed in {fixed}")
    return Audit(known, [], found["lockfile"]["dependency-count"])


def verdict(audits: Mapping[str, Audit], *, demanded: bool) -> tuple[list[str], int]:
    """The lines to print, and the exit code. `audits` by the name of the file that was looked up."""
    lines, failed = [], False
    for name, audit in audits.items():
        lines += [f"{name}: {line}" for line in audit.known]
        failed = failed or bool(audit.known)
        if not audit.looked_up:
            lines.append(f"{name}: nothing was looked up, there is no advisory database here ({audit.missing[0]})")
        else:
            lines.append(f"{name}: {audit.looked_up} packages looked up, {len(audit.known)} advisories")
            lines += [f"{name}: not looked up: {line}" for line in audit.missing]
        failed = failed or (demanded and bool(audit.missing))
    if failed and not any(audit.known for audit in audits.values()):
        lines.append("LOADFLOW_REQUIRE_ADVISORIES=1 demands that every package is looked up")
    return lines, int(failed)


def run(command: list[str]) -> Mapping[str, Any] | str:
    """The JSON that the tool wrote; else, in words, why there is none."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end within 600 s"
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return (done.stderr.strip().splitlines() or [f"{command[0]} wrote nothing"])[-1]


def main() -> int:
    python = ["-m", "pip_audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--format", "json"]
    audits = {}
    for name, command, read in (
        ("constraints.txt", [sys.executable, *python], python_audit),
        ("native/Cargo.lock", ["cargo", "audit", "--json", "--file", "native/Cargo.lock"], rust_audit),
    ):
        found = run(command)
        audits[name] = Audit([], [found], 0) if isinstance(found, str) else read(found)
    lines, code = verdict(audits, demanded=os.environ.get("LOADFLOW_REQUIRE_ADVISORIES") == "1")
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
