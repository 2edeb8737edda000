"""Between agents and their coordinator: clocks, a cable that is pulled, a narrow link, a full server; and an agent's own cap."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.fleet.access import Access, Keys
from loadflow.engine.fleet.connection import connect
from loadflow.engine.fleet.discovery import agents_at
from loadflow.engine.fleet.members import Member, Rules
from loadflow.engine.fleet.shipping import Incoming
from loadflow.engine.fleet.subjects import Subjects
from loadflow.engine.records.hitlog import HIT_DTYPE, read_header
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.workers import read_workers
from tests.fleet.machines import TOKEN, AgentCommand, InBackground, agents, elsewhere, given_server, master
from tests.fleet.slow import SlowWay
from tests.fleet.test_losses import DUE, RATE, books, kill_machine, received
from tests.fleet.test_rate import due_ns
from tests.load.harness import get
from tests.services import need
from tests.targets.fixture import Target
from tests.waiting import wait_for


def clock(ahead_s: int) -> list[str]:
    """What starts a program whose monotonic clock is that far ahead, as another machine's is: the kernel's time namespaces (Linux 5.6)."""
    tool = shutil.which("unshare")
    command = [str(tool), "--time", "--monotonic", str(ahead_s), "--fork", "--kill-child=TERM"]
    there = tool is not None and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    need(there, "a clock of one's own needs root")
    return command


def test_clocks_that_are_a_day_apart_are_in_no_time_of_a_hit(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 1, within=clock(86_400)), agents(tmp_path, port, 1):
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


LIBFAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def wall_clock(ahead_s: int) -> dict[str, str]:
    """The environment in which a process, and all that it starts, sees another time of day and the same monotonic clock."""
    need(LIBFAKETIME, "libfaketime is not installed (Debian: apt-get install libfaketime)")
    return {"LD_PRELOAD": str(LIBFAKETIME[0]), "FAKETIME": f"{ahead_s:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.parametrize("user", ["native", pytest.param("fast_http_user", marks=pytest.mark.long)])
def test_a_machine_whose_time_of_day_is_wrong_is_told_of_and_makes_the_same_load(user: str, target: Target, tmp_path: Path) -> None:
    """A day ahead, and three hours behind: the time of day of an agent is in no hit."""
    target.reset()
    with given_server(tmp_path, most_bytes=2**33) as server, ExitStack() as stack:
        for ahead_s in (86_400, -10_800):
            agent = AgentCommand(tmp_path, server.url, "--slots", "1", token=None, **wall_clock(ahead_s))
            stack.callback(agent.stop)
            agent.says("waiting for work")
        off_s = sorted(round(one.clock_ms / 1e3) for one in agents_at(server, 2.0))
        assert off_s == [pytest.approx(-10_800, abs=5), pytest.approx(86_400, abs=5)]
        before_s = time.time()
        rate = {"mode": "constant", "rps": 50, "duration": 4}
        done = elsewhere(tmp_path, server.url, 2, [get("/ok")], user=user, host=target.url, rate=rate)
        after_s = time.time()
    assert done.error is None
    passes = done.summary["passes"]
    assert passes["due"] == 200
    assert received(target) == passes["started"] == len(done.rows)
    assert set(done.rows["due_ns"].tolist()) <= set(due_ns(done))
    assert done.rows["end_ns"].max() < 20e9
    assert all(before_s <= read_header(done.run.hits_path(log)).origin_unix_ns / 1e9 <= after_s for log in (0, 1))


@pytest.mark.long
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


@pytest.mark.parametrize("user", ["native", "fast_http_user"])
def test_an_agent_sends_to_no_host_that_its_own_machine_forbids(user: str, tmp_path: Path, port: int) -> None:
    """Though the machine of the run may. The host is one that is nowhere (RFC 5737)."""
    with agents(tmp_path, port, 1, LOADFLOW_ALLOWED_HOSTS="shop.example"):
        given = {"host": "http://192.0.2.1:9", "user_count": 2, "iterations": 3, "max_failure_rate": 1}
        done = master(tmp_path, port, 1, [get("/ok")], user=user, **given)
    assert done.error is None
    assert {hit.outcome for hit in done.hits} == {Outcome.FORBIDDEN}
    assert len(done.hits) == 6


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Of 2 MB."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False)
    need(mounted.returncode == 0, "mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


@pytest.mark.parametrize("user", ["native", pytest.param("fast_http_user", marks=pytest.mark.long)])
def test_an_agent_whose_disk_is_full_says_so_and_the_others_go_on(user: str, target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with small_disk(tmp_path / "small") as folder, ExitStack() as stack:
        (small,) = stack.enter_context(agents(tmp_path, port, 1, "--slots", "1", TMPDIR=str(folder)))
        stack.enter_context(agents(tmp_path, port, 1, "--slots", "1"))
        loading = InBackground(tmp_path, port, 2, [get("/ok")], user=user, host=target.url, rate=RATE)
        wait_for("hits", lambda: received(target) > 150, 200)
        fill_disk(folder)
        done = loading.done
    lost = next(worker for worker in done.summary["workers"] if worker["state"] == "lost")
    assert small.has_said(lost["id"])
    assert f"{folder}/" in lost["message"]
    assert "the disk is full" in lost["message"]
    passes = done.summary["passes"]
    assert passes["due"] == DUE == passes["started"] + passes["dropped"] + passes["lost"]
    assert received(target) - done.summary["totals"]["requests"] <= passes["lost"]
    assert [worker["state"] for worker in done.summary["workers"] if worker["from_s"]] == ["finished"]
    assert done.summary["verdict"]["verdict"] == "inconclusive"


def test_what_a_full_server_refuses_waits_on_the_agents_disk(target: Target, tmp_path: Path, port: int) -> None:
    """In the middle of the load the stream of rows takes nothing more; then there is room again."""
    target.reset()
    with agents(tmp_path, port, 2):
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, rate={"mode": "constant", "rps": 50, "duration": 12})
        wait_for("hits", lambda: received(target) > 100, 200)
        (folder,) = (tmp_path / "runs").glob("*/") if (tmp_path / "runs").exists() else tmp_path.glob("*/hits-0.bin")
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


@pytest.mark.long
def test_what_a_killed_agent_had_recorded_and_not_delivered_is_in_the_books(target: Target, tmp_path: Path, port: int) -> None:
    """Users in a closed loop, of whom nobody knows how much they would have made: what they had begun was due, and is lost."""
    target.reset()
    with SlowWay(port, delay_s=0.0, bytes_per_s=6_000) as way, ExitStack() as stack:
        (far,) = stack.enter_context(agents(tmp_path, way.port, 1, "--slots", "1"))
        stack.enter_context(agents(tmp_path, port, 1, "--slots", "1"))
        users = {"user_count": 16, "wait_time": 0.02, "iterations": None, "test_time": 25}
        loading = InBackground(tmp_path, port, 2, [get("/ok")], user="native", host=target.url, **users)
        wait_for("hits", lambda: received(target) > 4_000, 200)
        kill_machine(far)
        done = loading.done
    lost = next(worker for worker in done.summary["workers"] if worker["state"] == "lost")
    rows, passes = done.summary["totals"]["requests"], done.summary["passes"]
    missing = received(target) - rows
    assert 0 < lost["undelivered"] <= missing
    assert missing / 2 < passes["lost"] <= missing + 8  # all but what it made after its last word; and what was in flight
    assert passes["due"] == passes["started"] + passes["dropped"] + passes["lost"]
    reason = done.summary["verdict"]["reasons"][0]
    assert f"{lost['undelivered']:,} that it had recorded among them" in reason
    assert "what it recorded is in /" in reason
    assert done.summary["verdict"]["verdict"] == "inconclusive"


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
    assert (kept / "hits-0.bin").stat().st_size == 64 + HIT_DTYPE.itemsize * 10_000
    assert "they are in /" in str(done.error)
