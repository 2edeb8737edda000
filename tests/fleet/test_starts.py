"""When an agent may begin with a share that another has lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from loadflow.engine.fleet.members import Member
from loadflow.engine.fleet.shipping import Incoming
from loadflow.engine.fleet.starts import Starts


def started(folder: Path, host: str, cores: int, took_s: float) -> Member:
    now_s = time.monotonic()
    return Member("one", host, 0, 1, (0,), Incoming({}), now_s, now_s, now_s - took_s, cores=cores)


@pytest.mark.parametrize(
    ("beside", "cores", "began", "alone_s"),
    [
        (0, 1, False, 40),
        (3, 1, False, 10),  # four shared a core
        (3, 2, False, 20),
        (3, 8, False, 40),  # each had a core
        (3, 1, True, 40),  # the others make load already, and hold it up as they will hold up the next one
    ],
)
def test_a_start_is_counted_without_those_that_shared_its_cores(
    tmp_path: Path, beside: int, cores: int, began: bool, alone_s: float
) -> None:
    member = started(tmp_path, "here", cores, 40)
    live = [member, *(started(tmp_path, "here", cores, 0) for _ in range(beside)), started(tmp_path, "elsewhere", cores, 0)]
    starts = Starts()
    starts.note(member, live, began=began)
    assert starts.ahead_s(1, cores) == pytest.approx(alone_s + 2, abs=1)
    starts.note(live[-1], live, began=began)
    assert starts.ahead_s(1, cores) == pytest.approx(alone_s + 2, abs=1), "the slowest counts"


def test_shares_that_are_taken_over_together_share_cores_too() -> None:
    starts = Starts()
    assert starts.ahead_s(4, 2) == 2 * starts.ahead_s(1, 2)
    assert starts.ahead_s(1, 2) < 1
