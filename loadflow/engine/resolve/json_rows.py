"""JSON files as rows: JSON lines (.jsonl, .ndjson), an object in each line, or a list of objects (.json).

The columns are the keys of the first object. A cell is the value as it stands in text: a string as it is, every other value as compact
JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePath
from typing import IO

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.values import text_of

__all__ = ["JsonRowError", "is_json", "json_rows"]

LINES = (".jsonl", ".ndjson")
MOST_BYTES = 256 * 2**20  # of a list, which is read whole


class JsonRowError(ValueError):
    """What is wrong, at which line (None: somewhere in a list), and the way out."""

    def __init__(self, message: str, hint: str, line: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line


def is_json(path: str) -> bool:
    """By the file's name."""
    return PurePath(path).suffix.lower() in (".json", *LINES)


def json_rows(path: str, file: IO[str]) -> Iterator[tuple[int | None, list[str]]]:
    """The column names, and then the cells of each row, each with the line where it stands. Raises JsonRowError, UnicodeDecodeError."""
    columns: list[str] | None = None
    for number, (line, value) in enumerate(_lines(file) if PurePath(path).suffix.lower() in LINES else _entries(file), start=1):
        place = "" if line is not None else f"entry {number} "
        if not isinstance(value, dict):
            raise JsonRowError(f"{place}is not a JSON object", 'write a row as {"column": "value"}', line)
        if columns is None:
            columns = list(value)
            yield line, columns
        if value.keys() != set(columns):
            raise JsonRowError(f"{place}{_difference(columns, value)}", "give every row the keys of the first one", line)
        yield line, [text_of(value[column]) for column in columns]


def _difference(columns: list[str], row: dict[str, object]) -> str:
    missing = [column for column in columns if column not in row]
    if missing:
        return f"has no {missing[0][:60]!r}, which the first row has"
    added = [key for key in row if key not in columns]
    return f"has {counted(len(added), 'key')} that the first row has not: {added[0][:60]!r}"


def _lines(file: IO[str]) -> Iterator[tuple[int | None, object]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield number, _parsed(line)
            except ValueError as error:
                raise JsonRowError(f"is not valid JSON: {error}", "write one object in each line", number) from None


def _entries(file: IO[str]) -> Iterator[tuple[int | None, object]]:
    text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise JsonRowError(f"holds over {MOST_BYTES:,} characters", "write it as JSON lines (.jsonl), which are read one by one")
    try:
        found = _parsed(text)
    except ValueError as error:
        raise JsonRowError(f"is not valid JSON: {error}", "correct it there, or write it as JSON lines (.jsonl)") from None
    if not isinstance(found, list):
        raise JsonRowError("is not a list", 'write it as [{"column": "value"}], or as JSON lines (.jsonl)')
    for entry in found:
        yield None, entry


def _parsed(text: str) -> object:
    return read_json(text, parse_float=_number, parse_constant=_number)


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number
