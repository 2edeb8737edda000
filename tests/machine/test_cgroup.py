"""What a process's control groups give it: made-up /proc files and folders of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadflow.engine.machine.cgroup import CpuUse, cpu_groups, quota_of, tightest

QUOTAS = [
    ("no limit", "max 100000\n", None),
    ("a core and a half", "150000 100000\n", 1.5),
    ("version 1 without a limit", "-1 100000", None),
    ("a file that can't be read", "", None),
    ("nonsense", "much", None),
    ("a period of nothing", "5 0", None),
]


@pytest.mark.parametrize(("text", "quota"), [row[1:] for row in QUOTAS], ids=[row[0] for row in QUOTAS])
def test_a_quota_is_cores(text: str, quota: float | None) -> None:
    assert quota_of(text) == quota


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="ascii")


def test_version_2_the_tightest_group_above_holds(tmp_path: Path) -> None:
    root = tmp_path / "cg"
    write(tmp_path, cgroup="0::/pods/one\n", mountinfo=f"30 23 0:26 / {root} rw,nosuid - cgroup2 cgroup2 rw\n")
    write(root, cpu__stat="usage_usec 9\n")
    write(root / "pods", cpu__max="5000 100000", cpu__stat="usage_usec 250\nnr_periods 40\nnr_throttled 30\nthrottled_usec 7\n")
    write(root / "pods" / "one", cpu__max="max 100000", cpu__stat="usage_usec 200\n")
    found = tightest(cpu_groups(tmp_path))
    assert found is not None
    assert (found[0].folder, found[1]) == (root / "pods", 0.05)
    assert found[0].use() == CpuUse(250_000, 40, 30)


def test_version_1_counts_what_was_used_in_another_hierarchy(tmp_path: Path) -> None:
    cpu, acct = tmp_path / "cpu", tmp_path / "cpuacct"
    mounts = f"31 23 0:28 / {cpu} rw - cgroup cgroup rw,cpu\n32 23 0:29 / {acct} rw - cgroup cgroup rw,cpuacct\n"
    write(tmp_path, cgroup="4:cpuacct:/job\n3:cpu:/job\n1:name=systemd:/\n", mountinfo=mounts)
    write(cpu, cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    write(
        cpu / "job",
        cpu__cfs_quota_us="50000\n",
        cpu__cfs_period_us="100000\n",
        cpu__stat="nr_periods 8\nnr_throttled 3\nthrottled_time 5\n",
    )
    write(acct / "job", cpuacct__usage="123456\n")
    found = tightest(cpu_groups(tmp_path))
    assert found is not None
    assert (found[0].folder, found[1]) == (cpu / "job", 0.5)
    assert found[0].use() == CpuUse(123_456, 8, 3)


def test_a_container_sees_its_group_as_the_root_of_the_mount(tmp_path: Path) -> None:
    cpu = tmp_path / "cpu,cpuacct"
    mounts = f"31 23 0:28 /docker/abc {cpu} ro - cgroup cgroup rw,cpu,cpuacct\n"
    write(tmp_path, cgroup="3:cpu,cpuacct:/docker/abc\n", mountinfo=mounts)
    write(cpu, cpu__cfs_quota_us="200000\n", cpu__cfs_period_us="100000\n", cpuacct__usage="7\n")
    found = tightest(cpu_groups(tmp_path))
    assert found is not None
    assert (found[0].folder, found[1], found[0].use().used_ns) == (cpu, 2.0, 7)


def test_where_there_is_none_nothing_is_known(tmp_path: Path) -> None:
    assert cpu_groups(tmp_path) == []
    assert tightest([]) is None
