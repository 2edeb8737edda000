"""CSV files as rows, and the rule by which rows are handed out.

`load_rows` reads and checks a file; `Rows` hands its rows out to one engine process; `Data` is all sources of that process.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Literal

from loadflow.engine.resolve.missing import MissingValue
from loadflow.errors import CommandError, Mistake

__all__ = ["CsvSource", "Data", "Mode", "Row", "Rows", "Table", "load_rows"]

Mode = Literal["cycle", "once", "random"]
Row = tuple[str, ...]

# Enough to see the pattern of a broken export without burying the reader in a million equal lines.
_MISTAKES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A named CSV file and how its rows are handed out.

    `cycle` starts over at the end, `once` gives every row to one step only, `random` draws with replacement.
    `seed` is for `random`; None takes the plan's seed, and real randomness where the plan has none.
    """

    name: str
    file_path: str
    mode: Mode = "cycle"
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A checked file: at least one row, and every row as long as `columns`."""

    columns: tuple[str, ...]
    rows: list[Row]
    index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {column: position for position, column in enumerate(self.columns)})


def load_rows(source: CsvSource) -> Table:
    """The file of `source`, whole: UTF-8 (a byte order mark is dropped), comma-separated, its first line the column names.

    Lines with nothing in them don't count as rows. Cells stay text, to the last blank; only column names are stripped.
    Raises `CommandError` naming file and line where the file can't be read or isn't such a table.
    """
    try:
        with Path(source.file_path).open(encoding="utf-8-sig", newline="") as lines:
            # strict: an unclosed quote would otherwise swallow the rest of the file as one cell.
            reader = csv.reader(lines, strict=True)
            try:
                return _table(source, _numbered(reader))
            except csv.Error as error:
                raise _refused(
                    source,
                    f"is no valid CSV: {error}",
                    'put cells with commas, quotes or line ends in "…" and double the quotes inside',
                    reader.line_num,
                ) from None
    except FileNotFoundError:
        raise _refused(source, "no such file", f"give a path that exists, absolute or relative to {Path.cwd()}") from None
    except UnicodeDecodeError as error:
        raise _refused(source, f"is not UTF-8 ({error.reason})", "save the file as UTF-8", _undecodable_line(source.file_path)) from None
    except OSError as error:
        raise _refused(source, f"can't be read: {error.strerror or error}", "give a readable CSV file") from None


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold something, each with the number of its last line."""
    for cells in reader:
        if cells:
            yield reader.line_num, cells  # type: ignore[attr-defined]  # csv's reader has no public type of its own


def _table(source: CsvSource, lines: Iterator[tuple[int, list[str]]]) -> Table:
    header = next(lines, None)
    if header is None:
        raise _refused(source, "is empty", "write the column names in the first line and one row in each line after it")
    columns = _columns(source, *header)
    width = len(columns)
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    for number, cells in lines:
        if len(cells) == width:
            rows.append(tuple(cells))
        elif len(mistakes) < _MISTAKES_SHOWN:
            fix = "quote cells that contain a comma" if len(cells) > width else "write an empty cell as nothing between two commas"
            mistakes.append(_mistake(source, f"{len(cells)} cells where the header names {width} columns", fix, number))
    if mistakes:
        raise CommandError(mistakes)
    if not rows:
        raise _refused(source, "has column names but no rows", "add at least one row")
    return Table(columns, rows)


