"""The courier accounts for everything it was given: delivered, dropped, or waiting; never waits in `put`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from loadflow.engine.exporters.shared.courier import Courier, Delivery
from loadflow.engine.exporters.shared.trouble import Refused, Unreachable
from tests.exporters.servers import wait_until


class Peer:
    """A server that is told what to answer with; `gate` holds a delivery up."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.calls: list[list[int]] = []
        self.taken: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, things: Sequence[int]) -> None:
        self.calls.append(list(things))
        self.gate.wait(30)
        if self.answers:
            raise self.answers.pop(0)
        self.taken += things


def test_all_arrive_once_in_order_and_in_batches() -> None:
    peer = Peer()
    courier = Courier("peer", peer, queue=100, batch=4)
    courier.put(range(10))
    assert courier.close(10.0) == Delivery(10, 0, 0)
    assert peer.taken == list(range(10))
    assert max(len(call) for call in peer.calls) == 4


def test_what_can_not_be_taken_now_is_tried_again_and_the_rest_waits_behind_it() -> None:
    peer = Peer(Unreachable("away"), Unreachable("away"))
    courier = Courier("peer", peer, queue=100, batch=4)
    courier.put([1, 2])
    courier.put([3])
    assert courier.close(10.0) == Delivery(3, 0, 0)
    assert peer.taken == [1, 2, 3]


@pytest.mark.parametrize(("error", "dropped"), [(Refused("bad"), 4), (Refused("one is bad", 1), 1)], ids=["all", "some"])
def test_what_is_refused_is_dropped_and_counted(error: Refused, dropped: int) -> None:
    peer = Peer(error)
    courier = Courier("peer", peer, queue=100, batch=4)
    courier.put(range(8))
    assert courier.close(10.0) == Delivery(8 - dropped, dropped, 0)
    assert peer.taken == [4, 5, 6, 7]


def test_a_full_queue_drops_its_oldest_and_counts_them() -> None:
    peer = Peer()
    peer.gate.clear()
    courier = Courier("peer", peer, queue=5, batch=2)
    courier.put([0, 1])
    wait_until(lambda: peer.calls, "a delivery began")
    courier.put(range(2, 12))  # must not wait for it
    assert courier.so_far() == Delivery(0, 5, 7), "what is in hand may have arrived"
    peer.gate.set()
    assert courier.close(10.0) == Delivery(7, 5, 0)
    assert peer.taken == [0, 1, 7, 8, 9, 10, 11]


def test_closing_ends_in_time_and_counts_what_is_left() -> None:
    courier = Courier("peer", Peer(*[Unreachable("away")] * 100), queue=100, batch=10)
    courier.put(range(30))
    assert courier.close(0.3) == Delivery(0, 30, 0)
    courier.put([1])
    assert courier.close(0.3) == Delivery(0, 30, 0)


def test_the_same_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(*[Unreachable("away")] * 3)
    courier = Courier("peer", peer, queue=100, batch=10)
    courier.put([1])
    wait_until(lambda: peer.taken, "delivered")
    courier.close(10.0)
    assert [record.getMessage() for record in caplog.records if "away" in record.getMessage()] == ["peer: away"]


def test_a_server_that_comes_back_gets_the_newest() -> None:
    peer = Peer(Unreachable("away"))
    peer.gate.clear()
    courier = Courier("peer", peer, queue=5, batch=5)
    courier.put([0, 1])
    wait_until(lambda: peer.calls, "a delivery began")
    courier.put(range(2, 12))
    peer.gate.set()
    assert courier.close(10.0) == Delivery(5, 7, 0)
    assert peer.taken == [7, 8, 9, 10, 11]
