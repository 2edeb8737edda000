"""What `make test-times` prints."""

from __future__ import annotations

import json

from tests.cpu_tree import CpuTree, Row, row_of
from tests.times import ends, most, table


def test_the_sums_of_each_folder_most_first() -> None:
    measured = [
        ("tests/plan/t.py::z", 0.5, 0.5),
        ("tests/load/test_a.py::test_x[1]", 3.0, 1.5),
        ("tests/load/test_b.py::test_y", 1.0, 0.25),
        ("(before)", 9.0, 1.0),
    ]
    lines = [json.dumps({"test": name, "wall_s": wall, "cpu_s": cpu}) for name, wall, cpu in measured]
    assert [line.split() for line in table(lines)[1:]] == [
        ["all", "4", "13.5", "3.2"],
        ["tests/load", "2", "4.0", "1.8"],
        ["(before)", "1", "9.0", "1.0"],
        ["tests/plan", "1", "0.5", "0.5"],
    ]


def test_the_longest_tests_and_how_long_each_worker_had_nothing_to_do() -> None:
    measured = [
        ("(before the workers)", "", 1.0, 1.0),
        ("t.py::a", "gw0", 10.0, 2.0),
        ("t.py::b", "gw1", 7.0, 9.0),
        ("t.py::c", "gw1", 4.0, 1.0),
    ]
    lines = [json.dumps({"test": name, "worker": worker, "end_s": end, "wall_s": wall}) for name, worker, end, wall in measured]
    assert most(lines, "wall_s", 2) == ["     9.0 wall s  t.py::b", "     2.0 wall s  t.py::a"]
    assert ends(lines) == ["gw1 idle for the last 3 s"]


def row(parent: int, ticks: int, started: int = 1) -> Row:
    return Row(parent, started, ticks)


def test_seconds_of_a_process_are_counted_once_whoever_waited_for_it() -> None:
    """In hundredths of a second; process 1 has what lost its parent, 9 is somebody else's."""
    tree = CpuTree(2)
    assert tree.total_s({1: row(0, 500), 2: row(1, 10), 9: row(1, 70)}) == 0.10
    assert tree.total_s({1: row(0, 500), 2: row(1, 10), 3: row(2, 5), 4: row(3, 2), 9: row(1, 70)}) == 0.17
    # 4 was waited for by 3; 5 lost its parent before anybody looked at it
    assert tree.total_s({1: row(0, 500), 2: row(1, 10), 3: row(2, 7), 5: row(1, 3), 9: row(1, 70)}) == 0.17
    # 3 is gone, with what it had waited for, into 2
    assert tree.total_s({1: row(0, 500), 2: row(1, 18), 6: row(2, 4), 7: row(6, 6), 9: row(1, 70)}) == 0.28
    # 7 lost its parent, and is remembered
    assert tree.total_s({1: row(0, 500), 2: row(1, 22), 7: row(1, 8), 9: row(1, 70)}) == 0.30
    # and is gone: what it had counts on, also when another process has its number
    assert tree.total_s({1: row(0, 509), 2: row(1, 22), 7: row(1, 90, started=2), 9: row(1, 70)}) == 0.30


def test_a_row_of_proc_is_read_whatever_the_name_of_the_program_is() -> None:
    stat = "12 (a (b) c) S 7 12 12 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 555 8 9"
    assert row_of(stat) == Row(7, 555, 127)
