"""`with_watchdog`: values and errors pass, what does not end is ended, and runs of load come back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadflow import (
    LoadflowError,
    RunError,
    ScriptError,
    Session,
    WatchdogTimeout,
    clear_records,
    execute_action,
    start_test,
    use_session,
    with_watchdog,
)
from loadflow.errors import EngineError, Mistake
from tests.targets.fixture import Target
from tests.waiting import wait_for

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[Session]:
    with use_session(Session(runs_dir=tmp_path / "runs")) as session:
        yield session
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


class TwoArguments(Exception):
    """Can be pickled, and not made again: its __init__ takes other arguments than it passes on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")


def raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


# -- passing through


def test_the_value_comes_back() -> None:
    def add(one: int, *more: int, scale: int = 1) -> list[int]:
        return [scale * sum((one, *more))]

    assert with_watchdog(add, 1, 2, 3, scale=10, timeout_seconds=60) == [60]
    assert with_watchdog(lambda: None) is None


def test_a_value_larger_than_a_pipe_holds_comes_back() -> None:
    assert with_watchdog(lambda: b"x" * 20_000_000, timeout_seconds=60) == b"x" * 20_000_000


ERRORS: list[tuple[str, BaseException]] = [
    ("any error", KeyError("id")),
    ("a timeout of its own", TimeoutError("own")),
    ("one of ours with fields", EngineError("lost", 7)),
    ("mistakes", ScriptError([Mistake("a", "b", "c")], "file")),
    ("an exit", SystemExit(3)),
    ("an exit without a code", SystemExit()),
    ("Ctrl-C", KeyboardInterrupt()),
]


@pytest.mark.parametrize(("sentence", "error"), ERRORS, ids=[row[0] for row in ERRORS])
def test_an_error_comes_out_as_it_is_with_its_traceback(sentence: str, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        with_watchdog(raising(error), timeout_seconds=60)
    assert type(caught.value) is type(error)
    assert caught.value.args == error.args
    assert "raise error" in caught.value.__notes__[0]
    if isinstance(error, EngineError):
        assert isinstance(caught.value, EngineError)
        assert caught.value.hits == 7


def test_an_error_that_cannot_be_carried_over_says_what_it_was() -> None:
    with pytest.raises(RunError, match="raised TwoArguments: 5 lost") as caught:
        with_watchdog(raising(TwoArguments(5, "lost")), timeout_seconds=60)
    assert "TwoArguments" in caught.value.__notes__[0]

    class Local(Exception):
        pass

    with pytest.raises(RunError, match="Local: here"):
        with_watchdog(raising(Local("here")), timeout_seconds=60)


@pytest.mark.parametrize("value", [lambda: 1, threading.Lock(), [print, threading.Event()]], ids=["function", "lock", "list"])
def test_a_result_that_cannot_be_pickled_is_a_clear_error(value: Any) -> None:
    with pytest.raises(RunError, match=r"returned a \w+, which can't be passed back .*; return what pickle can carry"):
        with_watchdog(lambda: value, timeout_seconds=60)


def test_a_child_that_dies_is_told_apart_from_a_timeout() -> None:
    with pytest.raises(RunError, match="was killed by SIGKILL before it gave a result"):
        with_watchdog(lambda: os.kill(os.getpid(), signal.SIGKILL), timeout_seconds=60)
    with pytest.raises(RunError, match="ended with exit code 7"):
        with_watchdog(os._exit, 7, timeout_seconds=60)


def test_what_it_prints_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    print("before", end=" ")
    with_watchdog(print, "inside", timeout_seconds=60)
    print("after")
    sys.stdout.flush()
    assert capfd.readouterr().out.split() == ["before", "inside", "after"]


# -- ending


def sleep() -> None:
    time.sleep(60)


def compute() -> None:
    while True:
        pass


def swallow() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):  # the worst that a callable can do
            time.sleep(60)


