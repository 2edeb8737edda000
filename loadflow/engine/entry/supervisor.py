"""The supervisor: a small process between the one that wants load and the engines that make it.

`python -P -m loadflow.engine.entry.supervisor`, in a session of its own; that of an agent is in the agent's. It reads lines from its
standard input, the *lifeline*: first the job, then `go …`, `faster …`, `over`, `beat` and `stop …`; end of file means that the parent
is gone, however it went. It starts the engines, owns the deadline, and ends engines by TERM, a bounded grace, and KILL of everything
they started. Its last line on standard output says how each engine ended. Engines write their own lines to the same pipe.

On Linux it is a sub-reaper, so that even a grandchild that left its process group stays reachable; elsewhere the tree is
killed as far as it can be seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.process.states import State, after_exit

__all__ = ["Supervisor", "die_with_supervisor", "main"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TICK_S = 0.2


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_supervisor() -> None:
    """Runs in the engine's process before it becomes one: KILL when the supervisor is killed."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """One job's engines, from start to end.

    The job, a JSON object: `engines`, a list of `{"argv", "log", "job"}` (what to start, where its stdout goes when it is not
    a message, and the line it is given); `grace_s`, from TERM to KILL; `deadline_s`, from `go` to TERM, or null; `silent_s`, the
    longest time in which the parent may say nothing once it has begun to send `beat`, or absent; `folder`, where `end.json` is
    written if the parent can't do it any more.
    """

    def __init__(self, job: JsonObject) -> None:
        self.job = job
        self.engines: list[subprocess.Popen[bytes]] = []
        self.reason = "done"
        self.started_s: float | None = None
        self.heard_s: float | None = None
        self.kill_at: float | None = None
        self.term_at: float | None = None

    def start(self) -> None:
        for engine in self.job["engines"]:
            with Path(engine["log"]).open("ab") as log:
                self.engines.append(self.start_engine(engine, log))
        for process, engine in zip(self.engines, self.job["engines"], strict=True):
            self._tell(process, json.dumps(engine["job"]))
        import psutil  # noqa: F401  while the engines begin: what may have to be killed later must not wait for a disk then

    def start_engine(self, engine: JsonObject, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """One engine process, in a group of its own, its standard input a pipe and its standard output ours.

        Not in a session of its own: Linux gives each session its share of a core as a whole (autogroup), and engines of one load that
        share a core would wait milliseconds for each other's shares."""
        return subprocess.Popen(
            engine["argv"],
            stdin=subprocess.PIPE,
            stdout=sys.stdout.fileno(),
            stderr=log,
            process_group=0,
            preexec_fn=die_with_supervisor,
        )

    def run(self, lines: Iterator[str | None]) -> None:
        """Until every engine has ended. `lines` gives a line of the lifeline, "" at its end, None when there may be news of engines."""
        while any(process.poll() is None for process in self.engines):
            line = next(lines)
            if line == "":
                self.end("parent lost")
            elif line is not None:
                self._obey(line)
            self._watch(time.monotonic())

    def end(self, reason: str, grace_s: float | None = None) -> None:
        """TERM now, KILL after the grace; a second reason does not replace the first, nor prolong the grace."""
        if self.kill_at is None:
            self.reason = reason
            self.kill_at = time.monotonic() + (self.job["grace_s"] if grace_s is None else grace_s)
            self._signal(signal.SIGTERM)

    def finish(self) -> dict[str, object]:
        """Kill what engines left behind and say how each ended; negative codes are signals."""
        self._kill_descendants()
        return {"kind": "end", "reason": self.reason, "exit_codes": [process.wait() for process in self.engines]}

    def _obey(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        if word == "go":
            self.started_s = time.monotonic()
            if self.job["deadline_s"] is not None:
                self.term_at = self.started_s + self.job["deadline_s"]
            for process in self.engines:
                self._tell(process, line.strip())
        elif word in ("over", "faster"):
            for process in self.engines:
                self._tell(process, line.strip())
        elif word == "beat":
            self.heard_s = time.monotonic()
        elif word == "stop":
            self.end("stopped", float(rest) if rest else None)

    def _watch(self, now: float) -> None:
        if self.term_at is not None and now >= self.term_at:
            self.end("deadline")
        if self.heard_s is not None and now - self.heard_s > self.job["silent_s"]:
            self.end("parent silent")
        if self.kill_at is not None and now >= self.kill_at:
            self._signal(signal.SIGKILL)
            self._kill_descendants()
        codes = [code for process in self.engines if (code := process.poll()) is not None]
        if self.kill_at is None and State.LOST in map(after_exit, codes):
            self.end("engine lost")

    def _tell(self, process: subprocess.Popen[bytes], line: str) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a dead engine is noticed by poll()
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()

    def _signal(self, number: signal.Signals) -> None:
        for process in self.engines:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def _kill_descendants(self) -> None:
        import psutil

        for child in psutil.Process().children(recursive=True):
            if child.pid not in {process.pid for process in self.engines}:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


def lifeline() -> Iterator[str | None]:
    """Lines of standard input as they come, "" once at its end; None when an engine may have ended, or nothing came for a moment."""
    fd, ended = sys.stdin.fileno(), _ends_of_children()
    watched = [fd, ended]
    pending = b""
    while True:
        ready, _, _ = select.select(watched, [], [], TICK_S)
        if ended in ready:
            os.read(ended, 4_096)
        if fd not in ready:
            yield None
            continue
        data = os.read(fd, 65536)
        if not data:
            watched = [ended]
            yield ""
        *whole, pending = (pending + data).split(b"\n")
        for line in whole:
            yield line.decode() or None


def _ends_of_children() -> int:
    """A pipe that can be read when a child has ended: the supervisor reacts at once, not after a tick."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler the signal writes nothing
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _note_parent_lost(supervisor: Supervisor) -> None:
    """The parent can't write how the run ended any more, so it is done here, unless it was quicker."""
    path = Path(supervisor.job["folder"]) / "end.json"
    ran_s = time.monotonic() - supervisor.started_s if supervisor.started_s is not None else 0.0
    end = {
        "reason": "parent lost",
        "message": "the process that started the load is gone",
        "planned_s": supervisor.job["planned_s"],
        "ran_s": ran_s,
    }
    temporary = path.with_name(".end.json.supervisor.tmp")
    temporary.write_text(json.dumps(end), encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def main(kind: type[Supervisor] = Supervisor) -> None:
    # a stray signal must not end the supervisor before its engines; its parent ends it by the lifeline
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)  # the engines', too: what they write is for its owner
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    lines = lifeline()
    job_line = next((line for line in lines if line is not None), "")
    if not job_line:
        return
    supervisor = kind(json.loads(job_line))
    supervisor.start()
    supervisor.run(lines)
    end = supervisor.finish()
    if supervisor.reason == "parent lost":
        _note_parent_lost(supervisor)
        return
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(end) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
