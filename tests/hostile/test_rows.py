"""Rows are in the file while the load goes on, on both engines; when, is shown with a clock of the test's own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from loadflow.engine.generator.locust.row_flushing import ROWS_S, flush_rows
from loadflow.engine.records.hitlog import HitLogWriter, row_count
from tests.load.harness import get, load

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GIVES_UP_S = 60.0  # of a test that fails; a busy machine may take a while to the next look


class Over(Exception):
    pass


def test_each_tenth_of_a_second_all_rows_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hits"
    log = HitLogWriter(path, shard=0, origin_unix_ns=0, origin_monotonic_ns=0)
    now_s = 0.0
    written: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        written.append((round(now_s, 3), row_count(path)))
        if len(written) == 4:
            raise Over
        for _ in range(len(written)):
            log.append(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        now_s += seconds

    with suppress(Over):
        flush_rows(log.flush, sleep, lambda error: pytest.fail(str(error)))
    log.close()
    assert ROWS_S <= 0.1
    assert written == [(0.0, 0), (0.1, 1), (0.2, 3), (0.3, 6)]


def test_a_full_disk_is_told_once_and_ends_it() -> None:
    told: list[OSError] = []

    def full() -> None:
        raise OSError(28, "No space left on device")

    flush_rows(full, lambda seconds: None, told.append)
    assert [error.errno for error in told] == [28]


class Waiting:
    """Answers the first request at once, the second when the row of the first is in a file of `folder`, or after `GIVES_UP_S`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.rows: list[int] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                for is_second in (False, True):
                    asked = b""
                    while not asked.endswith(b"\r\n\r\n"):
                        asked += connection.recv(65_536)
                    if is_second:
                        self._wait()
                    connection.sendall(ANSWER)

    def _wait(self) -> None:
        until_s = time.monotonic() + GIVES_UP_S
        found = 0
        while not found and time.monotonic() < until_s:
            found = sum(row_count(path) for path in self._folder.rglob("hits*"))
            time.sleep(0.01)
        self.rows.append(found)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    server = Waiting(tmp_path)
    yield server
    server.close()


@pytest.mark.parametrize("user", ["native", pytest.param("fast_http_user", marks=pytest.mark.long)])
def test_a_row_is_in_the_file_while_the_next_request_is_under_way(user: str, waiting: Waiting, tmp_path: Path) -> None:
    """The target answers the second request when it sees the row of the first: nothing else would make the engine write it."""
    steps = [get(f"{waiting.url}/", name="first"), get(f"{waiting.url}/", name="second", timeout=2 * GIVES_UP_S)]
    done = load(tmp_path, steps, user=user, test_time=3 * GIVES_UP_S)
    assert waiting.rows == [1]
    assert done.counts() == {"first": 1, "second": 1}