def match_forever() -> None:
    """Stuck in C, with the interpreter's lock held: 2 ** 60 ways to fail."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def sleep_in_c() -> None:
    """Stuck in C without a way to interrupt it: the lock is kept, and EINTR is not looked at."""
    ctypes.PyDLL(None).sleep(60)


@pytest.mark.parametrize("stuck", [sleep, compute, swallow, match_forever, sleep_in_c], ids=lambda one: one.__name__)
def test_what_does_not_end_is_ended(stuck: Callable[[], None], tmp_path: Path) -> None:
    def call() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        stuck()

    began = time.monotonic()
    with pytest.raises(WatchdogTimeout, match=r"took longer than 0.7 s and was ended") as caught:
        with_watchdog(call, timeout_seconds=0.7)
    assert 0.7 <= time.monotonic() - began < 20
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, LoadflowError)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_descendants_are_ended_too(tmp_path: Path) -> None:
    """A child that ignores TERM, its own child, and a grandchild that left: in a session of its own, its parent gone."""
    code = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
subprocess.run(["sh", "-c", f"setsid sleep 60 >/dev/null 2>&1 & echo $! > '{sys.argv[1]}/left'"])
open(sys.argv[1] + "/ready", "w").close()
time.sleep(60)
"""
    seen: list[psutil.Process] = []

    def look() -> None:
        wait_for("all of them", (tmp_path / "ready").exists, 30)
        seen.extend(one for one in psutil.Process().children(recursive=True) if one.cmdline() != ["warm"])  # see tests/warm

    watcher = threading.Thread(target=look)
    watcher.start()
    with pytest.raises(WatchdogTimeout):
        with_watchdog(subprocess.run, [sys.executable, "-c", code, str(tmp_path)], timeout_seconds=3)
    watcher.join()
    own = [one for one in seen if one.pid != os.getpid()]
    assert len(own) >= 3
    wait_for("the end of all", lambda: not [one for one in own if one.is_running() and one.ppid() != os.getpid()], 10)
    left = int((tmp_path / "left").read_text())
    assert not psutil.pid_exists(left)


def test_on_timeout_is_called_once_when_the_work_is_over(tmp_path: Path) -> None:
    def call() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)

    calls: list[bool] = []
    with pytest.raises(WatchdogTimeout):
        with_watchdog(call, timeout_seconds=0.5, on_timeout=lambda: calls.append(psutil.pid_exists(int((tmp_path / "pid").read_text()))))
    assert calls == [False]
    assert with_watchdog(lambda: 1, timeout_seconds=60, on_timeout=lambda: calls.append(True)) == 1
    assert calls == [False]


def test_an_error_of_on_timeout_is_told() -> None:
    with pytest.raises(WatchdogTimeout, match="and on_timeout failed: KeyError: 'x'") as caught:
        with_watchdog(sleep, timeout_seconds=0.3, on_timeout=raising(KeyError("x")))
    assert isinstance(caught.value.__cause__, KeyError)


def test_ctrl_c_in_the_parent_ends_the_work(tmp_path: Path) -> None:
    def call() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)

    def press() -> None:
        wait_for("the child", lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 30)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        with_watchdog(call, timeout_seconds=50)
    presser.join()
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_it_works_in_threads_side_by_side() -> None:
    found: dict[int, int] = {}

    def run(number: int) -> None:
        found[number] = with_watchdog(lambda: number * 2, timeout_seconds=60)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number * 2 for number in range(8)}


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_a_time_that_makes_no_sense_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="timeout_seconds"):
        with_watchdog(pytest.fail, "called", timeout_seconds=wrong)


# -- sessions


def asked(target: Target, **more: Any) -> dict[str, Any]:
    tasks = [{"method": "get", "request_url": f"{target.url}/ok"}]
    return {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 2, "spawn_rate": 100, "test_time": 60, "tasks": tasks, **more}


def test_runs_come_back_to_the_parents_session(target: Target, session: Session) -> None:
    target.reset()
    start_test(**asked(target, iterations=1))

    def work() -> Any:
        clear_records()
        results = execute_action([["LD_start_test", asked(target, iterations=3)], ["LD_summary"]])
        results.raise_for_failure()
        start_test(**asked(target, iterations=4))
        return results.results[1].value["totals"]["requests"]

    assert with_watchdog(work, timeout_seconds=60) == 6
    assert [run.totals().hits for run in session.all_runs] == [2, 6, 8]
    assert [run.totals().hits for run in session.runs] == [6, 8]
    assert {run.summary().verdict.kind for run in session.runs} == {"passed"}


def test_a_load_that_is_cut_off_is_ended_and_its_run_comes_back(target: Target, session: Session) -> None:
    target.reset()
    engines: list[psutil.Process] = []

    def look() -> None:
        wait_for("load", lambda: target.counts().get("/ok", 0) > 0, 50)
        engines.extend(
            one for one in psutil.Process().children(recursive=True) if one.cmdline()[-1].endswith(("entry.locust", "entry.native"))
        )

    watcher = threading.Thread(target=look)
    watcher.start()
    with pytest.raises(WatchdogTimeout):
        with_watchdog(start_test, timeout_seconds=6, **asked(target, wait_time=0.05))
    watcher.join()
    assert engines
    arrived = target.counts().get("/ok", 0)
    assert arrived > 0
    assert not [one for one in engines if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    (run,) = session.runs
    assert run.summary().verdict.kind == "interrupted"
    assert run.totals().hits > 0
    assert target.counts()["/ok"] == arrived
