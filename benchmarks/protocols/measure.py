"""Runs a tool on core 0 against a server on core 1, and measures both from outside."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from benchmarks.protocols.servers import Server, cpu_s

__all__ = ["Failed", "Run", "Tool", "measure", "seconds_for"]

PIN = ["taskset", "-c", "0"]
SETTLE_S = 0.7
GRACE_S = 40.0
ENGINE = "loadflow.engine.entry.native"


class Failed(Exception):
    """A run that gave no result; the message goes below the table."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`command`: what runs it for `seconds_for` a window. `tells`: its last word is the exchanges per second that it counted itself.

    `asked`: how many times as many the core is to make; None: no goal.
    """

    name: str
    command: list[str]
    tells: bool = False
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    rate_per_s: float
    per_cpu_s: float  # exchanges per second of processor time of all the tool's processes
    engine_per_cpu_s: float  # the same, of the process that makes the load alone
    server_busy: float  # share of its core


def seconds_for(window_s: float, server: Server) -> float:
    """How long a tool is to be at work so that the window lies within."""
    return window_s + 3 * SETTLE_S + 3 * server.wait_s


def measure(tool: Tool, server: Server, window_s: float, folder: Path) -> Run:
    """By the server's count, in a window that begins once the tool is at work and ends before it stops."""
    before = server.answered()
    with _running(tool, folder) as (process, output):
        _until_at_work(process, server, before)
        time.sleep(SETTLE_S)
        engine = [one for one in _tree(process) if ENGINE in one.cmdline()] or _tree(process)
        first, cpu, engine_cpu, busy = server.answered(), _cpu_s(_tree(process)), _cpu_s(engine), server.cpu_s()
        started = time.monotonic()
        time.sleep(window_s)
        count, took_s = server.answered() - first, time.monotonic() - started
        cpu, engine_cpu, busy = _cpu_s(_tree(process)) - cpu, _cpu_s(engine) - engine_cpu, server.cpu_s() - busy
        if process.poll() is not None:
            raise Failed("ended before its time was over")
        if not count:
            raise Failed("sent nothing in the window")
        _end(process, output)
        if tool.tells:
            output.seek(0)
            told = float(output.read().split()[-1]) * seconds_for(window_s, server)
            answered = server.answered() - before
            if told > answered * 1.001 + 1:
                raise Failed(f"says that it made {told:,.0f} exchanges; {answered:,} were answered")
    return Run(count / took_s, count / max(cpu, 1e-9), count / max(engine_cpu, 1e-9), busy / took_s)


def _until_at_work(process: subprocess.Popen[bytes], server: Server, before: int) -> None:
    until = time.monotonic() + GRACE_S
    while server.answered() - before < 10:
        if process.poll() is not None:
            raise Failed(f"ended early, with status {process.returncode}")
        if time.monotonic() > until:
            raise Failed("sent nothing")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    try:
        status = process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        raise Failed(f"did not end {GRACE_S:.0f} s after its time") from None
    if status:
        output.seek(0)
        words = output.read().decode(errors="replace").split("\n")
        raise Failed(f"ended with status {status}: {words[-2:]}")


@contextlib.contextmanager
def _running(tool: Tool, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Whatever happens, none of its processes is left."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([*PIN, *tool.command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, cwd=folder)
        try:
            yield process, output
        finally:
            for one in _tree(process):
                with contextlib.suppress(psutil.Error):
                    one.kill()
            process.wait()


def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    if process.poll() is not None:
        return []
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(cpu_s(one.pid) for one in processes)
