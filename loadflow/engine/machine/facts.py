"""What this machine gives a load generator: cores, what a container may use of them, files, ports, versions."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from loadflow.engine.machine.calibration import Machine
from loadflow.engine.machine.cgroup import cpu_groups, tightest

__all__ = ["ports_of", "this_machine", "version_of"]

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def this_machine() -> Machine:
    import resource

    return Machine(
        host=platform.node(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_quota=limit[1] if (limit := tightest(cpu_groups())) else None,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],  # engines raise theirs to the hard limit
        local_ports=ports_of(_text(PORT_RANGE)),
    )


def ports_of(text: str) -> int | None:
    """How many ports the range `first last` has.

    >>> ports_of("32768\\t60999")
    28232
    """
    parts = text.split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[1]) - int(parts[0]) + 1


@cache
def version_of(package: str) -> str:
    """As it is installed; each is looked for once."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _text(path: Path) -> str:
    """ "" where it can't be read: another system, or not allowed."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
