"""Reads events from the body of an answer as it comes: Server-Sent Events (WHATWG HTML section 9.2), or one in each line, as
newline-delimited JSON has them. `native/src/http/events.rs` says the same for the core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loadflow.engine.base.json_path import value_at
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.base.values import shown
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["Event", "EventReader", "EventStream", "StreamRule"]

MOST_TOKENS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class StreamRule:
    """What a step says of its stream. `until`: the data, or the name, of the event that ends it; `tokens`: where those of an event are."""

    until: str | None
    max_events: int | None
    format: str | None
    tokens: str | None

    @classmethod
    def of(cls, config: JsonMapping) -> StreamRule:
        return cls(*(config.get(key) for key in ("until", "max_events", "format", "tokens")))


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: str

    def tokens(self, path: str) -> int:
        """A text is one, a number is so many."""
        try:
            value = value_at(read_json(self.data), path)
        except ValueError:
            return 0
        if isinstance(value, str):
            return 1 if value else 0
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(min(MOST_TOKENS, max(0, value)))
        return 0


class EventReader:
    """`feed` takes what came, and gives the events that became whole by it. `format`: "sse" or "lines"."""

    def __init__(self, format: str) -> None:
        self._in_lines = format == "lines"
        self._held = bytearray()
        self._after_cr = False
        self._is_first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, part: bytes) -> Iterator[Event]:
        if self._after_cr and part:
            self._after_cr = False
            part = part.removeprefix(b"\n")
        self._after_cr = part.endswith(b"\r")
        *lines, rest = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            whole, self._held = bytes(self._held + line), bytearray()
            yield from self._line(whole)
        self._held += rest

    def end(self) -> Iterator[Event]:
        """The body is whole: a last line may have no end. What is left of Server-Sent Events is no event."""
        if self._in_lines:
            yield from self._line(bytes(self._held))

    def _line(self, raw: bytes) -> Iterator[Event]:
        line = raw.decode(errors="replace")
        if self._is_first:
            self._is_first = False
            line = line.removeprefix("\ufeff")
        if self._in_lines:
            if line.strip():
                yield Event("", line.strip())
            return
        if not line:
            name, data, self._name, self._data = self._name, self._data, "", []
            if data:
                yield Event(name, "\n".join(data))
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value


class EventStream:
    """The events of one answer: `take` gives the tokens of each that counts, and `is_over` says that the last one came.

    Raises HitFailure for a body that can't be read as it comes.
    """

    def __init__(self, rule: StreamRule) -> None:
        self.is_over = False
        self.lacks_last = False
        self._rule = rule
        self._count = 0
        self._reader: EventReader | None = None
        self._taken = 0

    def take(self, status: int, fields: Mapping[str, str], body: bytes | bytearray, *, is_whole: bool) -> Iterator[tuple[int, int]]:
        """(tokens, bytes) of each event that is new in `body`, which is all that came so far. `fields` have names in lower case."""
        if not 200 <= status < 300 or self.is_over or (not body and self._reader is None):
            return
        if self._reader is None:
            self._reader = EventReader(self._format(fields))
        part = bytes(memoryview(body)[self._taken :])
        self._taken = len(body)
        found = list(self._reader.feed(part))
        if is_whole:
            found += self._reader.end()
        for event in found:
            if self._rule.until is not None and self._rule.until in (event.data, event.name):
                self.is_over = True
                return
            self._count += 1
            yield event.tokens(self._rule.tokens) if self._rule.tokens is not None else 0, len(event.data.encode())
            if self._rule.max_events is not None and self._count >= self._rule.max_events:
                self.is_over = True
                return
        self.lacks_last = is_whole and self._rule.until is not None

    @property
    def failure(self) -> tuple[Outcome, str] | None:
        return (Outcome.CLOSED, f"the stream ended before {shown(self._rule.until)}") if self.lacks_last else None

    def _format(self, fields: Mapping[str, str]) -> str:
        coding = fields.get("content-encoding", "").strip().lower()
        if coding not in ("", "identity"):
            raise HitFailure(Outcome.PROTOCOL, "a stream of events in a content coding")
        if self._rule.format is not None:
            return self._rule.format
        return "sse" if fields.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream" else "lines"
