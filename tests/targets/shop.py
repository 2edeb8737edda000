"""The example shop as a test uses it: a process on a free port, with its access log."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["access_rows", "running_shop"]

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running_shop(access_log: Path) -> Iterator[str]:
    """Its address; it ends with the block."""
    command = [sys.executable, str(_ROOT / "examples" / "shop" / "server.py"), "--access-log", str(access_log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


def access_rows(access_log: Path) -> list[dict[str, str]]:
    with access_log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
