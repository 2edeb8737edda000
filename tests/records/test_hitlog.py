"""The hit log: what was written is read, and what a crash or a full disk leaves is readable."""

import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from loadflow.engine.records import hitlog
from loadflow.engine.records.hitlog import HIT_DTYPE, HitLogWriter, iter_rows, read_header, read_rows, row_count
from loadflow.engine.records.run import Run
from loadflow.errors import RunError


def writer(path: Path) -> HitLogWriter:
    return HitLogWriter(path, shard=3, origin_unix_ns=1_700_000_000_000_000_000, origin_monotonic_ns=42)


def append(log: HitLogWriter, number: int) -> None:
    log.append(number, number + 1, number + 2, 4, 5, 6, 7, 8, 200, 0, 9)


def numbers(path: Path) -> list[int]:
    return [int(number) for rows in iter_rows(path, chunk_rows=7) for number in rows["due_ns"]]


@pytest.mark.parametrize("rows", [0, 1, 1023, 1024, 1025, 5000])
def test_rows_are_read_as_they_were_written(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "hits.bin"
    log = writer(path)
    for number in range(rows):
        append(log, number)
    log.close()
    assert read_header(path) == hitlog.HitLogHeader(2, 3, 1_700_000_000_000_000_000, 42)
    assert row_count(path) == len(read_rows(path)) == log.rows == rows
    assert numbers(path) == list(range(rows))
    if rows:
        assert read_rows(path)[0].tolist() == (0, 1, 2, 4, 5, 6, 7, 8, 200, 0, 9, 0, 0, 0, 0, 0)
        assert read_rows(path, first=rows - 1)["due_ns"].tolist() == [rows - 1]


def test_more_bytes_than_a_row_holds_are_that_or_more(tmp_path: Path) -> None:
    log = writer(tmp_path / "hits.bin")
    log.append(0, 0, 0, 0, 0, 0, 2**40, 2**32, 0, 0, 0)
    log.close()
    assert read_rows(tmp_path / "hits.bin")[["sent_bytes", "received_bytes"]].tolist() == [(2**32 - 1, 2**32 - 1)]


def test_a_length_keeps_three_digits_up_to_65_s_and_stays_there_above(tmp_path: Path) -> None:
    log = writer(tmp_path / "hits.bin")
    log.append(0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0.012345, 70_000.0, 1234.5, 0.0)
    log.close()
    (row,) = read_rows(tmp_path / "hits.bin")
    assert row["first_byte_ns"] == 5
    assert row[["dns_ms", "connect_ms", "tls_ms", "send_ms"]].tolist() == pytest.approx((0.012345, 65_504, 1234.5, 0), rel=0.001)


OLD = Path(__file__).parent / "folder_of_version_1"  # as a release wrote it whose rows had no timings


def test_a_run_folder_of_version_1_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "20261130-215335-s-1a714f4b"
    shutil.copytree(OLD, folder)
    path = folder / "hits-0.bin"
    assert (read_header(path).version, row_count(path)) == (1, 30)
    assert len(read_rows(path, 28)) == 2
    run = Run.open(folder)
    hits = run.hits()
    raw = np.frombuffer(path.read_bytes()[hitlog.HEADER.size :], dtype=hitlog.ROWS_OF_VERSION[1])
    assert hits.dtype == HIT_DTYPE
    assert all((hits[name] == raw[name]).all() for name in raw.dtype.names or ())
    assert not any(hits[name].any() for name in ("first_byte_ns", "dns_ms", "connect_ms", "tls_ms", "send_ms"))
    assert {name.name: totals.hits for name, totals in run.fold().series.items()} == {"slow": 10, "miss": 10, "/": 10}
    summary = run.summary()
    assert (summary.overall.count, summary.overall.failures, dict(summary.overall.timings)) == (30, 10, {})


@pytest.mark.parametrize("torn", range(65))
def test_a_torn_last_row_is_left_out(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "hits.bin"
    log = writer(path)
    append(log, 0)
    append(log, 1)
    log.close()
    os.truncate(path, hitlog.HEADER.size + 64 + torn)
    expected = [0, 1] if torn == 64 else [0]
    assert numbers(path) == expected == read_rows(path)["due_ns"].tolist()


def test_a_log_that_grows_while_it_is_read_never_gives_shifted_rows(tmp_path: Path) -> None:
    path = tmp_path / "hits.bin"
    log = writer(path)
    append(log, 0)
    append(log, 1)
    log.close()
    raw = path.read_bytes()
    os.truncate(path, len(raw) - 20)
    reader = iter_rows(path)
    assert next(reader)["due_ns"].tolist() == [0]
    path.write_bytes(raw + raw[hitlog.HEADER.size :])
    assert list(reader) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a hit log"),
        (b"LFHITS", "is not a hit log"),
        (b"PNG\r\n" * 40, "is not a hit log"),
        (struct.pack("<8sIIIIqq24x", b"LFHITS\r\n", 3, 64, 0, 0, 0, 0), "version 3; this loadflow reads up to 2, so update it"),
        (struct.pack("<8sIIIIqq24x", b"LFHITS\r\n", 2, 56, 0, 0, 0, 0), "so update it"),
    ],
    ids=["empty", "cut header", "another format", "a newer version", "another row size"],
)
def test_what_is_no_hit_log_of_ours_is_refused_with_the_way_out(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "hits.bin"
    path.write_bytes(content)
    for read in (read_header, read_rows, lambda path: list(iter_rows(path))):
        with pytest.raises(RunError, match=said):
            read(path)


@pytest.mark.parametrize("taken", [0, 1, 63, 64, 65, 1000, 1023 * 64 + 5])
def test_a_flush_that_fails_partway_keeps_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    path = tmp_path / "hits.bin"
    log = writer(path)
    real_write, calls = os.write, []

    def failing_write(fd: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1 and taken:
            return real_write(fd, data[:taken])
        raise OSError(28, "No space left on device")

    for number in range(1023):
        append(log, number)
    monkeypatch.setattr(os, "write", failing_write)
    with pytest.raises(OSError, match="No space"):
        append(log, 1023)
    assert log.rows == 1024, "the row was taken before the flush failed"
    monkeypatch.setattr(os, "write", real_write)
    for number in range(1024, 4000):
        append(log, number)
    log.close()
    assert numbers(path) == list(range(4000))


def test_while_the_disk_stays_full_rows_are_refused_not_counted_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hits.bin"
    log = writer(path)
    real_write = os.write

    def full(fd: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    refused = 0
    for number in range(1030):
        try:
            append(log, number)
        except OSError:
            refused += 1
    monkeypatch.setattr(os, "write", real_write)
    log.close()
    assert refused == 7, "the 1,024th fills the buffer, and six more find it full"
    assert log.rows == 1024
    assert numbers(path) == list(range(1024))


def test_the_row_layout_is_the_published_one() -> None:
    assert HIT_DTYPE.itemsize == 64
    assert list(HIT_DTYPE.names or ()) == [
        "due_ns",
        "start_ns",
        "end_ns",
        "series",
        "user",
        "error",
        "sent_bytes",
        "received_bytes",
        "status",
        "outcome",
        "flags",
        "first_byte_ns",
        "dns_ms",
        "connect_ms",
        "tls_ms",
        "send_ms",
    ]
    assert np.zeros(1, dtype=HIT_DTYPE).tobytes() == bytes(64)
