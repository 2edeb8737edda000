"""Opens connections on gevent sockets, with or without TLS, for every client that speaks its protocol itself."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gevent
import gevent.socket
import gevent.ssl
from certifi import where as ca_bundle
from gevent import monkey

from loadflow.engine.plan.connections import TlsTerms
from loadflow.engine.protocols.running.error_words import error_words
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.protocols.running.tls_files import Certificate, Tls, load_files
from loadflow.engine.protocols.running.tls_stream import Socket, TlsEndless, TlsStream
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.timings import HitTimings

__all__ = ["SOCKET_ERRORS", "Through", "client_context", "open_connection", "stirs"]


ANY_TERMS = TlsTerms()
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# gevent's own poll would go through its event loop; this one is asked without waiting
_poll = monkey.get_original("select", "poll")
IP_BIND_ADDRESS_NO_PORT = 24  # of Linux; Python has no name for it before 3.14
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


@dataclass(frozen=True, slots=True)
class Through:
    """A proxy on the way. `name`: what messages call it; `opens` asks it for a tunnel over a connected socket, and gives the first bytes
    that came by it; None: it is spoken to."""

    name: str
    opens: Callable[[socket.socket], bytes] | None = None


def open_connection(
    host: str,
    port: int,
    limit_s: float,
    tls: Tls | None,
    *,
    server_name: str | None = None,
    source: str | None = None,
    through: Through | None = None,
    terms: TlsTerms = ANY_TERMS,
    session: object = None,
    timings: HitTimings | None = None,
) -> Socket:
    """A connected socket. `server_name`: what TLS calls the peer (`host`); `source`: the address that it comes from; `session`: of an
    earlier TlsStream on the same terms; `timings` are added to.

    Raises HitFailure, or gaierror for an unknown host name. Other timeouts are not caught.
    """
    plain: socket.socket | None = None
    timings = timings or HitTimings()
    lacks = f"not connected to {through.name}" if through else "not connected"
    mark = f"{through.name}: " if through else ""
    try:
        with within(limit_s, lambda: f"{lacks} within {limit_s:g} s"):
            try:
                plain = _connected(host, port, source, timings)
            except gevent.socket.gaierror as error:
                if through is None:
                    raise
                raise HitFailure(Outcome.CONNECT, f"{mark}gaierror: {error.strerror or error}") from None
            except OSError as error:
                raise HitFailure(Outcome.CONNECT, f"{mark}{error_words(error)}") from None
            plain.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            early = b""
            if through is not None and through.opens is not None:
                lacks = f"no tunnel through {through.name}"
                mark_ns = time.monotonic_ns()
                early = through.opens(plain)
                timings.connect_ns += time.monotonic_ns() - mark_ns
            if tls is None:
                return plain
            lacks = "no TLS session"
            mark_ns = time.monotonic_ns()
            try:
                stream = TlsStream(plain, client_context(*tls, terms), server_name or host, early, session)
                timings.tls_ns += time.monotonic_ns() - mark_ns
                timings.agreed = stream.agreed
                return stream
            except TlsEndless as error:
                raise HitFailure(Outcome.TLS, error.strerror or "") from None
            except OSError as error:
                raise HitFailure(Outcome.TLS, error_words(error)) from None
    except BaseException:
        if plain is not None:
            plain.close()
        raise


def _connected(host: str, port: int, source: str | None, timings: HitTimings) -> socket.socket:
    """Raises OSError, and gaierror among them."""
    begun_ns = time.monotonic_ns()
    try:
        found = gevent.socket.getaddrinfo(host, port, type=gevent.socket.SOCK_STREAM)
    finally:
        resolved_ns = time.monotonic_ns()
        timings.dns_ns += resolved_ns - begun_ns
    family = source and (gevent.socket.AF_INET6 if ":" in source else gevent.socket.AF_INET)
    last: OSError = OSError(errno.EAFNOSUPPORT, f"{host} has no address of the kind of {source}")
    for kind, _, _, _, address in found:
        if source is not None and kind != family:
            continue
        plain: socket.socket | None = None
        try:
            plain = gevent.socket.socket(kind, gevent.socket.SOCK_STREAM)
            if source is not None:
                # the port is chosen when it connects: else an address would have no more of them than for one peer
                plain.setsockopt(gevent.socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                plain.bind((source, 0))
            plain.connect(address)
        except OSError as error:
            if plain is not None:
                plain.close()
            last = error
        except BaseException:
            if plain is not None:
                plain.close()
            raise
        else:
            timings.connect_ns += time.monotonic_ns() - resolved_ns
            return plain
    raise last


def stirs(stream: Socket) -> Callable[[], bool]:
    """Whether something came from the peer, or it closed: asked at a time when nothing is due."""
    poller = _poll()
    poller.register(stream.fileno(), _READABLE)
    poll = poller.poll
    if isinstance(stream, TlsStream):
        has_more = stream.has_more
        return lambda: has_more() or bool(poll(0))
    return lambda: bool(poll(0))


@lru_cache(maxsize=64)
def client_context(verify: bool | str, cert: Certificate, terms: TlsTerms = ANY_TERMS) -> Any:
    """For connections as a client. `verify`: True for the machine's authorities, a file of others, or False; `cert`: a client's own."""
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if terms.versions:
        context.minimum_version, context.maximum_version = VERSIONS[terms.versions[0]], VERSIONS[terms.versions[-1]]
    if terms.ciphers:
        context.set_ciphers(":".join(terms.ciphers))
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    load_files(context, ca_bundle() if verify is True else verify, cert)
    return context
