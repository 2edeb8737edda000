"""The unframed mode, for clients of LoadDensity: one request a connection, answered in lines of text. Knows no socket.

A request is `quit_server`, a script, or an envelope `{"token": …, "command": script, "op": "quit"}`. It ends where its JSON
ends, or with the client's shutdown. The answer is one line for each action, then the marker. A value that is text of one line
stands as it is; every other value stands as JSON, so that a record never takes two lines. (LoadDensity writes `str(value)`,
Python's own notation.) An action's error stands as Python writes it, as there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.control.frames import MAX_FRAME_BYTES

__all__ = ["MARKER", "QUITTING", "LegacyDecoder", "LegacyError", "LegacyRequest", "error_answer", "line_of", "parse", "records_answer"]

MARKER = "Return_Data_Over_JE"
QUITTING = b"Server shutting down\n"  # no marker after it, as there
QUIT = b"quit_server"
ENVELOPE_KEYS = ("token", "command", "op")

_STRUCTURE = re.compile(rb'[\[\]{}"]')
_IN_STRING = re.compile(rb'["\\]')


class LegacyError(Exception):
    """The request can't be read; the text is for the client."""


class LegacyDecoder:
    """Collects one request. Each byte is looked at once, however the segments are cut.

    >>> decoder = LegacyDecoder()
    >>> decoder.feed(b'[["len", '), decoder.feed(b'["four"]]]')
    (None, b'[["len", ["four"]]]')
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0
        self._depth = 0
        self._in_string = False

    @property
    def pending_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """The request, once it is whole; None: more has to come. Raises LegacyError when no request can start like this."""
        self._buffer += data
        if len(self._buffer) > MAX_FRAME_BYTES:
            raise LegacyError(f"the request is larger than {MAX_FRAME_BYTES:,} bytes")
        start = bytes(self._buffer[:64]).lstrip()
        if not start:
            return None
        if start[:1] not in (b"[", b"{"):
            return self._word(start)
        return bytes(self._buffer) if self._closed() else None

    def end(self) -> bytes | None:
        """What came until the client's shutdown; None: nothing."""
        return bytes(self._buffer) if self._buffer.strip() else None

    def _word(self, start: bytes) -> bytes | None:
        word = start.rstrip()
        if word == QUIT:
            return word
        if QUIT.startswith(word):
            return None
        raise LegacyError("a request is a JSON list, a JSON object, or quit_server")

    def _closed(self) -> bool:
        """Whether the brackets opened so far are closed; whether they match is for the JSON reader."""
        at = self._seen
        while at < len(self._buffer):
            found = (_IN_STRING if self._in_string else _STRUCTURE).search(self._buffer, at)
            if found is None:
                at = len(self._buffer)
                break
            at = found.end()
            sign = found[0]
            if sign == b"\\":
                at += 1  # may point behind the end: the escaped byte is still to come
            elif sign == b'"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if sign in b"[{" else -1
                if self._depth == 0:
                    self._seen = at
                    return True
        self._seen = at
        return False


@dataclass(frozen=True, slots=True)
class LegacyRequest:
    """`text` is the JSON that held the script, for a stricter reader; `token` None: none was given."""

    quit: bool = False
    script: object = None
    text: str = ""
    token: object = None


def parse(data: bytes) -> LegacyRequest:
    """Raises LegacyError with a text for the client."""
    if data.strip() == QUIT:
        return LegacyRequest(quit=True)
    try:
        text = data.decode("utf-8-sig")
        document = read_json(text)
    except UnicodeDecodeError:
        raise LegacyError("the request is not UTF-8 text") from None
    except ValueError as error:
        raise LegacyError(f"the request is not JSON: {error}") from None
    if not isinstance(document, dict) or not any(key in document for key in ENVELOPE_KEYS):
        return LegacyRequest(script=document, text=text)
    unknown = [key for key in document if key not in ENVELOPE_KEYS]
    if unknown:
        raise LegacyError(f"{unknown[0][:60]!r} is not a key of an envelope; allowed: {', '.join(ENVELOPE_KEYS)}")
    token = document.get("token")
    if "op" in document:
        if document["op"] != "quit":
            raise LegacyError("the only op of this mode is quit")
        return LegacyRequest(quit=True, token=token)
    return LegacyRequest(script=document.get("command"), text=text, token=token)


def line_of(value: object) -> str:
    """One record. A text that could be taken for the marker is written as JSON, too."""
    if isinstance(value, str) and value != MARKER and len(value.splitlines()) <= 1 and not value.endswith(("\n", "\r")):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def records_answer(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in (*lines, MARKER)).encode(errors="replace")


def error_answer(message: str) -> bytes:
    """The marker follows, so that a client which waits for it does not wait for ever."""
    return records_answer([f"Error: {' '.join(message.split())}"])
