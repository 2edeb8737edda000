"""Sampled hits as spans: a file beside the hit log, appended by an engine process and read behind it by the parent.

One JSON line for each span, and one `{"over_cap": n}` where hits were drawn that the limit of a second had no room for: those
carried no `traceparent`. All texts in it are redacted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.records.outcome import Outcome

__all__ = ["HitSpan", "SpanBatch", "SpanReader", "SpanWriter"]

BLOCK_BYTES = 4 * 2**20  # read at once


@dataclass(frozen=True, slots=True)
class HitSpan:
    """One hit. Times are Unix times in nanoseconds; `path` is without the query; `status` 0: no answer."""

    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16 of them
    method: str
    name: str
    host: str
    port: int
    path: str
    user: int
    due_unix_ns: int
    start_unix_ns: int
    end_unix_ns: int
    status: int
    outcome: Outcome
    error: str
    retry: bool

    @classmethod
    def from_json(cls, data: JsonMapping) -> HitSpan:
        return cls(**{**data, "outcome": Outcome(data["outcome"])})


@dataclass
class SpanBatch:
    """`over_cap`: hits that were drawn and not traced."""

    spans: list[HitSpan] = field(default_factory=list)
    over_cap: int = 0

    def __bool__(self) -> bool:
        return bool(self.spans) or self.over_cap > 0


class SpanWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", buffering=1)

    def span(self, span: HitSpan) -> None:
        self._write(asdict(span))

    def over_cap(self, count: int) -> None:
        self._write({"over_cap": count})

    def close(self) -> None:
        self._file.close()

    def _write(self, entry: dict[str, object]) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")


class SpanReader:
    """Follows a file that is still being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> SpanBatch:
        """Some of what was appended since the last call, in order; an empty batch: nothing was. Half a line waits for the next call."""
        batch = SpanBatch()
        if not self._path.exists():
            return batch
        with open_regular(self._path, "rb") as file:
            file.seek(self._offset)
            new = file.read(BLOCK_BYTES)
        whole = new.rfind(b"\n") + 1
        self._offset += whole
        for line in new[:whole].split(b"\n")[:-1]:
            entry = read_json(line)
            if "over_cap" in entry:
                batch.over_cap += entry["over_cap"]
            else:
                batch.spans.append(HitSpan.from_json(entry))
        return batch
