"""A loop that stands is noticed, told once, and its rows are in the file."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.generator import loop_watch
from loadflow.engine.generator.loop_watch import LoopWatch, place_in
from loadflow.engine.records.standing import Standing, note_standing, read_standings, standing_warnings


class Prepared:
    method, name = "GET", "/slow"


class Step:
    def __init__(self) -> None:
        self._prepared = Prepared()

    def _attempt(self) -> Any:
        return quadratic()


def quadratic() -> Any:
    return sys._getframe()


def test_the_step_and_the_innermost_functions_are_named() -> None:
    words = place_in(Step()._attempt())
    assert words.startswith("step GET /slow: quadratic (hostile/test_loop_watch.py:")
    assert " in _attempt (" in words


def test_it_is_told_once_for_each_time_and_not_while_the_loop_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(loop_watch.time, "monotonic", lambda: now_s[0])
    told: list[tuple[float, float]] = []
    watch = LoopWatch(threading.get_ident(), lambda since_s, stood_s, doing: told.append((since_s, stood_s)))
    for later_s in (100.9, 101.0, 101.5):
        now_s[0] = later_s
        watch.look()
    watch.beat()
    now_s[0] = 103.0
    watch.look()
    watch.end()
    now_s[0] = 110.0
    watch.look()
    assert told == [(100.0, 1.0), (101.5, 1.5)]


def test_it_runs_while_the_loop_is_busy() -> None:
    seen = threading.Event()
    watch = LoopWatch(threading.get_ident(), lambda *_: seen.set(), lambda _: time.sleep(0.01))
    thread = threading.Thread(target=watch.run)
    thread.start()
    while not seen.is_set():  # as a decoder in Python is
        pass
    watch.end()
    thread.join()


def test_a_standing_is_a_warning_that_says_at_what(tmp_path: Path) -> None:
    path = tmp_path / "standing.ndjson"
    assert list(standing_warnings(read_standings(path))) == []
    for number in range(200):
        note_standing(path, Standing(0, float(number), 1.2, "step GET /slow: json (a.py:1)"))
    with path.open("a") as file:
        file.write('{"cut')
    assert len(read_standings(path)) == 100
    (warning,) = standing_warnings(read_standings(path)[:1])
    assert (warning.code, "at 0.0 s: step GET /slow: json (a.py:1)." in warning.message) == ("loop-stood", True)
    assert "and 97 more" in next(iter(standing_warnings(read_standings(path)))).message
