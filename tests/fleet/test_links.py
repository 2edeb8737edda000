"""Between agents and their coordinator: clocks, a cable that is pulled, a narrow link, a full server; and an agent's own cap."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.fleet.access import Access, Keys
from loadflow.engine.fleet.connection import connect
from loadflow.engine.fleet.members import Member, Rules
from loadflow.engine.fleet.shipping import Incoming
from loadflow.engine.fleet.subjects import Subjects
from loadflow.engine.records.workers import read_workers
from tests.ends.processes import wait_for
from tests.fleet.machines import TOKEN, InBackground, agents, master
from tests.fleet.slow import SlowWay
from tests.fleet.test_losses import RATE, books, received
from tests.fleet.test_rate import due_ns
from tests.load.harness import get
from tests.services import need
from tests.targets.fixture import Target


def clock(ahead_s: int) -> list[str]:
    """What starts a program whose monotonic clock is that far ahead, as another machine's is: the kernel's time namespaces (Linux 5.6)."""
    tool = shutil.which("unshare")
    command = [str(tool), "--time", "--monotonic", str(ahead_s), "--fork", "--kill-child=TERM"]
    there = tool is not None and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    need(there, "a clock of one's own needs root")
    return command


def test_clocks_that_are_a_day_apart_are_in_no_time_of_a_hit(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with ExitStack() as stack:
        for ahead_s in (86_400, 40):
            stack.enter_context(agents(tmp_path, port, 1, within=clock(ahead_s)))
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, rate=50, test_time=4)
    assert done.error is None
    passes = done.run.totals().passes
    assert received(target) == passes.started == len(done.rows)
    assert passes.due == 200
    assert set(done.rows["due_ns"].tolist()) <= set(due_ns(done))
    error_ns = max(worker["clock_error_ms"] for worker in done.summary["workers"]) * 1e6
    assert error_ns < 10e9
    assert np.all(done.rows["start_ns"] >= done.rows["due_ns"].astype(np.int64) - error_ns)
    assert np.all(done.rows["start_ns"] < 20e9)
    assert np.all(done.rows["end_ns"] >= done.rows["start_ns"])


def test_a_pulled_cable_never_doubles_the_load_and_its_rows_come_when_it_is_back(target: Target, tmp_path: Path, port: int) -> None:
    """The far side has ended its load before its share is given away."""
    target.reset()
    with SlowWay(port, delay_s=0.0, bytes_per_s=10**9) as way, ExitStack() as stack:
        (far,) = stack.enter_context(agents(tmp_path, way.port, 1, "--slots", "1"))
        others = stack.enter_context(agents(tmp_path, port, 2, "--slots", "1"))
        loading = InBackground(tmp_path, port, 3, [get("/ok")], host=target.url, rate=RATE)
        wait_for("hits", lambda: received(target) > 150, 200)
        far_engine = far.engine
        way.hold()
        far_engine.wait(timeout=200)
        assert not any(one.has_said(" s on") for one in others)
        wait_for("another agent", lambda: any(one.has_said(" s on") for one in others), 200)
        way.release()
        done = loading.done
    assert far.has_said("nothing was heard of the coordinator")
    assert books(done, target)["lost"] > 0
    assert done.summary["totals"]["requests"] == received(target)


@pytest.mark.parametrize("user", ["native", "fast_http_user"])
def test_an_agent_sends_no_more_than_its_own_machine_allows(user: str, target: Target, tmp_path: Path, port: int) -> None:
    """Whatever the coordinator asks for; its slots share the cap."""
    target.reset()
    with agents(tmp_path, port, 1, "--slots", "2", "--once", LOADFLOW_MAX_RATE_PER_S="20"):
        done = master(tmp_path, port, 2, [get("/ok")], user=user, host=target.url, user_count=8, iterations=10)
    assert done.error is None
    starts_s = np.sort(done.rows["start_ns"]) / 1e9
    assert len(starts_s) == received(target) == 80
    in_a_second = np.searchsorted(starts_s, starts_s + 1.0) - np.arange(len(starts_s))
    assert in_a_second.max() <= 20 + 2  # one of each share at the edges


def test_what_a_full_server_refuses_waits_on_the_agents_disk(target: Target, tmp_path: Path, port: int) -> None:
    """In the middle of the load the stream of rows takes nothing more; then there is room again."""
    target.reset()
    with agents(tmp_path, port, 2):
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, rate={"mode": "constant", "rps": 50, "duration": 12})
        wait_for("hits", lambda: received(target) > 100, 200)
        (folder,) = (tmp_path / "runs").iterdir() if (tmp_path / "runs").exists() else tmp_path.glob("*/hits-0.bin")
        run = folder.name if folder.is_dir() else folder.parent.name
        access = Access(f"nats://127.0.0.1:{port}", seed=Keys.of(TOKEN).coordinator)
        refused = asyncio.run(fill(access, Subjects(run), lambda: received(target)))
        done = loading.done
    assert refused > 0
    assert done.error is None
    passes = done.run.totals().passes
    assert (passes.due, passes.lost) == (600, 0)
    assert done.summary["totals"]["requests"] == received(target) == passes.started
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished"] * 2


async def fill(access: Access, subjects: Subjects, hits: Any) -> int:
    """Let the stream refuse all, while 100 more hits are sent; returns how many parts of ours it has refused meanwhile."""
    import nats.js.errors

    link = await connect(access, "an operator", patient=False)
    try:
        config = (await link.stream.stream_info(subjects.stream)).config
        room, config.max_bytes = config.max_bytes, 1
        await link.stream.update_stream(config)
        before, refused = hits(), 0
        while hits() < before + 100:
            try:
                await link.stream.publish(subjects.out(99, 1), b"a part")
            except nats.js.errors.APIError:
                refused += 1
            await asyncio.sleep(0.1)
        config.max_bytes = room
        await link.stream.update_stream(config)
        return refused
    finally:
        await link.close()


RULES = Rules(startup_s=60, lost_s=6, degraded=False, delivery_s=30)


def test_a_delivery_that_goes_on_for_too_long_is_over(tmp_path: Path) -> None:
    incoming = Incoming({})
    one = Member("a-1", "box", 0, 1, (0,), incoming, 0.0, 0.0, 0.0, phase="delivering", delivering_s=100.0, folder="/tmp/x")
    one.heard_s = one.further_s = 129.0
    assert one.silence(130.0, RULES) == ""
    assert one.silence(130.5, RULES) == "its hits did not arrive within 30 s (delivery_timeout); they are in /tmp/x there"
    one.further_s = 123.0
    assert one.silence(129.5, RULES) == "it delivered nothing for 6.5 s; they are in /tmp/x there"


def test_a_verdict_waits_for_a_narrow_link_no_longer_than_delivery_timeout(target: Target, tmp_path: Path, port: int) -> None:
    """The load goes on to its end whatever the link carries. Then the run says on which machine, and where, the hits are."""
    target.reset()
    with SlowWay(port, delay_s=0.0, bytes_per_s=8_000) as way, agents(tmp_path, way.port, 1) as (agent,):
        given = {"host": target.url, "user_count": 4, "iterations": 2500, "delivery_timeout": 1}
        done = master(tmp_path, port, 1, [get("/ok")], user="native", **given)
        assert agent.wait() == 1
    assert received(target) == 10_000
    (worker,) = read_workers(next(tmp_path.rglob("workers.json")))
    assert worker.state == "lost"
    assert "did not arrive within 1 s (delivery_timeout); they are in /" in worker.message
    kept = Path(worker.message.partition("they are in ")[2].removesuffix(" there"))
    assert (kept / "hits-0.bin").stat().st_size == 64 + 48 * 10_000
    assert "they are in /" in str(done.error)
