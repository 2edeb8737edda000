"""Whether trying again could help, decided from an exception: by the hierarchy of its class, its errno, its status, its cause.

Classes are known by module and qualified name and looked up along the method resolution order, so that subclasses count as
their bases and no library is imported for it. Another class with the same name is not recognized.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, Literal

from loadflow.engine.records.statuses import GRPC_STATUSES, grpc_code

__all__ = ["TRANSIENT_STATUS", "FailureClass", "classify_error", "status_class"]

FailureClass = Literal["transient", "flaky", "permanent"]
ORDER: tuple[FailureClass, ...] = ("transient", "flaky", "permanent")

# RFC 9110 section 15: these say "later", so the same request may well succeed
TRANSIENT_STATUS = frozenset({408, 425, 429, 502, 503, 504})

# the way to the peer, or what this machine has none of just now
TRANSIENT_ERRNO = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINPROGRESS,
        errno.EINTR,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOTCONN,
        errno.EPIPE,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
    }
)
TRANSIENT_RESOLVING = frozenset({socket.EAI_AGAIN, socket.EAI_MEMORY, socket.EAI_SYSTEM})
TRY_AGAIN = 2  # of <netdb.h>'s h_errno, which herror carries
TRANSIENT_GRPC = frozenset({"ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})
FLAKY_GRPC = frozenset({"DATA_LOSS", "INTERNAL", "UNKNOWN"})
DEEPEST = 20  # links of a chain of causes; a chain may be a ring


def classify_error(exception: BaseException) -> FailureClass:
    """Transient: the way to the peer, or its load. Flaky: the answer was wrong. Permanent: asking again changes nothing.

    An exception of an unknown class is judged by the one it was raised from (`raise … from …`); a group by its worst member.
    What is not an Exception (Ctrl-C, a cancel, an exit) is permanent.

    >>> classify_error(BrokenPipeError()), classify_error(AssertionError("not 7")), classify_error(KeyError("id"))
    ('transient', 'flaky', 'permanent')
    """
    return _opinion(exception, DEEPEST) or "permanent"


def status_class(status: int) -> FailureClass:
    """Of an answer with a status that counts as a failure."""
    code = grpc_code(status)
    if code is not None:
        return _grpc_class(GRPC_STATUSES[code])
    if status in TRANSIENT_STATUS:
        return "transient"
    return "flaky" if status >= 500 else "permanent"


def _opinion(error: BaseException, depth: int) -> FailureClass | None:
    """None where nothing is known of the class, nor of a cause."""
    if not isinstance(error, Exception):
        return "permanent"
    for kind in type(error).__mro__:
        rule = RULES.get(f"{kind.__module__}.{kind.__qualname__}")
        found = rule(error, depth) if callable(rule) else rule
        if found is not None:
            return found
    return _of_cause(error, depth)


def _of_cause(error: BaseException, depth: int) -> FailureClass | None:
    for cause in _causes(error) if depth > 0 else ():
        found = _opinion(cause, depth - 1)
        if found is not None:
            return found
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What it was raised from on purpose; `__context__` is not: it says only what was going on at that time."""
    carried = (error.__cause__, getattr(error, "reason", None), getattr(error, "original_error", None), *error.args)
    yield from (one for one in carried if isinstance(one, BaseException) and one is not error)


Rule = FailureClass | Callable[[Any, int], FailureClass | None]


def _wraps(otherwise: FailureClass) -> Rule:
    """Of a class that stands for whatever went wrong below: the cause decides, where it is known."""
    return lambda error, depth: _of_cause(error, depth) or otherwise


def _by_errno(error: OSError, depth: int) -> FailureClass | None:
    if error.errno is None:
        return None
    return "transient" if error.errno in TRANSIENT_ERRNO else "permanent"


def _by_resolver(error: socket.gaierror, depth: int) -> FailureClass:
    return "transient" if error.errno in TRANSIENT_RESOLVING else "permanent"


def _by_old_resolver(error: socket.herror, depth: int) -> FailureClass:
    return "transient" if error.errno == TRY_AGAIN else "permanent"


