"""What every engine process does, with either engine: its pipes, its limits, its last messages."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loadflow.engine.base.disk import full_disk
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.process.messages import Failed, encode
from loadflow.errors import RunError

__all__ = ["Outcome", "allow_many_sockets", "opened", "orders", "reporting"]

TABLE_FILES = 65_536  # half a megabyte of the kernel's memory


@dataclass
class Outcome:
    exit_code: int = 0


def opened() -> IO[str]:
    """The pipe to the parent, which messages have for themselves: what libraries print goes to the log."""
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return messages


def allow_many_sockets() -> None:
    """Each user has one or more; shells often allow no more than 1,024.

    To be called before there are threads: the kernel's table of a process's files grows by doubling, and in a process with
    threads each time stops the thread that opens a file for 5 to 25 ms, in the middle of its load.
    """
    import fcntl
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS says "unlimited" and means less
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    last = TABLE_FILES if most == resource.RLIM_INFINITY else min(most, TABLE_FILES)
    with contextlib.suppress(OSError):  # it can't grow that far: then it grows when it has to
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, last - 1))


def orders(read: Callable[[], bytes]) -> Iterator[list[str]]:
    """The words of each line that the supervisor says after `go`, until `read` gives the end of its pipe.

    `["over"]`: the load's time is over. `["faster", FACTOR, SECOND]`: see `Engine.faster`.
    """
    pending = b""
    while data := read():
        *whole, pending = (pending + data).split(b"\n")
        yield from (line.decode().split() for line in whole if line.strip())


@contextlib.contextmanager
def reporting(job: JsonObject, messages: IO[str]) -> Iterator[Outcome]:
    """Tells the parent, and the log, what ended this process before its time."""
    outcome = Outcome()
    try:
        yield outcome
    except Exception as error:  # noqa: BLE001  the outermost loop: what got here ends this process
        mask = redactor_of(Plan.from_json(job["plan"]), os.environ).text
        text = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        text = full_disk(error, Path(job["hits"]).parent) or text
        print(encode(Failed(job["shard"], mask(text))), file=messages, flush=True)
        with contextlib.suppress(OSError):  # the log may be on the disk that is full
            print(mask(traceback.format_exc()), file=sys.stderr)
        outcome.exit_code = 1
