"""What a load generator has to tell so that it can be compared: how it is installed, asked for load, and read."""

from __future__ import annotations

import re
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

__all__ = ["NOT_INSTALLED", "PEERS_DIR", "Load", "Missing", "Peer", "Said", "Unreadable", "first_version", "ms"]

NOT_INSTALLED = "not installed: `python -m benchmarks.compare --install`"
PEERS_DIR = Path(__file__).parent.parent / ".peers"


class Missing(Exception):
    """The tool is not there; the message is the reason, for the table."""


class Unreadable(Exception):
    """The tool ended, but its report does not hold what it should."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a tool is asked for. `rate` None: a closed loop. `folder` is empty and its own."""

    url: str
    seconds: int
    connections: int
    folder: Path
    rate: int | None = None

    @property
    def senders(self) -> int:
        """Connections, but no more than requests a second: tools that split a rate over connections can't go below one each."""
        return self.connections if self.rate is None else min(self.connections, self.rate)


@dataclass(frozen=True, slots=True)
class Said:
    """A tool's own report; None where it does not say."""

    requests: int
    errors: int | None
    p99_ms: float | None
    max_ms: float | None


class Peer(ABC):
    name: ClassVar[str]
    source: ClassVar[str]  # where it comes from, for people
    rate_mode: ClassVar[str | None] = None  # how it keeps a rate, in a few words; None: it has no rate
    times: ClassVar[str] = "sending"  # from when its times count, at a rate if it has one

    @abstractmethod
    def install(self) -> None:
        """Puts the tool where `version` and `command` find it. Raises Missing with the reason where that fails."""

    @abstractmethod
    def version(self) -> str:
        """What the installed tool says of itself. Raises Missing."""

    @abstractmethod
    def command(self, load: Load) -> list[str]:
        """May write files that the tool needs into `load.folder`."""

    @abstractmethod
    def read(self, output: str, load: Load) -> Said:
        """`output` is what it wrote to stdout. Raises Unreadable."""


def first_version(command: list[str | Path]) -> str:
    """The first thing like 1.2.3 that a command prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(NOT_INSTALLED) from error
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    if found is None:
        raise Missing(f"{command[0]} does not say its version")
    return found.group()


def ms(text: str) -> float:
    """Milliseconds from a time like `1.31ms`, `520us`, `2.5s` or `1.2m`."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(ns|us|µs|ms|s|m)\s*", text)
    if found is None:
        raise Unreadable(f"no length of time: {text!r}")
    return float(found.group(1)) * {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found.group(2)]
