"""What the control groups that a process is in give it of the CPU, and what they kept from it: cgroup v1 and v2, Linux only.

All groups from its own up to the root that it sees hold. Nothing here raises where a file is missing: then nothing is known.
https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu, https://docs.kernel.org/scheduler/sched-bwc.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["CpuGroup", "CpuUse", "cpu_groups", "quota_of", "tightest"]

PROC = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Since the group was made. `used_ns` None: not counted there."""

    used_ns: int | None
    periods: int
    throttled: int  # of the periods


@dataclass(frozen=True, slots=True)
class CpuGroup:
    """One group, as files: which of them there are depends on the version. `usage` is where version 1 counts the CPU time."""

    folder: Path
    version: int
    usage: Path | None = None

    def quota(self) -> float | None:
        """How many cores it may use up; None: all."""
        if self.version == 2:
            return quota_of(_text(self.folder / "cpu.max"))
        return quota_of(f"{_text(self.folder / 'cpu.cfs_quota_us').strip()} {_text(self.folder / 'cpu.cfs_period_us').strip()}")

    def use(self) -> CpuUse:
        stat = {words[0]: int(words[1]) for words in map(str.split, _text(self.folder / "cpu.stat").splitlines()) if len(words) == 2}
        if self.version == 2:
            used_ns = stat["usage_usec"] * 1_000 if "usage_usec" in stat else None
        else:
            text = _text(self.usage).strip() if self.usage is not None else ""
            used_ns = int(text) if text.isdigit() else None
        return CpuUse(used_ns, stat.get("nr_periods", 0), stat.get("nr_throttled", 0))


def quota_of(text: str) -> float | None:
    """Of `quota period`, in microseconds; None for "max", -1, or what is none.

    >>> quota_of("150000 100000"), quota_of("max 100000"), quota_of("-1 100000")
    (1.5, None, None)
    """
    words = text.split()
    if len(words) != 2 or not all(map(str.isdigit, words)) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def tightest(groups: list[CpuGroup]) -> tuple[CpuGroup, float] | None:
    """The group with the lowest quota, and that; None where none has one."""
    known = [(quota, number) for number, group in enumerate(groups) if (quota := group.quota()) is not None]
    if not known:
        return None
    quota, number = min(known)
    return groups[number], quota


def cpu_groups(proc: Path = PROC) -> list[CpuGroup]:
    """This process's group and each above it that can be seen. Empty where there are no control groups."""
    mounts = list(_mounts(_text(proc / "mountinfo")))
    paths = [
        (set(line.split(":")[1].split(",")), line.split(":", 2)[2]) for line in _text(proc / "cgroup").splitlines() if line.count(":") > 1
    ]
    found: list[CpuGroup] = []
    for kind, options, root, folder in mounts:
        for names, path in paths:
            if kind == "cgroup2" and names == {""}:
                found += [CpuGroup(one, 2) for one in _upwards(folder, root, path)]
            elif kind == "cgroup" and "cpu" in names & options:
                counted = [one for kind_, options_, _, one in mounts if kind_ == "cgroup" and "cpuacct" in options_]
                usage = counted[0] if counted else folder
                found += [CpuGroup(one, 1, usage / one.relative_to(folder) / "cpuacct.usage") for one in _upwards(folder, root, path)]
    return found


def _mounts(text: str) -> Iterator[tuple[str, set[str], str, Path]]:
    """File system, its options, which part of it, and where; see proc_pid_mountinfo(5)."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        words, about = before.split(), after.split()
        if len(words) >= 5 and len(about) >= 3 and about[0] in ("cgroup", "cgroup2"):
            yield about[0], set(about[2].split(",")), words[3], Path(words[4].replace("\\040", " "))


def _upwards(folder: Path, root: str, path: str) -> Iterator[Path]:
    """The folders of a group and of those above it, up to where its hierarchy is mounted."""
    try:
        inner = PurePosixPath(path).relative_to(root)
    except ValueError:  # a namespace shows another root than the mount has: all that can be seen is the mount itself
        inner = PurePosixPath()
    parts = [part for part in inner.parts if part not in ("/", "..")]
    for depth in range(len(parts), -1, -1):
        yield folder.joinpath(*parts[:depth])


def _text(path: Path) -> str:
    """ "" where it can't be read."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
