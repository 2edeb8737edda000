"""What this machine gives a load generator: cores, what a container may use of them, files, ports, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from loadflow.engine.calibration.value import Machine

__all__ = ["cpu_quota_of", "ports_of", "this_machine", "version_of"]

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def this_machine() -> Machine:
    import resource

    return Machine(
        host=platform.node(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_quota=cpu_quota_of(_cpu_limits()),
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


def cpu_quota_of(limits: Iterable[str]) -> float | None:
    """The tightest of texts as in a cpu.max of cgroup v2, in cores: quota and period in microseconds, or "max": none.

    >>> cpu_quota_of(["max 100000", "150000 100000"])
    1.5
    """
    quotas = [int(words[0]) / int(words[1]) for words in map(str.split, limits) if len(words) == 2 and all(map(str.isdigit, words))]
    return min(quotas, default=None)


def version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu_limits() -> list[str]:
    """Of this process's group and of each above it, all of which hold; in a container its own group is the root that it sees."""
    own = next((line[3:].strip("/\n") for line in _text(OWN_CGROUP).splitlines() if line.startswith("0::")), "")
    folder = CGROUPS / own
    return [_text(one / "cpu.max") for one in (folder, *folder.parents) if one.is_relative_to(CGROUPS)]


def _text(path: Path) -> str:
    """ "" where it can't be read: another system, or not allowed."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
