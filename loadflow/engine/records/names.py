"""The side table of a hit log: what the ids in its rows stand for.

A file of JSON lines, appended while the load runs, each line written before the first row that uses its id:
`{"series": 3, "method": "GET", "name": "/items"}` and `{"error": 7, "outcome": 4, "text": "…"}`.
Both kinds have a cap, with one "other" entry behind it, so that neither memory nor reports grow with the target's wit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from loadflow.engine.records.outcome import Outcome

__all__ = ["ErrorText", "NameTable", "NameWriter", "SeriesName", "printable"]

SERIES_CAP = 1_000
ERROR_CAP = 1_000
TEXT_CAP = 500  # characters of one error text
NAME_CAP = 300  # characters of one series name
OTHER = "(other)"


@dataclass(frozen=True, slots=True, order=True)
class SeriesName:
    """What hits are grouped by."""

    method: str
    name: str

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


@dataclass(frozen=True, slots=True, order=True)
class ErrorText:
    outcome: Outcome
    text: str


class NameWriter:
    """Gives out ids and writes each new one to the side table at once."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("x", encoding="utf-8", buffering=1)
        self._series: dict[tuple[str, str], int] = {}
        self._errors: dict[tuple[int, str], int] = {}

    def series(self, method: str, name: str) -> int:
        known = self._series.get((method, name))
        if known is not None:
            return known
        if len(self._series) >= SERIES_CAP and name != OTHER:
            return self.series("", OTHER)
        return self._write_series(method, name)

    def error(self, outcome: int, text: str) -> int:
        """An id of 1 or more; 0 stands for no error."""
        text = printable(text if len(text) <= TEXT_CAP else text[: TEXT_CAP - 1] + "…")
        known = self._errors.get((outcome, text))
        if known is not None:
            return known
        if len(self._errors) >= ERROR_CAP and text != OTHER:
            return self.error(outcome, OTHER)
        number = len(self._errors) + 1
        self._errors[outcome, text] = number
        self._write({"error": number, "outcome": int(outcome), "text": text})
        return number

    def close(self) -> None:
        self._file.close()

    def _write_series(self, method: str, name: str) -> int:
        number = len(self._series)
        self._series[method, name] = number
        self._write({"series": number, "method": printable(method[:NAME_CAP]), "name": printable(name[:NAME_CAP])})
        return number

    def _write(self, entry: dict[str, object]) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def printable(text: str) -> str:
    """The text with "?" for lone surrogates, which bytes decoded with `surrogateescape` hold and no UTF-8 file can."""
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass
class NameTable:
    """The read side: follows a side table that is still being written."""

    path: Path
    series: dict[int, SeriesName] = field(default_factory=dict)
    errors: dict[int, ErrorText] = field(default_factory=dict)
    _offset: int = 0

    def refresh(self) -> None:
        """Read what was appended since the last call; a line cut off in the middle waits for the next."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new.rfind(b"\n") + 1
        self._offset += whole
        for line in new[:whole].splitlines():
            entry = json.loads(line)
            if "series" in entry:
                self.series[entry["series"]] = SeriesName(entry["method"], entry["name"])
            else:
                self.errors[entry["error"]] = ErrorText(Outcome(entry["outcome"]), entry["text"])
