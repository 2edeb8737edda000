"""Runs a tool on core 0 and measures it from outside: the target's count, CPU time and memory of all its processes.

Memory is the sum of their resident sets, seen twice a second; pages that two of them share count twice.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import psutil

from benchmarks.compare.peer import Load, Peer, Said, Unreadable
from benchmarks.nginx import Nginx

__all__ = ["FREEZE_S", "Failed", "Freeze", "Frozen", "Pace", "Throughput", "closed_loop", "frozen", "paced"]

PIN = ["taskset", "-c", "0"]
SETTLE_S = 0.7
FREEZE_RATE, FREEZE_S = 100, 10
# how long a tool may take beyond the time that it was given, for its start and its report
GRACE_S = 40.0


class Failed(Exception):
    """A run that gave no result; the message goes into the table's notes."""


@dataclass(frozen=True, slots=True)
class Throughput:
    rate_per_s: float
    cpu_s_per_hit: float
    rss_mib: float
    said: Said
    counted: int


@dataclass(frozen=True, slots=True)
class Pace:
    asked: int
    counted: int
    cpu_s: float  # of the whole run, with start and report
    said: Said


@dataclass(frozen=True, slots=True)
class Frozen:
    counted: int
    said: Said


@dataclass(frozen=True, slots=True)
class Freeze:
    few: Frozen  # with few connections, with many
    many: Frozen


class _Counter:
    """The target's count without the questions for it, which it counts too."""

    def __init__(self, nginx: Nginx) -> None:
        self._nginx = nginx
        self._asked = 1
        self._first = nginx.served()

    def __call__(self) -> int:
        self._asked += 1
        return self._nginx.served() - self._first - (self._asked - 1)


def closed_loop(peer: Peer, nginx: Nginx, seconds: int, connections: int) -> Throughput:
    """Rate and CPU time within a window that begins once the tool is at work and ends before it stops; memory over all of it."""
    with tempfile.TemporaryDirectory() as folder:
        load = Load(nginx.url, seconds, connections, Path(folder))
        served = _Counter(nginx)
        with _running(peer, load) as run:
            run.until(lambda: served() > 100)
            time.sleep(SETTLE_S)
            cpu, first, started = run.cpu_s(), served(), time.monotonic()
            run.watch(seconds - 2 * SETTLE_S)
            hits, took_s, cpu = served() - first, time.monotonic() - started, run.cpu_s() - cpu
            run.still_at_work()
            said = run.end()
        if hits == 0:
            raise Failed("sent nothing in the window")
        return Throughput(hits / took_s, cpu / hits, run.rss_bytes / 2**20, said, served())


def paced(peer: Peer, nginx: Nginx, rate: int, seconds: int, connections: int) -> Pace:
    with tempfile.TemporaryDirectory() as folder:
        load = Load(nginx.url, seconds, connections, Path(folder), rate)
        served, cpu = _Counter(nginx), _children_cpu_s()
        with _running(peer, load) as run:
            said = run.end()
        return Pace(rate * seconds, served(), _children_cpu_s() - cpu, said)


def frozen(peer: Peer, few: int, many: int) -> Freeze:
    """Both at the same time, each with a target of its own: a hundred requests a second are little work."""
    rate = None if peer.rate_mode is None else FREEZE_RATE
    with ExitStack() as stack:
        pairs = []
        for connections in (few, many):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            target = stack.enter_context(_FrozenTarget())
            pairs.append((target, stack.enter_context(_running(peer, Load(target.url, FREEZE_S, connections, folder, rate)))))
        said = [run.end() for _, run in pairs]
        return Freeze(*[Frozen(target.counted(), one) for (target, _), one in zip(pairs, said, strict=True)])


class _Run:
    def __init__(self, peer: Peer, load: Load, process: subprocess.Popen[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._peer, self._load, self._process = peer, load, process
        self._stdout, self._stderr = stdout, stderr
        self._until = time.monotonic() + load.seconds + GRACE_S
        self.rss_bytes = 0

    def until(self, at_work: Callable[[], bool]) -> None:
        while not at_work():
            if self._process.poll() is not None:
                raise Failed(f"ended early: {self._last_words()}")
            self._check_time()
            time.sleep(0.05)

    def watch(self, seconds: float) -> None:
        """Waits, and keeps the largest sum of its processes' memory."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._see_memory()
            time.sleep(min(left, 0.5))

    def still_at_work(self) -> None:
        if self._process.poll() is not None:
            raise Failed("ended before its time was over")

    def end(self) -> Said:
        while True:
            self._see_memory()
            self._check_time()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(0.5)
                break
        if code != 0:
            raise Failed(f"exit code {code}: {self._last_words()}")
        self._stdout.seek(0)
        try:
            return self._peer.read(self._stdout.read().decode(errors="replace"), self._load)
        except Unreadable as error:
            raise Failed(f"its report can't be read: {error}") from error

    def cpu_s(self) -> float:
        """User and system time so far of all its processes, and of those of them that have ended."""
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def tree(self) -> list[psutil.Process]:
        """None once it has ended: its number may be another's by then."""
        if self._process.poll() is not None:
            return []
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def _see_memory(self) -> None:
        total = 0
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        self.rss_bytes = max(self.rss_bytes, total)

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise Failed(f"did not end {GRACE_S:.0f} s after its time")

    def _last_words(self) -> str:
        for stream in (self._stderr, self._stdout):
            stream.seek(0)
            lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()[:160]
        return "it said nothing"


@contextmanager
def _running(peer: Peer, load: Load) -> Iterator[_Run]:
    """Whatever happens, none of its processes is left."""
    command = [*PIN, *peer.command(load)]
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        run = _Run(peer, load, process, stdout, stderr)
        try:
            yield run
        finally:
            for one in run.tree():
                with contextlib.suppress(psutil.Error):
                    one.kill()
            process.wait()


class _FrozenTarget:
    def __enter__(self) -> _FrozenTarget:
        command = ["taskset", "-c", "1", sys.executable, "-m", "benchmarks.compare.frozen_target"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def counted(self) -> int:
        """Ends it."""
        try:
            return int(self._process.communicate(timeout=10)[0])
        except (ValueError, subprocess.TimeoutExpired) as error:
            raise Failed("the target that freezes did not say what it counted") from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
