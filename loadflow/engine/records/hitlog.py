"""The hit log: one fixed-size row per hit, appended to a file of the run's folder.

File: a header of 64 bytes (`HEADER`), then rows of 64 bytes (`HIT_DTYPE`, little-endian, packed). Times are nanoseconds
since the run's start (`origin`), on the monotonic clock. A file that was cut off in the middle of a row is readable: the
torn row is left out. Every maker of load writes this format: the Locust users here, other engines likewise.

Rows of version 1 had 48 bytes, without its timings; they are read with zeros there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.private import FILE_MODE
from loadflow.engine.base.regular_file import open_regular
from loadflow.errors import RunError

__all__ = ["HIT_DTYPE", "HitLogHeader", "HitLogWriter", "Rows", "iter_rows", "read_header", "read_rows", "row_count"]

MAGIC = b"LFHITS\r\n"
VERSION = 2
HEADER = struct.Struct("<8sIIIIqq24x")  # magic, version, row size, shard, reserved, origin unix ns, origin monotonic ns
ROW = struct.Struct("<qqqIIIIIHBBqeeee")
ROWS_PER_WRITE = 1024

_FIELDS = [
    ("due_ns", "<i8"),  # when it should have started; the start itself where users, not a rate, decide
    ("start_ns", "<i8"),
    ("end_ns", "<i8"),
    ("series", "<u4"),  # id of (method, name) in the side table
    ("user", "<u4"),
    ("error", "<u4"),  # id of the error text in the side table; 0: none
    ("sent_bytes", "<u4"),  # 2**32 - 1 stands for "that or more"
    ("received_bytes", "<u4"),
    ("status", "<u2"),  # of the protocol, see statuses.py; 0: no answer
    ("outcome", "u1"),  # loadflow.engine.records.outcome.Outcome
    ("flags", "u1"),  # loadflow.engine.records.outcome.HitFlag
]
_TIMINGS = [
    ("first_byte_ns", "<i8"),  # when the first byte of the answer came; 0: none came, or it is not known
    ("dns_ms", "<f2"),  # of lengths 65,504 ms stand for that or more
    ("connect_ms", "<f2"),  # over 0 where a connection was made for the hit
    ("tls_ms", "<f2"),
    ("send_ms", "<f2"),
]
HIT_DTYPE = np.dtype(_FIELDS + _TIMINGS)
ROWS_OF_VERSION = {1: np.dtype(_FIELDS), VERSION: HIT_DTYPE}
assert HIT_DTYPE.itemsize == ROW.size == 64
assert HEADER.size == 64

Rows = npt.NDArray[np.void]
MAX_U4 = 2**32 - 1
MAX_F2 = 65_504.0
ROW_BYTES = ROW.size


@dataclass(frozen=True, slots=True)
class HitLogHeader:
    version: int
    shard: int
    origin_unix_ns: int
    origin_monotonic_ns: int


class HitLogWriter:
    """Appends rows through a buffer; what `flush` returned for is in the file. `lock`: where another thread may flush."""

    def __init__(
        self, path: Path, *, shard: int, origin_unix_ns: int, origin_monotonic_ns: int, lock: AbstractContextManager[object] | None = None
    ) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, FILE_MODE)
        os.write(self._fd, HEADER.pack(MAGIC, VERSION, ROW.size, shard, 0, origin_unix_ns, origin_monotonic_ns))
        self._buffer = bytearray(ROW.size * ROWS_PER_WRITE)
        self._used = 0
        self.rows = 0
        self._lock: AbstractContextManager[object] = nullcontext() if lock is None else lock

    def append(
        self,
        due_ns: int,
        start_ns: int,
        end_ns: int,
        series: int,
        user: int,
        error: int,
        sent_bytes: int,
        received_bytes: int,
        status: int,
        outcome: int,
        flags: int,
        first_byte_ns: int = 0,
        dns_ms: float = 0.0,
        connect_ms: float = 0.0,
        tls_ms: float = 0.0,
        send_ms: float = 0.0,
    ) -> None:
        if sent_bytes > MAX_U4:
            sent_bytes = MAX_U4
        if received_bytes > MAX_U4:
            received_bytes = MAX_U4
        if dns_ms + connect_ms + tls_ms + send_ms > MAX_F2:
            dns_ms, connect_ms, tls_ms, send_ms = (min(one, MAX_F2) for one in (dns_ms, connect_ms, tls_ms, send_ms))
        with self._lock:
            if self._used + ROW_BYTES > len(self._buffer):  # only after a flush that failed: it would have to fail again to lose this row
                self._flush()
            ROW.pack_into(
                self._buffer,
                self._used,
                due_ns,
                start_ns,
                end_ns,
                series,
                user,
                error,
                sent_bytes,
                received_bytes,
                status,
                outcome,
                flags,
                first_byte_ns,
                dns_ms,
                connect_ms,
                tls_ms,
                send_ms,
            )
            self._used += ROW_BYTES
            self.rows += 1
            if self._used + ROW_BYTES > len(self._buffer):
                self._flush()

    def flush(self) -> None:
        """Raises OSError when the disk is full; what is not in the file then stays in the buffer, once."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        done = 0
        try:
            with memoryview(self._buffer) as view:
                while done < self._used:
                    done += os.write(self._fd, view[done : self._used])
        finally:
            self._buffer[: self._used - done] = self._buffer[done : self._used]
            self._used -= done

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._fd)


