"""Loads of one command side by side: how many at a time, never two of one target, and how all of them end."""

from __future__ import annotations

import threading

import pytest

from loadflow.engine.load.at_once import Todo, in_turn, work_off
from loadflow.engine.session.observer import Observer
from tests.waiting import wait_for


class Counting:
    """Counts which targets are loaded at a time, and the most of them."""

    def __init__(self) -> None:
        self.going: list[str] = []
        self.done: list[str] = []
        self.most = 0
        self._lock = threading.Lock()

    def load(self, target: str, until: threading.Event) -> Todo:
        def work() -> None:
            with self._lock:
                assert target not in self.going, "two loads of one target"
                self.going.append(target)
                self.most = max(self.most, len(self.going))
            until.wait()
            with self._lock:
                self.going.remove(target)
                self.done.append(target)

        return Todo(target, work)


@pytest.mark.parametrize(
    ("targets", "at_once", "most"),
    [
        (["a", "b", "c", "d"], 3, 3),
        (["a", "b"], 5, 2),
        (["a", "a", "a"], 3, 1),
        (["a", "a", "b", "b"], 2, 2),
        (["a", "b"], 1, 1),
    ],
)
def test_as_many_as_are_allowed_and_never_two_of_one_target(targets: list[str], at_once: int, most: int) -> None:
    counting, until = Counting(), threading.Event()
    if most == 1:
        until.set()
    todo = [counting.load(target, until) for target in targets]
    _, ending = in_turn([])
    thread = threading.Thread(target=work_off, args=(todo, at_once, ending))
    thread.start()
    wait_for("as many as may be", lambda: counting.most == most)
    until.set()
    thread.join()
    assert sorted(counting.done) == sorted(targets)
    assert counting.most == most


def test_what_one_raises_ends_the_others_and_begins_no_more() -> None:
    observers, ending = in_turn([])
    began: list[str] = []

    def lost() -> None:
        wait_for("the other one", lambda: "beside" in began)
        raise RuntimeError("lost")

    def beside() -> None:
        began.append("beside")
        wait_for("its end", lambda: any(one.stop_requested() for one in observers))

    todo = [Todo("a", lost), Todo("b", beside), Todo("b", lambda: began.append("later"))]
    with pytest.raises(RuntimeError, match="lost"):
        work_off(todo, 2, ending)
    assert ending.stop_requested() == "another load could not go on: lost"
    assert began == ["beside"]


def test_observers_are_called_from_one_thread_at_a_time() -> None:
    class Slow(Observer):
        inside = 0

        def stop_requested(self) -> str:
            self.inside += 1
            assert self.inside == 1
            self.inside -= 1
            return ""

    observers, ending = in_turn([Slow()])

    def ask() -> None:
        for _ in range(200):
            assert not any(one.stop_requested() for one in observers)

    work_off([Todo(str(number), ask) for number in range(4)], 4, ending)
