"""What the system's own files say of a machine."""

import pytest

from loadflow.engine.calibration.machine import cpu_quota_of, ports_of, this_machine

QUOTAS = [
    ("no cgroup", [], None),
    ("no limit", ["max 100000\n"], None),
    ("a core and a half", ["150000 100000\n"], 1.5),
    ("the tightest of all holds", ["max 100000", "200000 100000", "50000 100000"], 0.5),
    ("a file that can't be read", ["", "100000 100000"], 1.0),
    ("nonsense", ["-1 100000", "much"], None),
]


@pytest.mark.parametrize(("texts", "quota"), [row[1:] for row in QUOTAS], ids=[row[0] for row in QUOTAS])
def test_cpu_quota(texts: list[str], quota: float | None) -> None:
    assert cpu_quota_of(texts) == quota


@pytest.mark.parametrize(("text", "ports"), [("32768\t60999\n", 28_232), ("5 5", 1), ("", None), ("many", None), ("1 -2", None)])
def test_local_ports(text: str, ports: int | None) -> None:
    assert ports_of(text) == ports


def test_this_machine_has_all_of_it() -> None:
    found = this_machine()
    assert found.host
    assert found.cores >= 1
    assert found.usable_cores > 0
    assert found.open_files > 0