def read_header(path: Path) -> HitLogHeader:
    """Raises RunError when the file is not a hit log or one of a newer release."""
    with open_regular(path, "rb") as file:
        raw = file.read(HEADER.size)
    if len(raw) < HEADER.size or raw[:8] != MAGIC:
        raise RunError(f"{path} is not a hit log; give a run folder that loadflow wrote")
    _, version, row_size, shard, _, unix_ns, monotonic_ns = HEADER.unpack(raw)
    layout = ROWS_OF_VERSION.get(version)
    if layout is None or row_size != layout.itemsize:
        raise RunError(f"{path} is a hit log of version {version}; this loadflow reads up to {VERSION}, so update it")
    return HitLogHeader(version, shard, unix_ns, monotonic_ns)


def row_count(path: Path) -> int:
    """Whole rows in the file."""
    size = path.stat().st_size - HEADER.size
    return 0 if size <= 0 else size // _row_bytes(path)


def _row_bytes(path: Path) -> int:
    with open_regular(path, "rb") as file:
        magic, _, row_size, *_ = HEADER.unpack(file.read(HEADER.size))
    return row_size if magic == MAGIC and row_size else ROW.size


def read_rows(path: Path, first: int = 0, count: int | None = None) -> Rows:
    """Rows from `first` on (shape `(n,)`, dtype HIT_DTYPE), read-only, mapped from the file rather than loaded.

    Raises RunError as `read_header` does.
    """
    layout = ROWS_OF_VERSION[read_header(path).version]
    available = max(0, row_count(path) - first)
    count = available if count is None else min(count, available)
    if count == 0:
        return np.zeros(0, dtype=HIT_DTYPE)
    return _of_now(np.memmap(path, dtype=layout, mode="r", offset=HEADER.size + first * layout.itemsize, shape=(count,)))


def iter_rows(path: Path, chunk_rows: int = 262_144) -> Iterator[Rows]:
    """All rows in chunks, each loaded into memory of its own: the way to read a long log in bounded memory."""
    layout = ROWS_OF_VERSION[read_header(path).version]
    with open_regular(path, "rb") as file:
        file.seek(HEADER.size)
        while True:
            raw = file.read(chunk_rows * layout.itemsize)
            whole = len(raw) // layout.itemsize * layout.itemsize
            if whole:
                yield _of_now(np.frombuffer(raw[:whole], dtype=layout))
            if len(raw) < chunk_rows * layout.itemsize:  # the end as it was now: going on after a torn row would read shifted rows
                return


def _of_now(rows: Rows) -> Rows:
    """Rows of any version as those of this one."""
    if rows.dtype == HIT_DTYPE:
        return rows
    made = np.zeros(len(rows), dtype=HIT_DTYPE)
    for name in rows.dtype.names or ():
        made[name] = rows[name]
    made.flags.writeable = False
    return made
