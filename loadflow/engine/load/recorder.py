"""Where a process's hits go: rows into the log, new names into the side table, the first failures of each kind whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadflow.engine.records.hitlog import HitLogWriter
from loadflow.engine.records.names import TEXT_CAP, NameWriter
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.redact import Redactor

__all__ = ["Recorder"]

SAMPLES_PER_KIND = 3
SAMPLES_IN_ALL = 300
SAMPLE_TEXT = 4_000  # characters of one body or header field

# method, name, milliseconds, bytes received, error text
OnHit = Callable[[str, str, float, int, str | None], None]
MakeSample = Callable[[], dict[str, Any]]


class Recorder:
    """Times are nanoseconds since the run's start. `redactor` sees every text before it is written."""

    def __init__(
        self, *, hits: Path, names: Path, samples: Path, shard: int, origin_monotonic_ns: int, origin_unix_ns: int, redactor: Redactor
    ) -> None:
        self.log = HitLogWriter(hits, shard=shard, origin_unix_ns=origin_unix_ns, origin_monotonic_ns=origin_monotonic_ns)
        self._names = NameWriter(names)
        self._samples = samples.open("x", encoding="utf-8", buffering=1)
        self._sampled: dict[tuple[int, int], int] = {}
        self._sample_count = 0
        self._origin_ns = origin_monotonic_ns
        self._redactor = redactor
        self.in_flight = 0
        self.on_hit: OnHit | None = None  # whoever else wants to see each hit: Locust's web UI
        self.draining = False

    def now_ns(self) -> int:
        return time.monotonic_ns() - self._origin_ns

    def series(self, method: str, name: str) -> int:
        return self._names.series(method, self._redactor.text(name))

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
    ) -> None:
        if self.draining:
            flags |= HitFlag.DRAINED
        text = self._redactor.text(text)
        text = text if len(text) <= TEXT_CAP else text[: TEXT_CAP - 1] + "…"
        error = self._names.error(outcome, text)
        self.log.append(due_ns, start_ns, end_ns, series, user, error, sent_bytes, received_bytes, status, outcome, flags)
        kind = (series, error)
        seen = self._sampled.get(kind, 0)
        if seen < SAMPLES_PER_KIND and self._sample_count < SAMPLES_IN_ALL:
            self._sampled[kind] = seen + 1
            self._sample_count += 1
            self._write_sample(outcome, text, {"at_s": round(end_ns / 1e9, 3), "user": user, **make_sample()})

    def learn_secrets(self, data: Any) -> None:
        """Values that came up while running, e.g. a token a login returned: mask them from now on."""
        self._redactor.learn_from(data)

    def flush(self) -> None:
        self.log.flush()

    def close(self) -> None:
        self.log.close()
        self._names.close()
        self._samples.close()

    def _write_sample(self, outcome: Outcome, text: str, sample: dict[str, Any]) -> None:
        method, name = sample.pop("series")
        entry = {
            "method": method,
            "name": self._redactor.text(name),
            "outcome": int(outcome),
            "error": text,
            "sample": _cut(self._redactor.value(sample)),
        }
        self._samples.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")


def _cut(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _cut(value) for key, value in data.items()}
    if isinstance(data, str) and len(data) > SAMPLE_TEXT:
        return f"{data[:SAMPLE_TEXT]}… ({len(data) - SAMPLE_TEXT:,} more characters)"
    return data