def _columns(source: CsvSource, number: int, cells: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    mistakes = []
    for position, column in enumerate(columns):
        if not column:
            mistakes.append(_mistake(source, f"column {position + 1} has no name", "name every column in the header", number))
        elif column in columns[:position]:
            mistakes.append(_mistake(source, f"column {column!r} is there twice", "give each column a name of its own", number))
    if mistakes:
        raise CommandError(mistakes)
    return columns


def _mistake(source: CsvSource, message: str, hint: str, line: int | None = None) -> Mistake:
    place = source.file_path if line is None else f"{source.file_path}:{line}"
    return Mistake(f"csv source {source.name!r}: {place}", message, hint)


def _refused(source: CsvSource, message: str, hint: str, line: int | None = None) -> CommandError:
    return CommandError([_mistake(source, message, hint, line)])


def _undecodable_line(file_path: str) -> int | None:
    """The decoder's own offset counts from its last chunk, so the line is looked for again, only once it is needed."""
    with Path(file_path).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None


class Rows:
    """Hands the rows of one table to one shard, one `take()` at a time.

    Under `cycle` and `once`, shard k of n takes rows k, k+n, k+2n, …: all shards together hand out each row once (`once`) or
    equally often (`cycle`, which goes on past the end at the row it would have met in an endless copy of the file).
    """

    __slots__ = ("_name", "_position", "_random", "_rows", "_shard", "_shards", "index", "take")

    def __init__(self, source: CsvSource, table: Table, *, shard: int = 0, shards: int = 1, seed: int | None = None) -> None:
        if not 0 <= shard < shards:
            raise ValueError(f"shard {shard} of {shards}: a shard is one of 0 to {shards - 1}")
        self.index = table.index
        self._name = source.name
        self._rows = table.rows
        self._shard = shard
        self._shards = shards
        self._position = shard
        own_seed = source.seed if source.seed is not None else seed
        # The name is part of the seed, or two sources of one plan would walk in step; the shard, or all shards would repeat each other.
        self._random = Random() if own_seed is None else Random(f"csv {own_seed} {source.name} {shard}")
        takes: dict[Mode, Callable[[], Row]] = {"cycle": self._next_of_cycle, "once": self._next_of_once, "random": self._any}
        self.take = takes[source.mode]

    @property
    def rows(self) -> list[Row]:
        """Every row of the table, whoever they are for."""
        return self._rows

    def _next_of_cycle(self) -> Row:
        position = self._position % len(self._rows)
        self._position = position + self._shards
        return self._rows[position]

    def _next_of_once(self) -> Row:
        position = self._position
        if position >= len(self._rows):
            raise MissingValue(f"${{csv.{self._name}}}", self._ran_out())
        self._position = position + self._shards
        return self._rows[position]

    def _any(self) -> Row:
        rows = self._rows
        return rows[int(self._random.random() * len(rows))]

    def _ran_out(self) -> str:
        had = len(range(self._shard, len(self._rows), self._shards))
        share = f" (the share of engine process {self._shard + 1} of {self._shards})" if self._shards > 1 else ""
        return f"csv source {self._name!r} ran out after {had} rows{share}; give it more rows, or mode 'cycle'"


class Data:
    """What all users of one engine process share: the CSV sources and the wall clock.

    `clock` gives seconds since the epoch. `seed` None: draws differ from run to run.
    """

    __slots__ = ("_clock", "_now_s", "_now_text", "seed", "shard", "sources")

    def __init__(
        self,
        sources: Iterable[tuple[CsvSource, Table]] = (),
        *,
        shard: int = 0,
        shards: int = 1,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sources = {source.name: Rows(source, table, shard=shard, shards=shards, seed=seed) for source, table in sources}
        self.seed = seed
        self.shard = shard
        self._clock = clock
        self._now_s = -1
        self._now_text = ""

    @classmethod
    def load(cls, sources: Iterable[CsvSource], *, shard: int = 0, shards: int = 1, seed: int | None = None) -> Data:
        """Reads every file. Raises `CommandError` with the mistakes of all files together."""
        loaded: list[tuple[CsvSource, Table]] = []
        mistakes: list[Mistake] = []
        for source in sources:
            try:
                loaded.append((source, load_rows(source)))
            except CommandError as error:
                mistakes.extend(error.mistakes)
        if mistakes:
            raise CommandError(mistakes)
        return cls(loaded, shard=shard, shards=shards, seed=seed)

    def now(self) -> str:
        """Local time to the second with its UTC offset, e.g. `2025-03-30T03:00:00+02:00`; formatted once a second."""
        now_s = int(self._clock())
        if now_s != self._now_s:
            self._now_text = datetime.fromtimestamp(now_s).astimezone().isoformat(timespec="seconds")
            self._now_s = now_s
        return self._now_text
