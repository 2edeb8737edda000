"""Which test a worker takes next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.order import known_seconds, longest_first, merged, name_of, turned


@pytest.mark.parametrize(
    ("costs", "order"),
    [
        pytest.param([("", 1), ("", 3), ("", 2)], [1, 2, 0], id="the longest test first"),
        pytest.param([("", 2), ("a", 1), ("", 0), ("a", 1.5)], [1, 3, 0, 2], id="a group is as long as its tests, which stay together"),
        pytest.param([("", 1), ("", 1), ("", 1)], [0, 1, 2], id="equals stay as they are"),
        pytest.param([("b", 1), ("a", 1), ("b", 0), ("a", 0)], [1, 3, 0, 2], id="groups that last the same do not mix"),
        pytest.param([], [], id="none"),
    ],
)
def test_what_lasts_longest_runs_first(costs: list[tuple[str, float]], order: list[int]) -> None:
    assert longest_first(costs) == order


def test_the_seconds_of_a_test_are_those_of_its_longest_parameters() -> None:
    measured = [("t.py::a[x]", 1.04), ("t.py::a[y]@prefect", 2.26), ("t.py::b", 0.9), ("t.py::c@store", 1)]
    assert known_seconds([json.dumps({"test": name, "wall_s": wall_s}) for name, wall_s in measured]) == {"t.py::a": 2.3, "t.py::c": 1}


@pytest.mark.parametrize("nodeid", ["t.py::a", "t.py::a[b@c]", "t.py::a@prefect", "t.py::a[b]@prefect"])
def test_a_name_is_without_parameters_and_group(nodeid: str) -> None:
    assert name_of(nodeid) == "t.py::a"


@pytest.mark.parametrize("workers", [1, 3, 4])
def test_each_worker_imports_all_files_from_another_place(workers: int) -> None:
    paths = [Path(str(number)) for number in range(10)]
    orders = [turned(paths, worker, workers) for worker in range(workers)]
    assert all(sorted(order) == sorted(paths) for order in orders)
    assert len({order[0] for order in orders}) == workers


def test_what_was_not_measured_again_keeps_its_seconds_while_it_is_there() -> None:
    kept = {"a.py::test_new": 9.0, "a.py::test_quick_now": 7.0, "a.py::test_kept": 5.0, "a.py::test_gone": 3.0}
    lines = [
        json.dumps({"test": f"a.py::{name}@group", "wall_s": wall_s}) for name, wall_s in (("test_new[1]", 2.0), ("test_quick_now", 0.2))
    ]
    assert merged(kept, lines, lambda name: "gone" not in name) == {"a.py::test_kept": 5.0, "a.py::test_new": 2.0}
