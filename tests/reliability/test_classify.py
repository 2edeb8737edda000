"""What an exception says about trying again: each row a sentence."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http.client
import json
import socket
import ssl
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import urllib3

from loadflow import classify_error
from loadflow.engine.generator.retry import failure_class
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.reliability.classify import TRANSIENT_STATUS, status_class
from tests.waiting import HANG_S


class OwnTimeout(TimeoutError):
    pass


class ConnectTimeout(Exception):
    """Has the name of a class of requests, and nothing else of it."""


def raised(error: BaseException, cause: BaseException | None) -> BaseException:
    """As `raise error from cause` leaves it."""
    error.__cause__ = cause
    error.__suppress_context__ = True
    return error


def while_handling(error: Exception, other: Exception) -> Exception:
    """As `raise error` leaves it in a handler of `other`."""
    error.__context__ = other
    return error


def requests_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


def httpx_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://x/")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


def grpc_error(code: str) -> Exception:
    """As grpc's are made, without the library: `grpc.RpcError`, and `code()` that gives one of an enum."""
    base = type("RpcError", (Exception,), {"__module__": "grpc"})
    kind = type("_InactiveRpcError", (base,), {"__module__": "grpc._channel", "code": lambda self: type("Code", (), {"name": code})})
    return kind()  # type: ignore[no-any-return]


def max_retries(reason: Exception) -> requests.ConnectionError:
    pool = urllib3.HTTPConnectionPool("x")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", reason))


def resolution(number: int) -> urllib3.exceptions.NameResolutionError:
    gai = socket.gaierror(number, "x")
    error = urllib3.exceptions.NameResolutionError("x", urllib3.connection.HTTPConnection("x"), gai)
    error.__cause__ = gai
    return error


def real(call: Callable[[], Any]) -> Exception:
    try:
        call()
    except (OSError, ValueError) as error:
        return error
    raise AssertionError("no error")


