"""An agent begins its share only while it is its own: orders reach all agents, also those that stood still."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import pytest

from loadflow.engine.fleet.lease import RELEASE_NS, Lease
from loadflow.engine.fleet.subjects import SILENT_S

EPOCH = 2


class EngineOrders:
    """What an engine was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def go(self, _: tuple[int, int]) -> None:
        self.told.append("go")

    def stop(self, _: float | None = None) -> None:
        self.told.append("stop")


def ordered(folder: Path, held: dict[str, int], silent_s: float) -> list[str]:
    """What its engine is told by an agent that is ready for share 0, heard nothing for so long, and then is ordered to go."""

    async def run() -> list[str]:
        nothing = cast(Any, None)
        lease = Lease(nothing, nothing, cast(Any, type("Facts", (), {"id": "a"})), "run", 0, EPOCH, folder, lambda _: None)
        engine = EngineOrders()
        lease._engine, lease._phase = cast(Any, engine), "ready"
        lease._heard_s = time.monotonic() - silent_s
        origin_ns = time.monotonic_ns() + RELEASE_NS
        lease._obey({"phase": "go", "origin_ns": origin_ns, "origin_unix_ns": time.time_ns(), "held": held})
        while others := asyncio.all_tasks() - {cast(Any, asyncio.current_task())}:
            await asyncio.wait(others)
        return engine.told

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("held", "silent_s", "told"),
    [
        ({"0": EPOCH, "1": 5}, 0.0, ["go"]),
        ({"0": EPOCH + 2}, 0.0, ["stop"]),
        ({"1": EPOCH}, 0.0, ["stop"]),
        ({"0": EPOCH}, SILENT_S + 1, ["stop"]),
    ],
    ids=["its own", "another one's by now", "nobody's", "it stood still, and the order may be old"],
)
def test_an_agent_begins_what_is_its_own(held: dict[str, int], silent_s: float, told: list[str], tmp_path: Path) -> None:
    assert ordered(tmp_path, held, silent_s) == told
