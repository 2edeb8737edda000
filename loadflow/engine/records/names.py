"""The side table of a hit log: what the ids in its rows stand for.

A file of JSON lines, appended while the load runs, each line written before the first row that uses its id:
`{"series": 3, "method": "GET", "name": "/items"}` and `{"error": 7, "outcome": 4, "text": "…"}`; and, as the load ends, what became of
each step: `{"step": 0, "ran": 12, "skipped": 3}`, and of the network conditioner, `{"conditioned": 5}`; and what answers said of the
target's build, `{"revision": "1.4.2"}`, which `records/revisions.py` reads.
Both kinds have a cap, with one "other" entry behind it, so that neither memory nor reports grow with the target's wit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.records.outcome import Outcome

__all__ = [
    "LOST",
    "MOST_REVISIONS",
    "REVISION_LINE",
    "TLS_LINE",
    "ErrorText",
    "NameTable",
    "NameWriter",
    "SeriesName",
    "phased",
    "printable",
    "text_lost",
]

SERIES_CAP = 1_000
ERROR_CAP = 1_000
TEXT_CAP = 500  # characters of one error text
NAME_CAP = 300  # characters of one series name
OTHER = "(other)"
MOST_REVISIONS = 10  # that a run keeps; an engine process writes one more, so that the run knows of more
TLS_LINE = b'{"tls": '
REVISION_LINE = b'{"revision": '  # how such a line begins
SETUP = ("on_start: ", "on_stop: ")  # how the names of hits begin that a user makes before and after his part of the load


@dataclass(frozen=True, slots=True, order=True)
class SeriesName:
    """What hits are grouped by."""

    method: str
    name: str

    def __str__(self) -> str:
        return f"{self.method} {self.name}"

    @property
    def is_setup(self) -> bool:
        """Whether its hits are of users' `on_start` or `on_stop`: shown by name, and in no number of the load."""
        return self.name.startswith(SETUP)


def phased(step: StepJson, name: str) -> str:
    """What hits of a step are called: `name` itself, or behind its phase.

    >>> phased({"phase": "on_start"}, "log in"), phased({}, "log in")
    ('on_start: log in', 'log in')
    """
    phase = step.get("phase")
    return name if phase is None else f"{phase}: {name}"


@dataclass(frozen=True, slots=True, order=True)
class ErrorText:
    outcome: Outcome
    text: str


LOST = SeriesName("", "(name lost)")  # of hits whose side table was cut off


def text_lost(outcome: int) -> ErrorText:
    """Of failures whose side table was cut off."""
    return ErrorText(Outcome(outcome), "(text lost)")


class NameWriter:
    """Gives out ids and writes each new one to the side table at once."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("x", encoding="utf-8", buffering=1)
        self._series: dict[tuple[str, str], int] = {}
        self._errors: dict[tuple[int, str], int] = {}
        self._written: list[SeriesName] = []
        self._texts: list[str] = [""]

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
        self._texts.append(text)
        self._write({"error": number, "outcome": int(outcome), "text": text})
        return number

    def written(self, series: int, error: int) -> tuple[SeriesName, str]:
        """Name and text of two ids, as they stand in the side table."""
        return self._written[series], self._texts[error]

    def steps(self, counts: Sequence[tuple[int, int]], conditioned: int) -> None:
        """Of each step its attempts, and how often its conditions said no; and the hits that the network conditioner was asked to treat."""
        for step, (ran, skipped) in enumerate(counts):
            self._write({"step": step, "ran": ran, "skipped": skipped})
        self._write({"conditioned": conditioned})

    def tls(self, agreed: str) -> None:
        self._write({"tls": agreed})

    def revision(self, text: str) -> None:
        self._write({"revision": printable(text)})

    def close(self) -> None:
        self._file.close()

    def _write_series(self, method: str, name: str) -> int:
        number = len(self._series)
        self._series[method, name] = number
        written = SeriesName(printable(method[:NAME_CAP]), printable(name[:NAME_CAP]))
        self._written.append(written)
        self._write({"series": number, "method": written.method, "name": written.name})
        return number

    def _write(self, entry: dict[str, object]) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def printable(text: str) -> str:
    """The text with "?" for lone surrogates, which bytes decoded with `surrogateescape` hold and no UTF-8 file can."""
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass
class NameTable:
    """The read side: follows a side table that is still being written; `path` None: there is none to follow."""

    path: Path | None
    series: dict[int, SeriesName] = field(default_factory=dict)
    errors: dict[int, ErrorText] = field(default_factory=dict)
    steps: dict[int, tuple[int, int]] = field(default_factory=dict)  # attempts, and skips by a condition; empty until the load's end
    conditioned: int = 0
    _offset: int = 0

    def refresh(self) -> None:
        """Read what was appended since the last call; a line cut off in the middle waits for the next."""
        if self.path is None or not self.path.exists():
            return
        with open_regular(self.path, "rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new.rfind(b"\n") + 1
        self._offset += whole
        for line in new[:whole].splitlines():
            entry = read_json(line)
            if "series" in entry:
                self.series[entry["series"]] = SeriesName(entry["method"], entry["name"])
            elif "step" in entry:
                self.steps[entry["step"]] = (entry["ran"], entry["skipped"])
            elif "conditioned" in entry:
                self.conditioned = entry["conditioned"]
            elif "error" in entry:
                self.errors[entry["error"]] = ErrorText(Outcome(entry["outcome"]), entry["text"])