TABLE: list[tuple[str, BaseException, str]] = [
    ("a reset", ConnectionResetError(), "transient"),
    ("a refusal", ConnectionRefusedError(), "transient"),
    ("a broken pipe", BrokenPipeError(), "transient"),
    ("an abort", ConnectionAbortedError(), "transient"),
    ("a timeout", TimeoutError(), "transient"),
    ("a socket's timeout", TimeoutError(), "transient"),
    ("asyncio's timeout", asyncio.TimeoutError(), "transient"),  # noqa: UP041  what old code writes
    ("a future's timeout", concurrent.futures.TimeoutError(), "transient"),
    ("a subclass of a timeout", OwnTimeout(), "transient"),
    ("a stranger with a known name", ConnectTimeout(), "permanent"),
    ("an early end of a stream", asyncio.IncompleteReadError(b"", 5), "transient"),
    ("no route, by errno", OSError(errno.EHOSTUNREACH, "no route"), "transient"),
    ("no port left, by errno", OSError(errno.EADDRNOTAVAIL, "no port"), "transient"),
    ("too many open files, by errno", OSError(errno.EMFILE, "files"), "transient"),
    ("a port that is taken", OSError(errno.EADDRINUSE, "taken"), "permanent"),
    ("a file that is not there", FileNotFoundError(errno.ENOENT, "gone"), "permanent"),
    ("an OSError without a number", OSError("?"), "permanent"),
    ("a resolver that asks for patience", socket.gaierror(socket.EAI_AGAIN, "later"), "transient"),
    ("a name that does not exist", socket.gaierror(socket.EAI_NONAME, "no name"), "permanent"),
    ("the old resolver, later", socket.herror(2, "later"), "transient"),
    ("the old resolver, never", socket.herror(1, "no"), "permanent"),
    ("a certificate that is not trusted", ssl.SSLCertVerificationError(1, "expired"), "permanent"),
    ("TLS that ended early", ssl.SSLEOFError(8, "EOF"), "transient"),
    ("TLS that does not understand", ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "permanent"),
    ("an assertion", AssertionError("5 is not 7"), "flaky"),
    ("no JSON", real(lambda: json.loads("<")), "flaky"),
    ("no JSON in requests", requests.exceptions.JSONDecodeError("x", "<", 0), "flaky"),
    ("disconnected without an answer", http.client.RemoteDisconnected("x"), "transient"),
    ("half a body", http.client.IncompleteRead(b"x"), "transient"),
    ("garbage for a status line", http.client.BadStatusLine("x"), "flaky"),
    ("a URL that is none", http.client.InvalidURL("x"), "permanent"),
    ("urllib: refused", urllib.error.URLError(ConnectionRefusedError()), "transient"),
    ("urllib: no certificate", urllib.error.URLError(ssl.SSLCertVerificationError(1, "x")), "permanent"),
    ("urllib: 503", urllib.error.HTTPError("http://x", 503, "x", Message(), None), "transient"),
    ("urllib: 404", urllib.error.HTTPError("http://x", 404, "x", Message(), None), "permanent"),
    ("urllib3: read timeout", urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("x"), "/", "x"), "transient"),
    ("urllib3: reset", urllib3.exceptions.ProtocolError("aborted", ConnectionResetError()), "transient"),
    ("urllib3: certificate", urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, "x")), "permanent"),
    ("urllib3: undecodable body", urllib3.exceptions.DecodeError("x"), "flaky"),
    ("urllib3: no URL", urllib3.exceptions.LocationParseError("x"), "permanent"),
    ("requests: connect timeout", requests.exceptions.ConnectTimeout("x"), "transient"),
    ("requests: read timeout", requests.exceptions.ReadTimeout("x"), "transient"),
    ("requests: of unknown cause", requests.ConnectionError("x"), "transient"),
    ("requests: really refused", real(lambda: requests.get("http://127.0.0.1:1/", timeout=5)), "transient"),
    ("requests: a name for later", max_retries(resolution(socket.EAI_AGAIN)), "transient"),
    ("requests: a name that is none", max_retries(resolution(socket.EAI_NONAME)), "permanent"),
    ("requests: no certificate", requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "x")), "permanent"),
    ("requests: proxy gone", requests.exceptions.ProxyError("x"), "transient"),
    ("requests: cut off", requests.exceptions.ChunkedEncodingError("x"), "transient"),
    ("requests: no URL", requests.exceptions.MissingSchema("x"), "permanent"),
    ("requests: round and round", requests.exceptions.TooManyRedirects("x"), "permanent"),
    ("requests: 429", requests_error(429), "transient"),
    ("requests: 500", requests_error(500), "flaky"),
    ("requests: 401", requests_error(401), "permanent"),
    ("httpx: connect error", httpx.ConnectError("x"), "transient"),
    ("httpx: no certificate", raised(httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "x")), "permanent"),
    ("httpx: pool timeout", httpx.PoolTimeout("x"), "transient"),
    ("httpx: 502", httpx_error(502), "transient"),
    ("httpx: our own mistake", httpx.LocalProtocolError("x"), "permanent"),
    ("grpc: unavailable", grpc_error("UNAVAILABLE"), "transient"),
    ("grpc: internal", grpc_error("INTERNAL"), "flaky"),
    ("grpc: unauthenticated", grpc_error("UNAUTHENTICATED"), "permanent"),
    ("an unknown error", KeyError("id"), "permanent"),
    ("an unknown error from a reset", raised(RuntimeError("login failed"), ConnectionResetError()), "transient"),
    ("from one from a timeout", raised(RuntimeError("a"), raised(ValueError("b"), TimeoutError())), "transient"),
    ("an unknown one while a reset was handled", while_handling(KeyError("a bug"), ConnectionResetError()), "permanent"),
    ("a known one from a permanent one", raised(TimeoutError(), ValueError()), "transient"),
    ("a group: the worst counts", ExceptionGroup("x", [TimeoutError(), AssertionError()]), "flaky"),
    ("a group with a bug", ExceptionGroup("x", [TimeoutError(), ExceptionGroup("y", [KeyError()])]), "permanent"),
    ("Ctrl-C", KeyboardInterrupt(), "permanent"),
    ("Ctrl-C from a timeout", raised(KeyboardInterrupt(), TimeoutError()), "permanent"),
    ("an exit", SystemExit(0), "permanent"),
    ("a cancel", asyncio.CancelledError(), "permanent"),
]


@pytest.mark.parametrize(("sentence", "error", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_class(sentence: str, error: BaseException, expected: str) -> None:
    assert classify_error(error) == expected


def test_a_ring_of_causes_ends() -> None:
    one, other = RuntimeError("a"), RuntimeError("b")
    one.__cause__, other.__cause__ = other, one
    assert classify_error(one) == "permanent"


def test_a_step_and_a_callable_agree_about_a_status() -> None:
    for status in range(400, 600):
        assert failure_class(Outcome.STATUS, status) == status_class(status) == classify_error(requests_error(status))
    assert {status for status in range(400, 600) if status_class(status) == "transient"} == TRANSIENT_STATUS


def test_no_library_is_imported_for_it() -> None:
    code = "import sys; from loadflow import classify_error; classify_error(ValueError()); print({*sys.argv[1:]} & {*sys.modules})"
    names = ["requests", "urllib3", "httpx", "grpc", "aiohttp", "ssl", "gevent", "prefect"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code, *names], cwd=root, capture_output=True, text=True, check=True, timeout=HANG_S)
    assert done.stdout.strip() == "set()"
