"""Every hit as a record, successes in one file and failures in the other: what the JSON and the XML report share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from loadflow.engine.base.counted import counted
from loadflow.engine.records.run import Run
from loadflow.engine.reports.hit_fields import FAILURE_KEYS, SUCCESS_KEYS, HitFields
from loadflow.engine.reports.pieces import Constant, Number, Piece, render
from loadflow.engine.reports.run_hits import Hits, RunHits, chronological
from loadflow.engine.reports.writing import report_files
from loadflow.errors import CommandError, Mistake

__all__ = ["MOST_IN_MEMORY", "RecordFormat", "record_texts", "write_record_files"]

MOST_IN_MEMORY = 100_000  # hits; as Python objects they take some hundred megabytes


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """How a file begins (given the runs it is of), how a record looks, what is between two, and how a file ends.

    `record` gets the pieces of a record's name, such as Success_Test1, and its fields by key.
    """

    escape: Callable[[str], str]
    head: Callable[[Sequence[Run]], str]
    record: Callable[[Sequence[Piece], Sequence[tuple[str, Sequence[Piece]]]], list[Piece]]
    between: str
    tail: str
    empty: str  # instead of `tail`, where there is no record


def write_record_files(runs: Sequence[Run], success: Path, failure: Path, form: RecordFormat) -> tuple[Path, Path]:
    """Write all successes into one file and all failures into the other, and return where they are."""
    ordered = chronological(runs)
    with report_files([success, failure]) as (successes, failures):
        _write(ordered, form, successes, failures)
    return success, failure


def record_texts(runs: Sequence[Run], form: RecordFormat, command: str) -> tuple[str, str]:
    """The two files as text. Raises CommandError for more than MOST_IN_MEMORY hits; `command` is who asks."""
    ordered = chronological(runs)
    hits = sum(len(rows) for run in ordered for _, rows in run.iter_hits())
    if hits > MOST_IN_MEMORY:
        message = f"{counted(hits, 'hit')} are too many to return (at most {MOST_IN_MEMORY:,})"
        raise CommandError([Mistake(command, message, f"use {command}_report, which writes files of any length")])
    successes, failures = BytesIO(), BytesIO()
    _write(ordered, form, successes, failures)
    return successes.getvalue().decode(), failures.getvalue().decode()


def _write(runs: Sequence[Run], form: RecordFormat, successes: BinaryIO, failures: BinaryIO) -> None:
    sides = [_Side(form, "Success", SUCCESS_KEYS, successes), _Side(form, "Failure", FAILURE_KEYS, failures)]
    for side in sides:
        side.begin(runs)
    for run in runs:
        run_hits = RunHits(run)
        fields = HitFields(run_hits, form.escape)
        for hits in run_hits:
            failed = hits.failed
            for side, mask in zip(sides, (~failed, failed), strict=True):
                if mask.any():
                    side.write(hits.where(mask), fields)
    for side in sides:
        side.end()


class _Side:
    """One of the two files; records are numbered from 1 over all runs."""

    def __init__(self, form: RecordFormat, kind: str, keys: Sequence[str], file: BinaryIO) -> None:
        self._form = form
        self._kind = kind
        self._keys = keys
        self._file = file
        self._written = 0

    def begin(self, runs: Sequence[Run]) -> None:
        self._file.write(self._form.head(runs).encode("utf-8", "replace"))

    def write(self, hits: Hits, fields: HitFields) -> None:
        numbers = np.arange(self._written + 1, self._written + len(hits) + 1)
        name: list[Piece] = [Constant(f"{self._kind}_Test"), Number(numbers)]
        record = self._form.record(name, [(key, fields.pieces(key, hits)) for key in self._keys])
        blocks = render([Constant(self._form.between), *record], len(hits))
        if self._written == 0:
            self._file.write(next(blocks)[len(self._form.between) :])
        self._file.writelines(blocks)
        self._written += len(hits)

    def end(self) -> None:
        self._file.write((self._form.tail if self._written else self._form.empty).encode())
