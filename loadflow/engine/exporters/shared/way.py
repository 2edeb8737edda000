"""How exporters connect where a list says which hosts they may send to: to the very addresses that were looked at.

The names that a list has were trusted by who wrote it, wherever they lead. Others (`localhost` and what is below it) are held to
their answer: each connection asks the resolver once, and what it answered is what is connected to, so that it can't answer one
thing to us and another to the client (DNS rebinding).
"""

from __future__ import annotations

import errno
import http.client
import socket
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from loadflow.engine.plan.target import HostLists, refusing_answer

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

__all__ = ["Watch", "adapter", "answer", "grpc_options", "opener", "pool_classes"]

Entry = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]  # of getaddrinfo; the last is the address


class Watch(Protocol):
    """Is told of each connection as soon as its socket is connected, and when it is closed."""

    def opened(self, connection: object, own: socket.socket) -> None: ...

    def closed(self, connection: object) -> None: ...


def answer(host: str, port: int, lists: HostLists, kind: int = socket.SOCK_STREAM) -> list[Entry]:
    """What `host` resolves to now. Raises OSError where it has no address, or one that no list allows."""
    found: list[Entry] = list(socket.getaddrinfo(host, port, type=kind))
    if refusing_answer(host, [str(entry[4][0]) for entry in found], lists) is not None:
        raise PermissionError(errno.EACCES, f"{host} is not only this machine, and nothing else is allowed")
    return found


def pool_classes(lists: HostLists, watch: Watch | None = None) -> dict[str, Any]:
    """For a PoolManager of urllib3: its `pool_classes_by_scheme`. Without lists every host may be asked."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import HTTPError, NewConnectionError

    class Held:
        """Of a connection; urllib3 has the host twice: `_dns_host` is what it connects to."""

        def _new_conn(self: Any) -> socket.socket:
            own = self._held() if lists else super()._new_conn()  # type: ignore[misc]
            if watch is not None:
                watch.opened(self, own)
            return own  # type: ignore[no-any-return]

        def close(self: Any) -> None:
            super().close()  # type: ignore[misc]
            if watch is not None:
                watch.closed(self)

        def _held(self: Any) -> socket.socket:
            host: str = self._dns_host
            try:
                addresses = [entry[4][0] for entry in answer(host.strip("[]"), self.port, lists)]
            except OSError as error:
                raise NewConnectionError(self, str(error)) from error
            try:
                for address in addresses[:-1]:
                    self._dns_host = address
                    try:
                        return super()._new_conn()  # type: ignore[misc, no-any-return]
                    except HTTPError:
                        continue
                self._dns_host = addresses[-1]
                return super()._new_conn()  # type: ignore[misc, no-any-return]
            finally:
                self._dns_host = host

    class Plain(Held, HTTPConnection):
        pass

    class Tls(Held, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def adapter(lists: HostLists) -> HTTPAdapter:
    """For a Session of requests; a proxy that the environment names connects by itself."""
    from requests.adapters import HTTPAdapter

    class Held(HTTPAdapter):
        def init_poolmanager(self, *sizes: Any, **settings: Any) -> None:
            super().init_poolmanager(*sizes, **settings)
            self.poolmanager.pool_classes_by_scheme = pool_classes(lists)

    return Held()


def opener(host: str, lists: HostLists) -> urllib.request.OpenerDirector:
    """For `urllib`, which connects to `host` or to the environment's proxy; the latter is not asked about."""

    def connect(address: tuple[str, int], *rest: Any) -> socket.socket:
        if address[0].strip("[]").lower() != host.lower():
            return socket.create_connection(address, *rest)
        *first, last = [entry[4][:2] for entry in answer(host, address[1], lists)]
        for one in first:
            try:
                return socket.create_connection(one, *rest)
            except OSError:
                continue
        return socket.create_connection(last, *rest)

    def connection(kind: Any, *place: Any, **settings: Any) -> Any:
        made = kind(*place, **settings)
        made._create_connection = connect  # urllib has no other door
        return made

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(partial(connection, http.client.HTTPConnection), request)

    class Tls(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(partial(connection, http.client.HTTPSConnection), request)

    return urllib.request.build_opener(Plain, Tls)


def grpc_options(endpoint: str, lists: HostLists) -> tuple[str, tuple[tuple[str, object], ...]]:
    """The target and the options of a channel that stays with the addresses which `endpoint`, a URL, has now. Raises OSError."""
    parts = urlsplit(endpoint)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    found = [str(entry[4][0]) for entry in answer(host, port, lists)]
    version = 6 if ":" in found[0] else 4
    same = dict.fromkeys(f"[{one}]:{port}" if version == 6 else f"{one}:{port}" for one in found if (":" in one) == (version == 6))
    return f"ipv{version}:{','.join(same)}", (("grpc.default_authority", parts.netloc), ("grpc.ssl_target_name_override", host))
