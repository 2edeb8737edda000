"""The shipped hostile target against each engine: every answer has its outcome, no loop stands for long, no memory fills.

The loads are played side by side: what takes long in most of them is to wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.hostile.play import LOADS, MOST_MEMORY_MB, Played, hostile_target, play_all
from tests.forked_engines import forked
from tests.services import need

# Each fault that these answers were made for held the loop for ten seconds or for good; a busy machine holds it for one or two.
MOST_LAG_MS = 8_000.0


# what the core's HTTP shows of streams, and its other users of HTTP, WebSocket, sockets and gRPC
LONG = {"native, HTTP/2 with streams", "native, HTTP/3 with streams", "fast_http_user", "websocket_user", "socket_user", "grpc_user"}
ROWS = [pytest.param(load, marks=[pytest.mark.long] if load in LONG else []) for load in LOADS]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Played]]]]:
    """Those loads that a test of this session asks for."""
    here = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    asked = {item.callspec.params.get("load") for item in here if hasattr(item, "callspec")}
    with forked(), hostile_target() as target:
        yield dict(play_all([load for load in LOADS if load in asked], target))


@pytest.mark.parametrize("load", ROWS)
def test_every_hostile_answer_has_its_outcome_and_no_loop_stands_nor_memory_fills(
    load: str, played: dict[str, Future[list[Played]]]
) -> None:
    if LOADS[load].get("engine") == "native":
        need(is_built(), "the native core is not built")
    answers = played[load].result()
    wrong = {one.answer.name: (one.got, one.error) for one in answers if not one.is_right}
    assert wrong == {}
    assert [one.answer.name for one in answers if one.lag_ms > MOST_LAG_MS] == []
    assert [(one.answer.name, one.memory_mb) for one in answers if one.memory_mb > MOST_MEMORY_MB] == []
    assert any(one.memory_mb > 0 for one in answers)  # it was looked at


def test_answers_of_a_load_have_names_of_their_own() -> None:
    """A hit is found by its name, and a port or a path by the key that is made of it."""
    from loadflow.engine.hostile import play

    for load in LOADS:
        keys = [(kind, answer.key) for kind, answer in play._answers(load)]
        assert len(set(keys)) == len(keys) == len({answer.name for _, answer in play._answers(load)})
