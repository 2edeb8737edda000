"""The first five seconds of `make fuzz-control`, or ten where all tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.control.fuzz import Seen, fuzz
from tests.examples import examples


@pytest.mark.processes
def test_nothing_that_hypothesis_sends_freezes_the_control_plane(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    seen = fuzz(examples(10), root, first_seed=7)
    assert seen.wrong == [], str(seen)
    assert seen.sent > 0
    assert seen.rounds > 0


MB = 2**20
COURSES = [
    ("flat", [100] * 40, 0),
    ("one run that is large while it lasts", [100] * 25 + [438] * 3 + [101] * 12, 1),
    ("what is kept grows", [100 + 5 * index for index in range(40)], 145),
    ("it grows until caches are full", [50 + 5 * index for index in range(10)] + [100] * 30, 0),
]


@pytest.mark.parametrize(("what", "sizes", "grown"), COURSES, ids=[what for what, *_ in COURSES])
def test_growth_is_what_stays(what: str, sizes: list[int], grown: int) -> None:
    seen = Seen(memory=[(60.0 * index, size * MB) for index, size in enumerate(sizes)])
    assert seen.grown() / MB == pytest.approx(grown, abs=2)
