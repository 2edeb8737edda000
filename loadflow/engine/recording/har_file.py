"""Reads HAR files (HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/): whole, or entry by entry in bounded memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import ijson

from loadflow.engine.base.json_reading import Bounds, JsonBoundError, read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.regular_file import open_regular, read_regular
from loadflow.errors import CommandError, Mistake

__all__ = ["Har", "entries_of", "load_har"]

Har = Mapping[str, object] | str | PathLike[str]

WAY_OUT = 'a HAR is a JSON object {"log": {"entries": [...]}}; export the recording again as HAR 1.2'
ENTRIES = "log.entries"
BLOCK_BYTES = 65_536
EXACT_PLACE_BYTES = 32 * 1024 * 1024  # up to here a broken file is read again as a whole, to name line and column
_UTF_16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def load_har(file_path: str | PathLike[str]) -> JsonObject:
    """The parsed HAR in the file, with or without a byte order mark; all of it is in memory.

    Raises CommandError with line and column if the file is not JSON, and with the place if the JSON is not a HAR.
    """
    source = str(file_path)
    with _opened(source) as file:
        text = _decoded(file.read(), source)
    har = _parsed(text, source)
    _entry_list(har, source)
    return har  # type: ignore[no-any-return]  # `_entry_list` saw that it is an object


def entries_of(har: Har) -> Iterator[object]:
    """The entries, in the order of the recording. A file is read entry by entry; call again to read it again.

    Raises CommandError if it is not a HAR; for a file only when the reader reaches the fault.
    """
    if isinstance(har, Mapping):
        yield from _entry_list(har, "")
    elif isinstance(har, str | PathLike):
        yield from _streamed(str(har))
    else:
        raise CommandError([Mistake("har", f"{type(har).__name__} is not a HAR", "give a parsed HAR, or the path of a HAR file")])


def _streamed(source: str) -> Iterator[object]:
    """Numbers come as int or Decimal. A text with half a surrogate pair, which the fast reader refuses, is read by the slow one."""
    given = 0
    try:
        for entry in _read(source, ijson):
            given += 1
            yield entry
        return
    except UnicodeDecodeError:
        pass
    for number, entry in enumerate(_read(source, ijson.get_backend("python"))):
        if number >= given:
            yield entry


def _read(source: str, reader: Any) -> Iterator[Any]:
    with _opened(source) as file:
        counted = _Utf8(file)
        found = False
        try:
            for entry in reader.items(counted, f"{ENTRIES}.item"):
                found = True
                yield entry
        except JsonBoundError as error:
            raise CommandError([Mistake(f"after line {counted.lines + 1}", str(error), WAY_OUT)], source) from None
        except (ijson.JSONError, RecursionError) as error:
            raise _broken(source, str(error), counted.lines) from None
    if not found:
        _see_that_there_is_a_list(source)


def _see_that_there_is_a_list(source: str) -> None:
    with _opened(source) as file:
        try:
            first = next(((prefix, event) for prefix, event, _ in ijson.parse(_Utf8(file)) if prefix == ENTRIES), None)
        except (ijson.JSONError, UnicodeDecodeError, JsonBoundError) as error:
            raise _broken(source, str(error), 0) from None
    if first != (ENTRIES, "start_array"):
        raise CommandError([Mistake(ENTRIES, "is not a list" if first else "is missing", WAY_OUT)], source)


def _broken(source: str, reason: str, lines: int) -> CommandError:
    """The error for a file that is not JSON, with line and column where reading it again is cheap."""
    path = Path(source)
    if path.stat().st_size <= EXACT_PLACE_BYTES:
        try:
            _parsed(_decoded(read_regular(path), source), source)
        except CommandError as error:
            return error
    short = reason.split("\n", 1)[0].strip("b'\"") or "it is nested too deeply"
    return CommandError([Mistake(f"after line {lines + 1}", f"is not JSON: {short}", WAY_OUT)], source)


def _parsed(text: str, source: str) -> Any:
    try:
        return read_json(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise CommandError([Mistake(place, f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", WAY_OUT)], source) from None
    except JsonBoundError as error:
        raise CommandError([Mistake("", str(error), WAY_OUT)], source) from None
    except ValueError as error:
        raise CommandError([Mistake("", f"is not JSON: {error}", WAY_OUT)], source) from None


def _decoded(data: bytes, source: str) -> str:
    encoding = next((name for mark, name in _UTF_16 if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise CommandError([Mistake("", f"is not text in {encoding}: byte {error.start} is wrong", "save it as UTF-8")], source) from None


def _entry_list(har: object, source: str) -> list[Any]:
    place = "" if source else "har"
    if not isinstance(har, Mapping):
        raise CommandError([Mistake(place, f"is not an object but {type(har).__name__}", WAY_OUT)], source)
    log = har.get("log")
    if not isinstance(log, Mapping):
        raise CommandError([Mistake("log", "is not an object" if "log" in har else "is missing", WAY_OUT)], source)
    entries = log.get("entries")
    if not isinstance(entries, list):
        raise CommandError([Mistake(ENTRIES, "is not a list" if "entries" in log else "is missing", WAY_OUT)], source)
    return entries


def _opened(source: str) -> IO[bytes]:
    try:
        return open_regular(source, "rb")
    except FileNotFoundError:
        raise CommandError([Mistake("", "there is no such file", "check the path")], source) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError([Mistake("", f"can't be read: {reason}", "check the path and its permissions")], source) from None


class _Utf8:
    """A file as UTF-8 without its byte order mark, whatever Unicode it was saved in; `lines` counts those read so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.lines = 0
        self._bounds = Bounds()
        head = file.read(BLOCK_BYTES)
        encoding = next((name for mark, name in _UTF_16 if head.startswith(mark)), None)
        self._recode = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
        self._head = head[2:] if encoding else head.removeprefix(codecs.BOM_UTF8)

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        block = self._block(size)
        self._bounds.see(block)
        return block

    def _block(self, size: int) -> bytes:
        if size == 0:
            return b""
        block, self._head = self._head or self._file.read(BLOCK_BYTES if size < 0 else size), b""
        self.lines += block.count(b"\n")
        if self._recode is None:
            return block
        text = self._recode.decode(block, not block)
        while block and not text:  # half a character only; an empty answer would mean the end
            block = self._file.read(BLOCK_BYTES)
            text = self._recode.decode(block, not block)
        return text.encode("utf-8", "replace")
