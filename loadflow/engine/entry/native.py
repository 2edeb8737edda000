"""The engine process of the native core: `python -P -m loadflow.engine.entry.native`, started by the supervisor and by nothing else.

As `locust`, but the load is made in Rust, on one thread for each shard of the job; Python compiles the plan, writes down new
names and failures, and speaks with the parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from array import array
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.process.states import STOP_GRACE_S

if TYPE_CHECKING:
    from loadflow.engine.plan.pace import DueTimes, Pace
    from loadflow.engine.process.messages import OfEngine
    from loadflow.engine.records.health import Health

__all__ = ["main"]

# rows, users, the most users since the last state, hits in flight, lag in ns, passes, what functions of Python took, how long the load
# ran in ns
State = tuple[int, int, int, int, int, tuple[int, int, int, int, int], tuple[int, int, int, int], int | None]

CHUNK = 512  # times of a pace that are computed in one go: a fraction of a millisecond, in which the core may have to wait
WAIT_S = 0.1  # for an event; a stop by signal is seen after it


def main() -> int:
    # the job comes first: the supervisor waits until all of it is taken
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    jobs = json.loads(line)["jobs"]
    from loadflow.engine.generator.engine_process import allow_many_sockets, opened, reporting

    messages = opened()
    with reporting(jobs[0], messages) as outcome:
        allow_many_sockets()
        NativeProcess(jobs, messages).run()
    return outcome.exit_code


@dataclass
class _Shard:
    """One core and the thread that it runs on. `result` is what `Core.run` gave, or what it raised."""

    job: JsonObject
    core: Any
    calls: Any
    notes: Any
    spans: Any  # None: no hit is traced
    pace: Pace | None
    times: DueTimes | None  # when passes of the pace are due
    functions: object = None  # those of a scenario that are steps
    told_s: float = 0.0  # when its state was reported last
    thread: threading.Thread | None = None
    result: tuple[bool, State, list[tuple[int, int]], int] | BaseException | None = None
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)  # of `times`, which an old and a new feeder may want

    def run(self, origin_unix_ns: int, origin_monotonic_ns: int) -> None:
        if self.spans is not None:
            self.spans.start(origin_unix_ns)
        try:
            self.result = self.core.run(self.job["hits"], origin_unix_ns, origin_monotonic_ns, self.calls, self.functions)
        except BaseException as error:  # noqa: BLE001  given to the main thread, which raises it
            self.result = error

    def is_running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def start_feeding(self, number: int = 0) -> None:
        threading.Thread(target=self._feed, args=(number,), daemon=True).start()

    def faster(self, factor: float, at_s: int) -> None:
        """See `Engine.faster`."""
        if self.pace is None or self.times is None:
            return
        self.pace = self.pace.faster(factor, at_s)
        with self.lock:
            self.times.change(self.pace, at_s * 10**9)
            number = self.core.change(at_s * 10**9)
        self.start_feeding(number)

    def _feed(self, number: int) -> None:
        """Tell the core when passes are due, some thousand ahead, until there are no more, or the pace has changed again."""
        try:
            while (chunk := self._chunk()) and self.core.feed(chunk.tobytes(), number):
                pass
        finally:
            self.core.feed(b"", number)  # without an end the core would wait for more

    def _chunk(self) -> array[int]:
        with self.lock:
            return self.times.take(CHUNK) if self.times is not None else array("q")


class NativeProcess:
    """All shards of one process, from compiling to the last row."""

    def __init__(self, jobs: list[JsonObject], messages: IO[str]) -> None:
        from loadflow import _native
        from loadflow.engine.generator.native.calls import Calls
        from loadflow.engine.generator.native.plan import compile_plan
        from loadflow.engine.generator.notes import Notes
        from loadflow.engine.plan.csv_source import CsvSource
        from loadflow.engine.plan.plan import Plan
        from loadflow.engine.plan.secrets import redactor_of
        from loadflow.engine.protocols.python.place import PYTHON_USER
        from loadflow.engine.resolve.data import Table, read_table

        self._messages = messages
        self._stopped = ""
        self._broken: tuple[BaseException, float] | None = None  # what broke a core, and until when the others are waited for
        self._shards = []
        tables: dict[CsvSource, Table] = {}  # the loops of a process share them

        def read(source: CsvSource) -> Table:
            if source not in tables:
                tables[source] = Table(*read_table(source, _native.CsvTable))
            return tables[source]

        # stubs of one's own are found where the parent found them, behind everything else
        sys.path += [path for path in jobs[0]["paths"] if path not in sys.path]
        for job in jobs:
            plan = Plan.from_json(job["plan"])
            in_python = plan.protocol == PYTHON_USER
            if in_python:  # before its file is imported
                from loadflow.engine.generator.native.functions import Functions, own_asyncio

                own_asyncio()
            compiled = compile_plan(plan, job["shard"], job["shards"], os.environ, read)
            redactor = redactor_of(plan, os.environ)
            notes = Notes(Path(job["names"]), Path(job["samples"]), redactor)
            spans = None
            if plan.traces is not None:
                from loadflow.engine.generator.tracing import SpanNotes

                spans = SpanNotes(Path(job["spans"]), redactor)
            times = plan.pace.arrivals(job["shard"], job["shards"]) if plan.pace is not None else None
            calls = Calls(compiled, notes, plan, spans)
            functions = Functions(plan, compiled.steps, compiled.data, compiled.tls) if in_python else None
            core = _native.Core(compiled.json, compiled.tables)
            self._shards.append(_Shard(job, core, calls, notes, spans, plan.pace, times, functions))

    def run(self) -> None:
        """Raises what makes it impossible to go on, e.g. RuntimeError for a full disk."""
        from loadflow.engine.generator.probe import ProcessProbe
        from loadflow.engine.process.messages import Ready

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # before the start there is nothing to end
        if any(shard.functions is not None for shard in self._shards):
            import gc

            gc.freeze()  # what is imported stays, and need not be looked through while hits wait: that took some 20 ms each time
        for shard in self._shards:
            shard.start_feeding()
            self._say(Ready(shard.job["shard"]))
        line = sys.stdin.buffer.readline()
        if not line:
            raise EOFError("the supervisor is gone")
        _, monotonic_ns, unix_ns = line.decode().split()[:3]
        signal.signal(signal.SIGTERM, lambda *_: self._stop("a stop was asked for"))
        self._probe = ProcessProbe()  # anew as the load starts
        threading.Thread(target=self._watch_lifeline, daemon=True).start()
        for shard in self._shards:
            shard.told_s = int(monotonic_ns) / 1e9
            shard.thread = threading.Thread(target=shard.run, args=(int(unix_ns), int(monotonic_ns)))
            shard.thread.start()
        self._follow()

    def _watch_lifeline(self) -> None:
        from loadflow.engine.generator.engine_process import orders

        for words in orders(partial(os.read, 0, 4_096)):
            for shard in self._shards:
                if words[0] == "faster":
                    shard.faster(float(words[1]), int(words[2]))
                else:
                    shard.core.end()
        self._stop("the supervisor is gone")

    def _stop(self, why: str) -> None:
        self._stopped = self._stopped or why
        for shard in self._shards:
            shard.core.stop()

    def _follow(self) -> None:
        from loadflow.engine.process.messages import Flush, Tick
        from loadflow.engine.records.passes import Passes

        wait_s = WAIT_S / len(self._shards)
        while running := [shard for shard in self._shards if not shard.ended]:
            for shard in running:
                match shard.core.next_event(wait_s):
                    case ("tick", second, state):
                        rows, *_, passes, _, ran_ns = state
                        ran_s = None if ran_ns is None else ran_ns / 1e9
                        self._say(Tick(shard.job["shard"], second, rows, self._health(shard, state), Passes(*passes), ran_s))
                    case ("stood", since_ns, stood_ns, step, doing):
                        self._tell_standing(shard, since_ns / 1e9, stood_ns / 1e9, step, doing)
                    case ("flush", until_ns, rows):
                        self._say(Flush(shard.job["shard"], until_ns, rows))
                    case ("end",):
                        self._end(shard)
                    case None if not shard.is_running():
                        self._end(shard)  # it did not even begin
            if self._broken is not None and time.monotonic() > self._broken[1]:
                break
        if self._broken is not None:
            raise self._broken[0]

    def _end(self, shard: _Shard) -> None:
        """Says how its load went. A core that broke ends the others, whose hits so far count as well."""
        from loadflow.engine.process.messages import Done
        from loadflow.engine.records.passes import Passes

        assert shard.thread is not None
        shard.thread.join()
        shard.ended = True
        if isinstance(shard.result, tuple):
            shard.notes.steps(*shard.result[2:])
        shard.notes.close()
        if shard.spans is not None:
            shard.spans.close()
        if isinstance(shard.result, BaseException):
            self._broken = self._broken or (shard.result, time.monotonic() + STOP_GRACE_S)
            self._stop("another core broke")
            return
        assert shard.result is not None
        stopped, state, *_ = shard.result
        rows, *_, passes, _, ran_ns = state
        assert ran_ns is not None
        why = self._stopped if stopped else ""
        self._say(Done(shard.job["shard"], rows, ran_ns / 1e9, why, self._health(shard, state), Passes(*passes)))

    def _health(self, shard: _Shard, state: State) -> Health:
        """Since the last question. CPU is the threads' mean; memory and files are those of the process, reported by its first shard."""
        from dataclasses import replace

        _, users, users_peak, in_flight, lag_ns, _, (python_ns, slowest_ns, slowest_step, slow), _ = state
        health = self._probe.health(users, in_flight, lag_ns / 1e6)
        health = replace(health, users_peak=users_peak, cpu=round(health.cpu / len(self._shards), 4))
        now_s = time.monotonic()
        if python_ns:
            share = min(1.0, python_ns / 1e9 / max(1e-3, now_s - shard.told_s))
            slowest_ms = round(slowest_ns / 1e6, 3)
            health = replace(health, python=round(share, 4), slowest_ms=slowest_ms, slowest_step=slowest_step, slow=slow)
        shard.told_s = now_s
        return health if shard is self._shards[0] else replace(health, rss_bytes=0, open_files=0)

    def _tell_standing(self, shard: _Shard, since_s: float, stood_s: float, step: int, doing: str) -> None:
        """In the log, and to the parent. Where Python was asked, its stack says more than the core knows."""
        from loadflow.engine.process.messages import Stood

        thread = shard.thread.ident if shard.thread is not None else None
        frame = sys._current_frames().get(thread) if thread is not None else None
        python = ""
        if frame is not None and frame.f_code.co_name != "run":
            from loadflow.engine.generator.loop_watch import place_in

            python = f", in Python: {place_in(frame)}"
        text = f"step {shard.calls.step_name(step)}: {doing}{python}"
        print(f"the loop of shard {shard.job['shard']} has not moved for {stood_s:.1f} s: {text}", file=sys.stderr, flush=True)
        self._say(Stood(shard.job["shard"], since_s, stood_s, text))

    def _say(self, message: OfEngine) -> None:
        from loadflow.engine.process.messages import encode

        try:
            self._messages.write(encode(message) + "\n")
        except (BrokenPipeError, ValueError):
            self._stop("the parent is gone")


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # a thread that waits for the supervisor must not keep a finished engine alive
    os._exit(code)
