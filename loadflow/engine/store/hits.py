"""A run's hits on their way into a store: in one order, under one set of ids, in the form each database takes fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from sqlalchemy import Connection

from loadflow.engine.records.hitlog import Rows, row_count
from loadflow.engine.records.ids import Ids
from loadflow.engine.records.in_order import in_order
from loadflow.engine.records.names import NameTable
from loadflow.engine.records.run import Run
from loadflow.engine.store.schema import HIT_COLUMNS, hits

__all__ = ["ordered_hits", "store_hits"]

CHUNK_ROWS = 65_536
ROWS_PER_STATEMENT = 55  # by 18 columns: within the 999 variables that every SQLite allows; half the cost of as many statements
FROM_LOG = {"virtual_user": "user"}  # "user" is a reserved word in SQL
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
COPY_END = b"\xff\xff"


def ordered_hits(run: Run, ids: Ids, chunk_rows: int = CHUNK_ROWS) -> Iterator[Rows]:
    """All hits of all processes, by their end, in bounded memory."""
    shards = [shard for shard in range(run.shards) if run.hits_path(shard).exists() and row_count(run.hits_path(shard)) > 0]
    logs = [_renumbered(run.iter_shard(shard, chunk_rows), run.shard_names(shard), ids) for shard in shards]
    for _, rows in in_order(logs, chunk_rows):
        yield rows


def _renumbered(chunks: Iterable[Rows], names: NameTable, ids: Ids) -> Iterator[Rows]:
    for rows in chunks:
        yield ids.renumber(rows, names)


def store_hits(connection: Connection, run_id: int, chunks: Iterable[Rows]) -> int:
    """Write the hits as rows 0, 1, 2, …; returns how many."""
    if connection.dialect.name == "postgresql":
        return _copy(connection, run_id, chunks)
    return _insert(connection, run_id, chunks)


def _insert(connection: Connection, run_id: int, chunks: Iterable[Rows]) -> int:
    width = len(HIT_COLUMNS)
    one = f"({', '.join('?' * width)})"
    head = f"INSERT INTO {hits.name} ({', '.join(name for name, _ in HIT_COLUMNS)}) VALUES "
    cursor = connection.connection.cursor()  # SQLAlchemy would make tuples of 13 million values, twice
    stored = 0
    for rows in chunks:
        values = np.empty((len(rows), width), dtype=np.int64)
        _fill({name: values[:, column] for column, (name, _) in enumerate(HIT_COLUMNS)}, run_id, stored, rows)
        whole = len(rows) // ROWS_PER_STATEMENT * ROWS_PER_STATEMENT
        if whole:
            many = values[:whole].reshape(-1, width * ROWS_PER_STATEMENT)
            cursor.executemany(head + ", ".join([one] * ROWS_PER_STATEMENT), many.tolist())
        if whole < len(rows):
            cursor.executemany(head + one, values[whole:].tolist())
        stored += len(rows)
    return stored


def _copy(connection: Connection, run_id: int, chunks: Iterable[Rows]) -> int:
    """By COPY in the binary form: each row is a count of fields, then each field's length and value, all big-endian."""
    fields = [("fields", ">i2")]
    for name, kind in HIT_COLUMNS:
        fields += [(f"length of {name}", ">i4"), (name, kind)]
    layout = np.dtype(fields)
    cursor = connection.connection.cursor()
    stored = 0
    columns = ", ".join(name for name, _ in HIT_COLUMNS)
    with cursor, cursor.copy(f"COPY {hits.name} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:  # type: ignore[attr-defined]
        copy.write(COPY_HEAD)
        for rows in chunks:
            packed = np.empty(len(rows), dtype=layout)
            packed["fields"] = len(HIT_COLUMNS)
            for name, _ in HIT_COLUMNS:
                packed[f"length of {name}"] = layout[name].itemsize
            _fill({name: packed[name] for name, _ in HIT_COLUMNS}, run_id, stored, rows)
            copy.write(packed.tobytes())
            stored += len(rows)
        copy.write(COPY_END)
    return stored


def _fill(columns: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]], run_id: int, first: int, rows: Rows) -> None:
    for name, column in columns.items():
        if name == "run_id":
            column[:] = run_id
        elif name == "n":
            column[:] = np.arange(first, first + len(rows))
        elif name.endswith("_us"):
            column[:] = np.rint(rows[f"{name.removesuffix('_us')}_ms"].astype(np.float64) * 1000)
        else:
            column[:] = rows[FROM_LOG.get(name, name)]
