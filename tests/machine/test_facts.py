"""What the system's own files say of a machine."""

import pytest

from loadflow.engine.machine.facts import ports_of, this_machine


@pytest.mark.parametrize(("text", "ports"), [("32768\t60999\n", 28_232), ("5 5", 1), ("", None), ("many", None), ("1 -2", None)])
def test_local_ports(text: str, ports: int | None) -> None:
    assert ports_of(text) == ports


def test_this_machine_has_all_of_it() -> None:
    found = this_machine()
    assert found.host
    assert found.cores >= 1
    assert found.usable_cores > 0
    assert found.open_files > 0
