"""Files of rows, CSV or JSON, and the rule by which rows are handed out.

`load_rows` reads and checks a file, `read_table` the same into a store of one's own, `columns_of` the same without keeping its rows;
`Rows` hands its rows out to one engine process; `Data` is all sources of that process.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import IO, Any, Protocol, TypeVar

from loadflow.engine.base.counted import counted
from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.plan.csv_source import CsvSource, Mode
from loadflow.engine.resolve.json_rows import JsonRowError, is_json, json_rows
from loadflow.engine.resolve.missing import MissingValue
from loadflow.errors import CommandError, Mistake

__all__ = ["Data", "Row", "Rows", "Store", "Table", "columns_in", "columns_of", "load_rows", "looks_separated", "read_table", "table_of"]

Row = tuple[str, ...]

# Enough to see the pattern of a broken export without burying the reader in a million equal lines.
_MISTAKES_SHOWN = 20
LONGEST_CELL = 16 * 2**20  # characters
MOST_COLUMNS = 10_000
MOST_KNOWN = 100_000  # different rows that are looked for again; equal ones are held once


class Store(Protocol):
    """Takes the rows of a file, one by one."""

    def add(self, cells: list[str], /) -> None: ...
    def __len__(self) -> int: ...


StoreT = TypeVar("StoreT", bound=Store)


class _Tuples:
    def __init__(self, width: int) -> None:
        self.rows: list[Row] = []
        self._known: dict[Row, Row] = {}

    def add(self, cells: list[str]) -> None:
        row, known = tuple(cells), self._known
        # millions of short rows are mostly the same few
        self.rows.append(known.setdefault(row, row) if len(known) < MOST_KNOWN else known.get(row, row))

    def __len__(self) -> int:
        return len(self.rows)


class _Counted:
    def __init__(self, width: int) -> None:
        self._count = 0

    def add(self, cells: list[str]) -> None:
        self._count += 1

    def __len__(self) -> int:
        return self._count


@dataclass(frozen=True, slots=True)
class Table:
    """A checked file: at least one row, and every row as long as `columns`. `rows` is another store than a list where the core has them."""

    columns: tuple[str, ...]
    rows: Any
    index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {column: position for position, column in enumerate(self.columns)})


def load_rows(source: CsvSource) -> Table:
    """The file of `source`, whole: by default UTF-8 (a byte order mark is dropped). The first line of CSV has the column names; see
    `json_rows` for JSON.

    Lines with nothing in them don't count as rows. Cells stay text, to the last blank; only column names are stripped.
    Raises `CommandError` naming file and line where the file can't be read or isn't such a table.
    """
    columns, store = read_table(source, _Tuples)
    return Table(columns, store.rows)


def columns_of(source: CsvSource) -> tuple[str, ...]:
    """The same of a file whose rows are not needed yet: all are read and checked, none is kept."""
    return read_table(source, _Counted)[0]


def read_table(source: CsvSource, make: Callable[[int], StoreT]) -> tuple[tuple[str, ...], StoreT]:
    """The same into what `make` makes for the number of columns."""
    try:
        with _opened(source) as lines:
            if is_json(source.file_path):
                return table_of(source, json_rows(source.file_path, lines), make)
            # strict: an unclosed quote would otherwise swallow the rest of the file as one cell.
            csv.field_size_limit(LONGEST_CELL)  # of the whole process; Python's own is 131,072
            reader = _reader(source, lines)
            try:
                return table_of(source, _numbered(reader), make)
            except csv.Error as error:
                raise _refused(
                    source,
                    f"is not valid CSV: {error}",
                    _how_to_quote(source),
                    reader.line_num,
                ) from None
    except JsonRowError as error:
        raise _refused(source, str(error), error.hint, error.line) from None
    except FileNotFoundError:
        raise _refused(source, "no such file", f"give a path that exists, absolute or relative to {Path.cwd()}") from None
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        way = 'save the file as UTF-8, or name its encoding in the source: "encoding": "latin-1"'
        raise _refused(source, f"is not {source.encoding.upper()} ({reason})", way, _undecodable_line(source)) from None
    except OSError as error:
        raise _refused(source, f"can't be read: {error.strerror or error}", "give a file that can be read") from None


def columns_in(source: CsvSource) -> tuple[str, ...]:
    """The column names of a file, whose rows are not looked at; () if it has none.

    Raises OSError, UnicodeError, csv.Error or JsonRowError if they can't be read.
    """
    with _opened(source) as lines:
        if is_json(source.file_path):
            _, first = next(json_rows(source.file_path, lines), (0, []))
        else:
            first = next(_reader(source, lines, strict=False), [])
    return tuple(cell.strip() for cell in first[:MOST_COLUMNS])


def _reader(source: CsvSource, lines: Iterable[str], *, strict: bool = True) -> Any:
    if not source.quote:
        return csv.reader(lines, strict=strict, delimiter=source.delimiter, quotechar=None, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, strict=strict, delimiter=source.delimiter, quotechar=source.quote)


def _how_to_quote(source: CsvSource) -> str:
    sign = source.quote or '"'
    return f"put cells with commas, quotes or line ends in {sign}…{sign} and double the quotes inside"


def _opened(source: CsvSource) -> IO[str]:
    encoding = "utf-8-sig" if source.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else source.encoding
    return open_regular(source.file_path, encoding=encoding, newline="")


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int | None, list[str]]]:
    """The lines that hold something, each with the number of its last line."""
    for cells in reader:
        if cells:
            yield reader.line_num, cells  # type: ignore[attr-defined]  # csv's reader has no public type of its own


def table_of(
    source: CsvSource, lines: Iterator[tuple[int | None, list[str]]], make: Callable[[int], StoreT]
) -> tuple[tuple[str, ...], StoreT]:
    """Checked columns and rows of what was read: the column names, then the cells of each row, each with its line where that is known."""
    header = next(lines, None)
    if header is None:
        raise _refused(source, "is empty", "write the column names in the first line and one row in each line after it")
    columns = _columns(source, *header)
    width = len(columns)
    sign = source.delimiter
    store = make(width)
    mistakes: list[Mistake] = []
    for number, cells in lines:
        if len(cells) == width:
            try:
                store.add(cells)
            except ValueError as error:
                raise _refused(source, str(error), "use a smaller file", number) from None
        elif len(mistakes) < _MISTAKES_SHOWN:
            fix = f"quote cells that contain {sign!r}" if len(cells) > width else f"write an empty cell as nothing between two {sign!r}"
            fix = looks_separated(columns, source.delimiter) or fix
            mistakes.append(_mistake(source, f"{counted(len(cells), 'cell')}, but the header has {counted(width, 'column')}", fix, number))
    if mistakes:
        raise CommandError(mistakes)
    if len(store) == 0:
        raise _refused(source, "has column names but no rows", "add at least one row")
    return columns, store


def _columns(source: CsvSource, number: int | None, cells: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    if len(columns) > MOST_COLUMNS:
        raise _refused(
            source, f"has {counted(len(columns), 'column')}, more than {MOST_COLUMNS:,}", "keep those that the steps use", number
        )
    mistakes = []
    seen: set[str] = set()
    for position, column in enumerate(columns):
        if not column:
            mistakes.append(_mistake(source, f"column {position + 1} has no name", "name every column in the header", number))
        elif column in seen:
            mistakes.append(_mistake(source, f"column {column[:60]!r} is there twice", "give each column a name of its own", number))
        seen.add(column)
        if len(mistakes) >= _MISTAKES_SHOWN:
            break
    if mistakes:
        raise CommandError(mistakes)
    return columns


def looks_separated(columns: Collection[str], delimiter: str = ",") -> str:
    """The way out where a file has one column that holds the separators of others; "" where it does not look like that.

    >>> looks_separated(["user;pw"])
    'the file looks separated by ";": give the source "delimiter": ";"'
    """
    if len(columns) != 1:
        return ""
    (only,) = columns
    sign = next((sign for sign in (";", "\t", "|", ",") if sign in only and sign != delimiter), None)
    shown = "\\t" if sign == "\t" else sign
    return "" if sign is None else f'the file looks separated by "{shown}": give the source "delimiter": "{shown}"'


def _mistake(source: CsvSource, message: str, hint: str, line: int | None = None) -> Mistake:
    place = source.file_path if line is None else f"{source.file_path}:{line}"
    return Mistake(f"csv source {source.name!r}: {place}", message, hint)


def _refused(source: CsvSource, message: str, hint: str, line: int | None = None) -> CommandError:
    return CommandError([_mistake(source, message, hint, line)])


def _undecodable_line(source: CsvSource) -> int | None:
    """The decoder's own offset counts from its last chunk, so the line is looked for again, only once it is needed."""
    if source.encoding != "utf-8":
        return None  # in other encodings a line does not end where this looks for it
    with open_regular(source.file_path, "rb") as lines:
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

    __slots__ = ("_name", "_position", "_random", "_rows", "_shard", "_shards", "index", "is_kept", "take")

    def __init__(self, source: CsvSource, table: Table, *, shard: int = 0, shards: int = 1, seed: int | None = None) -> None:
        if not 0 <= shard < shards:
            raise ValueError(f"shard {shard} of {shards}: a shard is one of 0 to {shards - 1}")
        self.index = table.index
        self.is_kept = source.per == "user"
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
    def rows(self) -> Any:
        """Every row of the table, for all engine processes, as `Table` has them."""
        return self._rows

    def _next_of_cycle(self) -> Row:
        rows: list[Row] = self._rows
        position = self._position % len(rows)
        self._position = position + self._shards
        return rows[position]

    def _next_of_once(self) -> Row:
        rows: list[Row] = self._rows
        position = self._position
        if position >= len(rows):
            raise MissingValue(f"${{csv.{self._name}}}", self._ran_out())
        self._position = position + self._shards
        return rows[position]

    def _any(self) -> Row:
        rows: list[Row] = self._rows
        return rows[int(self._random.random() * len(rows))]

    def _ran_out(self) -> str:
        had = len(range(self._shard, len(self._rows), self._shards))
        share = f" (the share of engine process {self._shard + 1} of {self._shards})" if self._shards > 1 else ""
        return f"csv source {self._name!r} ran out after {counted(had, 'row')}{share}; add rows to the file, or use mode 'cycle'"


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
    def load(
        cls,
        sources: Iterable[CsvSource],
        *,
        shard: int = 0,
        shards: int = 1,
        seed: int | None = None,
        read: Callable[[CsvSource], Table] = load_rows,
    ) -> Data:
        """Reads every file, by `read`. Raises `CommandError` with the mistakes of all files together."""
        loaded: list[tuple[CsvSource, Table]] = []
        mistakes: list[Mistake] = []
        for source in sources:
            try:
                loaded.append((source, read(source)))
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
