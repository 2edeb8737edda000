"""What `requests` raises, as the failure of a hit. It wraps most things in others; the kind and the text are those of the cause.

The texts of the wrappers hold addresses of objects and whole URLs, so that every failure would be a kind of its own.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator

import requests.exceptions
import urllib3.exceptions

from loadflow.engine.protocols.http.request import HttpRequest
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["CLASSIC_ERRORS", "as_failure"]

CLASSIC_ERRORS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


def as_failure(error: BaseException, request: HttpRequest) -> HitFailure:
    """The first of the causes that the table knows."""
    causes = list(_causes(error))
    for kind, outcome, text in TABLE:
        for cause in causes:
            if isinstance(cause, kind):
                return HitFailure(outcome, text(cause, request))
    for cause in causes:
        if isinstance(cause, OSError) and not isinstance(cause, requests.exceptions.RequestException):  # those are OSErrors by name only
            return HitFailure(Outcome.CONNECT, _own_words(cause))
    return HitFailure(Outcome.PROTOCOL, _own_words(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        one = pending.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        pending += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _own_words(error: BaseException, *_: object) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"


def _words_of_cause(error: BaseException, *_: object) -> str:
    return _own_words(error.__cause__ or error)


def _cut_off(error: BaseException, *_: object) -> str:
    return "the connection was closed before the body was whole"


def _no_answer(error: BaseException, *_: object) -> str:
    return "the connection was closed before an answer"


def _not_connected(error: BaseException, request: HttpRequest) -> str:
    return f"not connected within {request.connect_timeout_s:g} s"


def _not_answered(error: BaseException, request: HttpRequest) -> str:
    return f"no whole answer within {request.timeout_s:g} s"


# the order decides: causes come together with what they were the cause of
TABLE: tuple[tuple[type, Outcome, Callable[..., str]], ...] = (
    (socket.gaierror, Outcome.DNS, _own_words),
    (ssl.SSLError, Outcome.TLS, _own_words),
    (urllib3.exceptions.SSLError, Outcome.TLS, _own_words),
    (urllib3.exceptions.NewConnectionError, Outcome.CONNECT, _words_of_cause),  # a ConnectTimeoutError, though nothing timed out
    (urllib3.exceptions.ConnectTimeoutError, Outcome.TIMEOUT, _not_connected),
    (urllib3.exceptions.TimeoutError, Outcome.TIMEOUT, _not_answered),
    (TimeoutError, Outcome.TIMEOUT, _not_answered),
    (ConnectionRefusedError, Outcome.CONNECT, _own_words),
    (http.client.RemoteDisconnected, Outcome.CLOSED, _no_answer),
    (ConnectionError, Outcome.CLOSED, _own_words),
    (urllib3.exceptions.InvalidChunkLength, Outcome.PROTOCOL, _own_words),
    (http.client.IncompleteRead, Outcome.CLOSED, _cut_off),
    (http.client.HTTPException, Outcome.PROTOCOL, _own_words),
    (urllib3.exceptions.ProtocolError, Outcome.CLOSED, _cut_off),  # "Response ended prematurely", with no other cause
)
