"""Agents that make no load: each writes rows to a log as an engine does, and ships it by the real shipping over a connection of its own.

    python -m tests.fleet.simulated PORT AGENTS ROWS_PER_S SECONDS

All in one process; `ROWS_PER_S` is of all together. The token is in LOADFLOW_WORKER_TOKEN.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from loadflow.engine.fleet.access import Access, Keys
from loadflow.engine.fleet.connection import connect, said, trouble
from loadflow.engine.fleet.keys import TOKEN_VARIABLE
from loadflow.engine.fleet.shipping import SAID, Outgoing, Room, files_of
from loadflow.engine.fleet.subjects import AGENTS, BEAT_S, PROTOCOL, QUEUE, Subjects, shard_of
from loadflow.engine.machine.facts import version_of
from loadflow.engine.process.messages import Done, Ready, Tick, encode
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import HIT_DTYPE, HitLogWriter
from loadflow.engine.records.names import NameWriter
from loadflow.engine.records.passes import Passes

__all__ = ["STEP_S", "command"]

STEP_S = 0.1
WAIT_S = 120.0


def command(port: int, agents: int, rows_per_s: int, seconds: int) -> list[str]:
    """What starts them in a process of their own; `rows_per_s` of all together."""
    return [sys.executable, "-m", "tests.fleet.simulated", str(port), str(agents), str(rows_per_s), str(seconds)]


class Simulated:
    """One agent with one share."""

    def __init__(self, folder: Path, number: int, rows_per_s: float, seconds: int) -> None:
        self._folder = folder
        self._name = f"simulated-{number}"
        self._rows_per_step = round(rows_per_s * STEP_S)
        self._seconds = seconds
        self._phase = "loading"
        self._order: dict[str, Any] = {"phase": "wait"}
        self._armed_ns = 0
        self._paths = {name: folder / f"{number}-{name}" for name in files_of(1)}
        self._outgoing = Outgoing(self._paths)
        self._over = False

    async def serve(self, access: Access) -> None:
        self._link = await connect(access, self._name, patient=True)
        queue = await self._link.stream.pull_subscribe_bind(consumer=AGENTS, stream=QUEUE)
        message = await self._fetch(queue)
        run, self._number = shard_of(message.subject) or ("", 0)
        self._epoch = message.metadata.num_delivered
        self._subjects = Subjects(run)
        asked = {**self._about(), "offset": 0, "version": version_of("loadflow"), "protocol": PROTOCOL, "native": True, "cores": 1}
        assert await self._link.ask(self._subjects.plan, asked, 60) is not None
        self._tell(Ready(0))
        self._phase = "ready"
        tasks = [asyncio.create_task(one) for one in (self._beat(), self._ship(), self._renew(message))]
        while self._order["phase"] != "go" or time.monotonic_ns() < int(self._order["origin_ns"]):
            await asyncio.sleep(0.01)
        await self._record(int(self._order["origin_ns"]), int(self._order["origin_unix_ns"]))
        self._phase = "delivering"
        while not self._outgoing.is_over:
            await asyncio.sleep(STEP_S)
        self._phase = "delivered"
        await self._link.ask(self._subjects.beat, self._about(), 5)
        await message.ack()
        for task in tasks:
            task.cancel()
        await self._link.close()

    async def _fetch(self, queue: Any) -> Any:
        """Also of a run that is not there yet."""
        until_s = time.monotonic() + WAIT_S
        while True:
            with contextlib.suppress(TimeoutError, *trouble()):
                (message,) = await queue.fetch(1, timeout=1)
                return message
            if time.monotonic() > until_s:
                raise SystemExit(f"no share of a run within {WAIT_S:g} s")
            await asyncio.sleep(STEP_S)

    def _about(self) -> dict[str, Any]:
        name = {"shard": self._number, "epoch": self._epoch, "agent": self._name, "host": "here", "phase": self._phase}
        return {**name, "armed_ns": self._armed_ns, "clock_error_s": 0.0, "way_s": 0.001}

    def _tell(self, message: Any) -> None:
        with self._paths[SAID].open("a", encoding="utf-8") as file:
            file.write(encode(message) + "\n")

    async def _record(self, origin_ns: int, origin_unix_ns: int) -> None:
        names = NameWriter(self._paths["names.0"])
        series = names.series("GET", "/simulated")
        names.close()
        HitLogWriter(self._paths["hits.0"], shard=0, origin_unix_ns=origin_unix_ns, origin_monotonic_ns=origin_ns).close()
        self._phase = "running"
        random = np.random.default_rng(self._number)
        steps, done = round(self._seconds / STEP_S), 0
        with self._paths["hits.0"].open("ab", buffering=0) as log:
            for step in range(steps):
                until_ns = origin_ns + round((step + 1) * STEP_S * 1e9)
                await asyncio.sleep(max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
                rows = np.zeros(self._rows_per_step, HIT_DTYPE)
                rows["end_ns"] = np.sort(random.integers(round(step * STEP_S * 1e9), round((step + 1) * STEP_S * 1e9), len(rows)))
                rows["start_ns"] = rows["due_ns"] = np.maximum(0, rows["end_ns"] - random.lognormal(14, 0.5, len(rows)).astype(np.int64))
                rows["series"], rows["status"], rows["received_bytes"] = series, 200, 120
                log.write(rows.tobytes())
                done += len(rows)
                if (step + 1) % round(1 / STEP_S) == 0:
                    self._tell(Tick(0, round((step + 1) * STEP_S), done, Health(users=1, users_peak=1)))
        self._tell(Done(0, done, float(self._seconds), "", Health(users=1, users_peak=1), Passes()))

    async def _beat(self) -> None:
        while True:
            answer = await self._link.ask(self._subjects.beat, self._about(), 5)
            if answer is not None:
                heard = said(answer.data)
                self._outgoing.arrived(heard.get("have") or {})
                if heard["order"]["phase"] in ("go", "wait"):
                    self._order = heard["order"]
                    self._armed_ns = int(self._order.get("origin_ns", 0)) or self._armed_ns
            await asyncio.sleep(BEAT_S if self._phase == "running" else STEP_S)

    async def _renew(self, message: Any) -> None:
        while True:
            await asyncio.sleep(1)
            await message.in_progress()

    async def _ship(self) -> None:
        room = Room()
        subject = self._subjects.out(self._number, self._epoch)
        while True:
            parts = self._outgoing.next_parts(rows=self._phase not in ("loading", "ready"), most_bytes=room.most_bytes)
            if not parts:
                await asyncio.sleep(STEP_S)
                continue
            began_s = time.monotonic()
            sent = (self._link.publish(subject, part.data, {"file": part.file, "offset": str(part.offset)}) for part in parts)
            taken = await asyncio.gather(*sent)
            room.took(sum(len(part.data) for part in parts), time.monotonic() - began_s)
            if not all(taken):
                self._outgoing.not_sent(parts[taken.index(False) :])


async def simulate(port: int, token: str, agents: int, rows_per_s: float, seconds: int) -> None:
    access = Access(f"nats://127.0.0.1:{port}", seed=Keys.of(token).agent)
    with tempfile.TemporaryDirectory() as folder:
        await asyncio.gather(*(Simulated(Path(folder), one, rows_per_s / agents, seconds).serve(access) for one in range(agents)))


def main() -> None:
    port, agents, rows_per_s, seconds = map(int, sys.argv[1:])
    asyncio.run(simulate(port, os.environ[TOKEN_VARIABLE], agents, rows_per_s, seconds))


if __name__ == "__main__":
    main()
