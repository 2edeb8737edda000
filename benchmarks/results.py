"""Keeps `RESULTS.md`: one section per benchmark, replaced whole when it runs again with `--write`."""

from __future__ import annotations

import os
import platform
import re
import statistics
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = """# Benchmark results

Each section is the latest run of one benchmark, with the command that made it. Compare ratios, not absolute numbers:
machines differ, and these were shared.
"""


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def spread(values: list[float], form: str) -> str:
    """The median, the least and the most."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def publish(title: str, command: str, text: str, *, write: bool) -> None:
    """Print a section, and with `write` put it into RESULTS.md."""
    section = f"## {title}\n\n`{command}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}\n\n{text}\n"
    print(f"\n{section}")
    if not write:
        return
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    pattern = re.compile(rf"## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}"
    RESULTS.write_text(new, encoding="utf-8")
