"""Connections for the requests of one user: where each leads, by a proxy or not, and from which address."""

from __future__ import annotations

import itertools

from loadflow.engine.base.host_port import host_port
from loadflow.engine.plan.connections import Route
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.proxies import Proxy
from loadflow.engine.protocols.http.request import HttpRequest
from loadflow.engine.protocols.http.tunnel import Tunnel, credentials_of, name_of
from loadflow.engine.protocols.running.connecting import Through, open_connection
from loadflow.engine.protocols.running.error_words import error_words
from loadflow.engine.protocols.running.fence import Fence
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_stream import Socket, TlsStream
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.timings import HitTimings

__all__ = ["Dialer"]

BLOCK_BYTES = 65_536

_turns = itertools.count()  # of local addresses, for all users of the process


class Dialer:
    """Gives a socket, and the proxy at its other end that is asked for the whole URL: None where that is the target, by a tunnel too."""

    def __init__(self, plan: Plan) -> None:
        self._connections = plan.connections
        self._fence = Fence(plan.allowed_hosts)
        self._routes: dict[tuple[str, str, int], Route] = {}
        self._sessions: dict[tuple[object, ...], object] = {}

    def hang_up(self, socket: Socket, place: tuple[object, ...]) -> None:
        """Closes a socket; the next to the same place may go on with its TLS session."""
        if self._connections.tls.resumes and isinstance(socket, TlsStream) and socket.session is not None:
            self._sessions[place] = socket.session
        socket.close()

    def dial(self, request: HttpRequest, place: tuple[object, ...], timings: HitTimings) -> tuple[Socket, Proxy | None]:
        """Raises HitFailure, or gaierror for an unknown host name. `place`: what else is connected to in the same way has the same;
        `timings` are added to."""
        route = self._route(request)
        tls = (request.verify, request.cert) if request.scheme == "https" else None
        local = self._connections.local_addresses
        proxy, spoken_to, through = route.proxy, None, None
        if proxy is not None and tls is not None:
            target = host_port(request.host, request.port)
            through = Through(name_of(proxy), lambda socket: _open_tunnel(socket, proxy, target))
        elif proxy is not None:
            spoken_to, through = proxy, Through(name_of(proxy))
        socket = open_connection(
            route.host,
            route.port,
            request.connect_timeout_s,
            tls,
            server_name=request.sni or request.host,
            source=local[next(_turns) % len(local)] if local else None,
            through=through,
            terms=self._connections.tls,
            session=self._sessions.get(place),
            timings=timings,
        )
        return socket, spoken_to

    def _route(self, request: HttpRequest) -> Route:
        place = request.scheme, request.host, request.port
        route = self._routes.get(place)
        if route is None:
            try:
                route = self._connections.route(*place)
            except ValueError as error:
                raise HitFailure(Outcome.CONNECT, str(error)) from None
            # a proxy resolves the name, so the name is all that can be held against the list; what is connected to is looked at there
            if route.proxy is not None and (refusal := self._fence.refusal(request.host, ())):
                raise HitFailure(Outcome.FORBIDDEN, refusal)
            self._routes[place] = route
        return route


def _open_tunnel(socket: Socket, proxy: Proxy, place: str) -> bytes:
    """Through a connected socket; the first bytes that came by the tunnel. Raises HitFailure."""
    name = name_of(proxy)
    tunnel = Tunnel(name, place, credentials_of(proxy))
    turns = Turns()
    try:
        socket.sendall(tunnel.request)
        while (early := tunnel.feed(socket.recv(BLOCK_BYTES))) is None:
            turns.taken()
    except OSError as error:
        raise HitFailure(Outcome.CONNECT, f"{name}: {error_words(error)}") from None
    return early
