"""The server that does nothing: as it is built in Rust, and as it is in Python."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loadflow.engine.calibration.null_target import ANSWER
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.process.launch import child_environment
from tests.services import need

MODULE = "loadflow.engine.calibration.null_target"
STARTS = {"native": ["-m", MODULE], "asyncio": ["-c", f"import asyncio; from {MODULE} import serve; asyncio.run(serve())"]}
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nX: \r\r\n\r\n"


@pytest.fixture(params=STARTS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int]]:
    need(is_built() or request.param != "native", "the native core is not built")
    command = [sys.executable, "-P", *STARTS[request.param]]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=child_environment()) as process:
        assert process.stdout is not None
        port, kind = process.stdout.readline().split()
        assert kind == request.param
        yield process, int(port)
        process.kill()


def test_every_request_has_one_answer_in_whatever_pieces_it_comes(server: tuple[subprocess.Popen[str], int]) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=30) as client, client.makefile("rb") as answers:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(REQUEST)):
            client.sendall(REQUEST[number : number + 1])
        assert answers.read(len(ANSWER)) == ANSWER
        client.sendall(REQUEST + REQUEST + REQUEST[:5])
        assert answers.read(2 * len(ANSWER)) == ANSWER * 2
        client.sendall(REQUEST[5:])
        client.shutdown(socket.SHUT_WR)
        assert answers.read() == ANSWER


def test_it_ends_when_whoever_started_it_is_gone(server: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = server
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0
