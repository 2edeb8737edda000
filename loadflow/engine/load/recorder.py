"""Where a process's hits go: rows into the log, new names into the side table, the first failures of each kind whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loadflow.engine.records.hitlog import HitLogWriter
from loadflow.engine.records.names import NAME_CAP, TEXT_CAP, NameWriter
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.redact import MASK, Redactor, forms_of

__all__ = ["Recorder", "UserWatch"]

SAMPLES_PER_KIND = 3
SAMPLES_IN_ALL = 300
SAMPLE_TEXT = 4_000  # characters of one body or header field
# What is cut is masked first, as a secret must not be cut in two; but a target may send megabytes, so it is cut roughly before.
ROUGHLY = 4
NAMES_KNOWN = 4_096

# method, name, milliseconds, bytes received, error text
OnHit = Callable[[str, str, float, int, str | None], None]
MakeSample = Callable[[], dict[str, Any]]


class Recorder:
    """Times are nanoseconds since the run's start. `redactor` sees every text before it is written.

    There is a log, and a time, from `start` on.
    """

    def __init__(self, *, hits: Path, names: Path, samples: Path, shard: int, redactor: Redactor) -> None:
        self.log: HitLogWriter
        self._hits = hits
        self._shard = shard
        self._names = NameWriter(names)
        # a body may hold half a surrogate pair, by its charset or its JSON
        self._samples = samples.open("x", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._series: dict[tuple[str, str], int] = {}
        self._sampled: dict[tuple[int, int], int] = {}
        self._sample_count = 0
        self._origin_ns = 0
        self._redactor = redactor
        self.in_flight = 0
        self.on_hit: OnHit | None = None  # whoever else wants to see each hit: Locust's web UI
        self.draining = False

    def start(self, origin_monotonic_ns: int, origin_unix_ns: int) -> None:
        """The run's start, on both clocks."""
        self.log = HitLogWriter(self._hits, shard=self._shard, origin_unix_ns=origin_unix_ns, origin_monotonic_ns=origin_monotonic_ns)
        self._origin_ns = origin_monotonic_ns

    def now_ns(self) -> int:
        return time.monotonic_ns() - self._origin_ns

    def series(self, method: str, name: str) -> int:
        """Asked for each hit of a step whose name has placeholders."""
        known = self._series.get((method, name))
        if known is None:
            known = self._names.series(method, self._redactor.text(name[: ROUGHLY * NAME_CAP]))
            if len(self._series) < NAMES_KNOWN:
                self._series[method, name] = known
        return known

    def succeeded(
        self, series: int, user: int, due_ns: int, start_ns: int, end_ns: int, status: int, sent_bytes: int, received_bytes: int, flags: int
    ) -> None:
        if self.draining:
            flags |= HitFlag.DRAINED
        self.log.append(due_ns, start_ns, end_ns, series, user, 0, sent_bytes, received_bytes, status, 0, flags)

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
        secrets: Sequence[Any] = (),
    ) -> None:
        """`secrets`: what this user holds that nobody may read; `make_sample` is called for the first few of each kind only."""
        if self.draining:
            flags |= HitFlag.DRAINED
        text = text[: ROUGHLY * TEXT_CAP]
        for secret in secrets:
            for form in forms_of(secret):
                text = text.replace(form, MASK)
        text = self._redactor.text(text)
        text = text if len(text) <= TEXT_CAP else text[: TEXT_CAP - 1] + "…"
        error = self._names.error(outcome, text)
        self.log.append(due_ns, start_ns, end_ns, series, user, error, sent_bytes, received_bytes, status, outcome, flags)
        kind = (series, error)
        seen = self._sampled.get(kind, 0)
        if seen < SAMPLES_PER_KIND and self._sample_count < SAMPLES_IN_ALL:
            self._sampled[kind] = seen + 1
            self._sample_count += 1
            self._write_sample(outcome, text, {"at_s": round(end_ns / 1e9, 3), "user": user, **make_sample()}, secrets)

    def flush(self) -> None:
        self.log.flush()

    def close(self) -> None:
        self.log.close()
        self._names.close()
        self._samples.close()

    def _write_sample(self, outcome: Outcome, text: str, sample: dict[str, Any], secrets: Sequence[Any]) -> None:
        redactor = self._redactor.knowing(secrets) if secrets else self._redactor
        method, name = sample.pop("series")
        for message in (sample.get("request"), sample.get("response")):
            if message and isinstance(message.get("body"), str):
                message["body"] = redactor.body(message["body"], ROUGHLY * SAMPLE_TEXT)
        entry = {
            "method": method,
            "name": redactor.text(name),
            "outcome": int(outcome),
            "error": text,
            "sample": _cut(redactor.value(_roughly(sample)), sample),
        }
        self._samples.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")


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

        def sample() -> dict[str, Any]:
            return {"series": (method, name), "error": text}

        recorder.failed(series, user, start_ns, start_ns, end_ns, 0, 0, received_bytes, 0, outcome, text, sample)


def _roughly(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _roughly(value) for key, value in data.items()}
    return data[: ROUGHLY * SAMPLE_TEXT] if isinstance(data, str) else data


def _cut(data: Any, whole: Any) -> Any:
    """`data`, its texts not too long; `whole` is what it was made of, whose length is told."""
    if isinstance(data, dict):
        return {key: _cut(value, whole.get(key)) for key, value in data.items()}
    if isinstance(data, str) and len(data) > SAMPLE_TEXT:
        more = max(len(data), len(whole) if isinstance(whole, str) else 0) - SAMPLE_TEXT
        return f"{data[:SAMPLE_TEXT]}… ({more:,} more characters)"
    return data
