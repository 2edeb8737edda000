"""Opens connections on gevent sockets, with or without TLS, for every client that speaks its protocol itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import gevent
import gevent.socket
import gevent.ssl
from certifi import where as ca_bundle
from gevent import monkey

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.protocols.running.tls_files import load_files
from loadflow.engine.protocols.running.tls_stream import TlsEndless, TlsStream
from loadflow.engine.records.outcome import Outcome

__all__ = ["SOCKET_ERRORS", "Tls", "client_context", "open_connection", "stirs"]

Tls = tuple[bool | str, str | tuple[str, str] | None]  # `verify` and `cert`

# gevent's own poll would go through its event loop; this one is asked without waiting
_poll = monkey.get_original("select", "poll")
_READABLE = 1  # POLLIN; errors and hang-ups are always reported

# what the socket calls of an open connection raise
SOCKET_ERRORS: Sequence[tuple[type[BaseException], Outcome]] = (
    (gevent.socket.gaierror, Outcome.DNS),
    (UnicodeError, Outcome.DNS),
    (ssl.SSLError, Outcome.TLS),
    (ConnectionRefusedError, Outcome.CONNECT),
    (TimeoutError, Outcome.TIMEOUT),
    (ConnectionError, Outcome.CLOSED),
    (OSError, Outcome.CONNECT),
)


def open_connection(host: str, port: int, limit_s: float, tls: Tls | None) -> Any:
    """A connected socket. Raises HitFailure, or gaierror for an unknown host name. Other timeouts are not caught."""
    plain: Any = None
    try:
        with within(limit_s, lambda: f"{'not connected' if plain is None else 'no TLS session'} within {limit_s:g} s"):
            try:
                plain = gevent.socket.create_connection((host, port))
            except gevent.socket.gaierror:
                raise
            except OSError as error:
                raise HitFailure(Outcome.CONNECT, f"{type(error).__name__}: {error.strerror or error}") from None
            plain.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if tls is None:
                return plain
            try:
                return TlsStream(plain, client_context(*tls), host)
            except TlsEndless as error:
                raise HitFailure(Outcome.TLS, error.strerror or "") from None
            except OSError as error:
                raise HitFailure(Outcome.TLS, f"{type(error).__name__}: {error.strerror or error}") from None
    except BaseException:
        if plain is not None:
            plain.close()
        raise


def stirs(socket: Any) -> Callable[[], bool]:
    """Whether something came from the peer, or it closed: asked at a time when nothing is due."""
    poller = _poll()
    poller.register(socket.fileno(), _READABLE)
    poll = poller.poll
    if isinstance(socket, TlsStream):
        has_more = socket.has_more
        return lambda: has_more() or bool(poll(0))
    return lambda: bool(poll(0))


@lru_cache(maxsize=64)
def client_context(verify: bool | str, cert: str | tuple[str, str] | None) -> Any:
    """For connections as a client. `verify`: True for the machine's authorities, a file of others, or False; `cert`: a client's own."""
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    load_files(context, ca_bundle() if verify is True else verify, cert)
    return context
