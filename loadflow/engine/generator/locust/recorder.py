"""Where a process's hits go: rows into the log, new names into the side table, the first failures of each kind whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.generator.notes import MakeSample, Notes
from loadflow.engine.generator.tracing import SpanNotes, Tracer
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.records.hitlog import HitLogWriter
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.timings import HitTimings

__all__ = ["UNKNOWN", "Recorder", "UserWatch"]

# method, name, milliseconds, bytes received, error text
OnHit = Callable[[str, str, float, int, str | None], None]

UNKNOWN = HitTimings()


class Recorder:
    """Times are nanoseconds since the run's start. `redactor` sees every text before it is written.

    There is a log, and a time, from `start` on. `tracer` is None where no hit is traced.
    """

    def __init__(
        self, *, hits: Path, names: Path, samples: Path, spans: Path, shard: int, redactor: Redactor, traces: TraceRule | None = None
    ) -> None:
        self.log: HitLogWriter
        self._hits = hits
        self._shard = shard
        self._notes = Notes(names, samples, redactor)
        self.tracer = Tracer(traces, SpanNotes(spans, redactor)) if traces is not None else None
        self.series = self._notes.series  # of method and name
        self.steps = self._notes.steps
        self.revision = self._notes.revision
        self.tls = self._notes.tls
        self._origin_ns = 0
        self.in_flight = 0
        self.on_hit: OnHit | None = None  # another receiver of each hit: Locust's web UI
        self.draining = False

    def start(self, origin_monotonic_ns: int, origin_unix_ns: int, lock: AbstractContextManager[object] | None = None) -> None:
        """The run's start, on both clocks. `lock`: where another thread may flush the log."""
        self.log = HitLogWriter(
            self._hits, shard=self._shard, origin_unix_ns=origin_unix_ns, origin_monotonic_ns=origin_monotonic_ns, lock=lock
        )
        self._origin_ns = origin_monotonic_ns
        if self.tracer is not None:
            self.tracer.notes.start(origin_unix_ns)

    def now_ns(self) -> int:
        return time.monotonic_ns() - self._origin_ns

    def succeeded(
        self,
        series: int,
        user: int,
        due_ns: int,
        start_ns: int,
        end_ns: int,
        status: int,
        sent_bytes: int,
        received_bytes: int,
        flags: int,
        timings: HitTimings = UNKNOWN,
    ) -> None:
        if self.draining:
            flags |= HitFlag.DRAINED
        more = self._more(timings)
        self.log.append(due_ns, start_ns, end_ns, series, user, 0, sent_bytes, received_bytes, status, 0, flags, *more)

    def _more(self, timings: HitTimings) -> tuple[int, float, float, float, float]:
        """What a row has of them."""
        if timings.agreed:
            self.tls(timings.agreed)
        first_ns = timings.first_byte_ns and timings.first_byte_ns - self._origin_ns
        return first_ns, timings.dns_ns / 1e6, timings.connect_ns / 1e6, timings.tls_ns / 1e6, timings.send_ns / 1e6

    def failed(
        self,
        series: int,
        user: int,
        due_ns: int,
        start_ns: int,
        end_ns: int,
        status: int,
        sent_bytes: int,
        received_bytes: int,
        flags: int,
        outcome: Outcome,
        text: str,
        make_sample: MakeSample,
        secrets: Sequence[object] = (),
        timings: HitTimings = UNKNOWN,
    ) -> None:
        """`secrets`: this user's secret values, which are masked; `make_sample` is called only for the first few failures of each kind."""
        if self.draining:
            flags |= HitFlag.DRAINED
        error = self._notes.error(series, user, end_ns, outcome, text, make_sample, secrets)
        more = self._more(timings)
        self.log.append(due_ns, start_ns, end_ns, series, user, error, sent_bytes, received_bytes, status, outcome, flags, *more)

    def event(self, series: int, user: int, before_ns: int, now_ns: int, tokens: int, received_bytes: int, number: int, flags: int) -> None:
        """An event of an answer that is under way. `before_ns`: when the one before it came, or its hit began."""
        flags |= HitFlag.EVENT | (HitFlag.DRAINED if self.draining else 0)
        self.log.append(before_ns, before_ns, now_ns, series, user, 0, tokens, received_bytes, min(number, 2**16 - 1), 0, flags)

    def events_of(self, series: int, user: int, start_ns: int, flags: int) -> Callable[[int, int], None]:
        """What records each event of the answer to a request that began then, by its tokens and bytes."""
        count, before_ns = 0, start_ns

        def on_event(tokens: int, size: int) -> None:
            nonlocal count, before_ns
            now_ns = self.now_ns()
            count += 1
            self.event(series, user, before_ns, now_ns, tokens, size, count, flags)
            before_ns = now_ns

        return on_event

    def flush(self) -> None:
        self.log.flush()

    def close(self) -> None:
        self.log.close()
        self._notes.close()
        if self.tracer is not None:
            self.tracer.close()


class UserWatch:
    """One user's way to record what happened outside of its steps; see `protocol.Watch`."""

    __slots__ = ("_recorder", "_user", "awaited")

    def __init__(self, recorder: Recorder, user: int) -> None:
        self._recorder = recorder
        self._user = user
        self.awaited = 0

    def now_ns(self) -> int:
        return self._recorder.now_ns()

    def awaits(self, more: int) -> None:
        self.awaited += more
        self._recorder.in_flight += more

    def observed(
        self, method: str, name: str, start_ns: int, end_ns: int, received_bytes: int, failure: tuple[Outcome, str] | None = None
    ) -> None:
        recorder, user = self._recorder, self._user
        series = recorder.series(method, name)
        if recorder.on_hit is not None:
            recorder.on_hit(method, name, (end_ns - start_ns) / 1e6, received_bytes, failure and failure[1])
        if failure is None:
            recorder.succeeded(series, user, start_ns, start_ns, end_ns, 0, 0, received_bytes, 0)
            return
        outcome, text = failure

        def sample() -> JsonObject:
            return {"error": text}

        recorder.failed(series, user, start_ns, start_ns, end_ns, 0, 0, received_bytes, 0, outcome, text, sample)
