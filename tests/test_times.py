"""What `make test-times` prints."""

from __future__ import annotations

import json

from tests.times import ends, longest, table


def test_the_sums_of_each_folder_the_longest_first() -> None:
    measured = [
        ("tests/load/test_a.py::test_x[1]", 3.0, 0.5, 1.0),
        ("tests/load/test_b.py::test_y", 1.0, 0.25, 0),
        ("tests/plan/t.py::z", 0.5, 0.5, 0),
    ]
    lines = [json.dumps({"test": name, "wall_s": wall, "own_s": own, "children_s": children}) for name, wall, own, children in measured]
    assert [line.split() for line in table(lines)[1:]] == [
        ["all", "3", "4.5", "2.2"],
        ["tests/load", "2", "4.0", "1.8"],
        ["tests/plan", "1", "0.5", "0.5"],
    ]


def test_the_longest_tests_and_how_long_each_worker_had_nothing_to_do() -> None:
    measured = [("t.py::a", "gw0", 10.0, 2.0), ("t.py::b", "gw1", 7.0, 9.0), ("t.py::c", "gw1", 4.0, 1.0)]
    lines = [json.dumps({"test": name, "worker": worker, "end_s": end, "wall_s": wall}) for name, worker, end, wall in measured]
    assert longest(lines, 2) == ["     9.0 s  t.py::b", "     2.0 s  t.py::a"]
    assert ends(lines) == ["gw1 idle for the last 3 s"]