def _by_status(error: object, depth: int) -> FailureClass | None:
    response = getattr(error, "response", None)
    for status in (getattr(error, "code", None), getattr(error, "status", None), getattr(response, "status_code", None)):
        if isinstance(status, int):
            return status_class(status)
    return None


def _by_grpc_code(error: Any, depth: int) -> FailureClass:
    code = error.code() if callable(getattr(error, "code", None)) else None
    return _grpc_class(getattr(code, "name", ""))


def _grpc_class(name: str) -> FailureClass:
    return "transient" if name in TRANSIENT_GRPC else "flaky" if name in FLAKY_GRPC else "permanent"


def _by_members(error: BaseExceptionGroup[BaseException], depth: int) -> FailureClass:
    return max((_opinion(one, depth - 1) or "permanent" for one in error.exceptions), key=ORDER.index) if depth > 0 else "permanent"


RULES: dict[str, Rule] = {
    "builtins.ConnectionError": "transient",  # reset, refused, aborted, broken pipe; http.client.RemoteDisconnected
    "builtins.TimeoutError": "transient",  # also socket.timeout, asyncio's and concurrent.futures' own
    "builtins.OSError": _by_errno,
    "builtins.EOFError": "transient",  # the stream ended early
    "builtins.AssertionError": "flaky",
    "builtins.BaseExceptionGroup": _by_members,
    "asyncio.exceptions.IncompleteReadError": "transient",
    "json.decoder.JSONDecodeError": "flaky",
    "socket.gaierror": _by_resolver,
    "socket.herror": _by_old_resolver,
    "ssl.SSLCertVerificationError": "permanent",
    "ssl.SSLEOFError": "transient",
    "ssl.SSLZeroReturnError": "transient",
    "ssl.SSLSyscallError": "transient",
    "ssl.SSLWantReadError": "transient",
    "ssl.SSLWantWriteError": "transient",
    "ssl.SSLError": "permanent",  # the two can't agree; their errno is OpenSSL's, not the system's
    "http.client.IncompleteRead": "transient",
    "http.client.InvalidURL": "permanent",
    "http.client.ImproperConnectionState": "permanent",
    "http.client.HTTPException": "flaky",  # bytes that are no valid answer
    "urllib.error.HTTPError": _by_status,
    "urllib.error.ContentTooShortError": "transient",
    "urllib.error.URLError": _wraps("permanent"),
    "urllib3.exceptions.DecodeError": "flaky",
    "urllib3.exceptions.HTTPError": _wraps("permanent"),
    "urllib3.exceptions.IncompleteRead": "transient",
    "urllib3.exceptions.InvalidChunkLength": "transient",
    "urllib3.exceptions.NewConnectionError": _wraps("transient"),
    "urllib3.exceptions.PoolError": _wraps("transient"),
    "urllib3.exceptions.ProtocolError": _wraps("transient"),
    "urllib3.exceptions.ProxyError": _wraps("transient"),
    "urllib3.exceptions.TimeoutError": "transient",
    "requests.exceptions.ChunkedEncodingError": "transient",
    "requests.exceptions.ConnectionError": _wraps("transient"),
    "requests.exceptions.ContentDecodingError": "flaky",
    "requests.exceptions.HTTPError": _by_status,
    "requests.exceptions.SSLError": _wraps("permanent"),
    "requests.exceptions.Timeout": "transient",
    "requests.exceptions.ConnectTimeout": "transient",
    "requests.exceptions.RetryError": _wraps("transient"),
    "requests.exceptions.TooManyRedirects": "permanent",
    "requests.exceptions.JSONDecodeError": "flaky",
    "httpx.DecodingError": "flaky",
    "httpx.HTTPStatusError": _by_status,
    "httpx.LocalProtocolError": "permanent",
    "httpx.NetworkError": _wraps("transient"),
    "httpx.ProxyError": "transient",
    "httpx.RemoteProtocolError": "transient",
    "httpx.TimeoutException": "transient",
    "aiohttp.client_exceptions.ClientConnectorCertificateError": "permanent",
    "aiohttp.client_exceptions.ClientPayloadError": "transient",
    "aiohttp.client_exceptions.ClientResponseError": _by_status,
    "aiohttp.client_exceptions.ServerDisconnectedError": "transient",
    "grpc.RpcError": _by_grpc_code,
}
