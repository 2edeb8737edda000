"""Opens the sockets that a server listens on: one for each address of its host, all with one port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from loadflow.engine.control.access import Address
from loadflow.errors import RunError

__all__ = ["listen"]

BACKLOG = 128
TRIES = 10  # for a free port that is free for IPv4 and IPv6 alike
NO_SUCH_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # a machine without IPv6 still names ::1


def listen(addresses: Sequence[Address]) -> tuple[list[socket.socket], int]:
    """Listening sockets and their port; port 0 takes a free one. Raises RunError."""
    wanted = addresses[0][1][1]
    for _ in range(TRIES):
        try:
            return _listen_once(addresses)
        except OSError as error:
            failed = error
            if wanted != 0 or error.errno != errno.EADDRINUSE:
                break
    host = addresses[0][1][0]
    if failed.errno == errno.EADDRINUSE:
        raise RunError(f"port {wanted} of {host} is taken; end what listens there, or choose another port (0: any free one)")
    raise RunError(f"can't listen on {host} port {wanted}: {os.strerror(failed.errno or 0)}; choose another host or port")


def _listen_once(addresses: Sequence[Address]) -> tuple[list[socket.socket], int]:
    sockets: list[socket.socket] = []
    port = addresses[0][1][1]
    absent: OSError | None = None
    try:
        for family, (host, _) in addresses:
            try:
                sockets.append(_open(family, host, port))
            except OSError as error:
                if error.errno not in NO_SUCH_FAMILY:
                    raise
                absent = error
            else:
                port = int(sockets[-1].getsockname()[1])
        if not sockets:
            raise absent or OSError(errno.EADDRNOTAVAIL, "no address")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets, port


def _open(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last connections linger is free
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
