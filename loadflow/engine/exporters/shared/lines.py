"""How lines of text travel to a server of metrics: in datagrams, or over a TCP connection that is kept.

Each is a function that takes lines and raises Unreachable or Refused; its `close` frees what it holds.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence

from loadflow.engine.exporters.shared import way
from loadflow.engine.exporters.shared.trouble import Refused, unreachable
from loadflow.engine.plan.target import HostLists

__all__ = ["TcpWriter", "UdpWriter", "datagrams"]

DATAGRAM_BYTES = 1_400  # below Ethernet's 1,500 with all heads
BURST = 16  # datagrams, then a pause: a receiver's buffer is small, and what does not fit is lost
PAUSE_S = 0.002


class UdpWriter:
    """Datagrams of whole lines. There is no way to know whether one arrived, except for a closed port on this machine.

    Raises OSError for a host that is not known, or not allowed.
    """

    def __init__(self, host: str, port: int, lists: HostLists = ()) -> None:
        self._address = f"udp://{host}:{port}"
        family, kind, protocol, _, address = way.answer(host, port, lists, socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.connect(address)
        self._before = 0  # lines of the last datagram: an error is about that one, not about the one being sent

    def __call__(self, lines: Sequence[str]) -> None:
        lost = 0
        for number, (datagram, count) in enumerate(datagrams(lines)):
            if number % BURST == BURST - 1:
                time.sleep(PAUSE_S)
            lost += self._send(datagram, count)
        if lost:
            raise Refused(f"no process listens on {self._address}", lost)

    def _send(self, datagram: bytes, count: int) -> int:
        """How many lines are known to be lost by now."""
        try:
            lost = 0
            try:
                self._socket.send(datagram)
            except ConnectionRefusedError:
                lost = self._before
                self._socket.send(datagram)
        except OSError as error:
            raise Refused(f"{self._address}: {error.strerror}") from None
        self._before = count
        return lost

    def close(self) -> None:
        self._socket.close()


def datagrams(lines: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """Lines packed together as far as a datagram goes, and how many are in each; one that is too long goes alone."""
    packed: list[bytes] = []
    size = 0
    for text in lines:
        one = text.encode()
        if packed and size + len(one) + 1 > DATAGRAM_BYTES:
            yield b"\n".join(packed), len(packed)
            packed, size = [], 0
        packed.append(one)
        size += len(one) + 1
    if packed:
        yield b"\n".join(packed), len(packed)


class TcpWriter:
    """Lines over one connection, each with a line feed at its end. Connects when there is something to send, and anew after trouble.

    What was sent just before a connection broke may be sent again: over TCP a server says nothing of what it read.
    """

    def __init__(self, host: str, port: int, timeout_s: float, lists: HostLists = ()) -> None:
        self._host, self._port, self._timeout_s, self._lists = host, port, timeout_s, lists
        self._address = f"tcp://{host}:{port}"
        self._socket: socket.socket | None = None

    def __call__(self, lines: Sequence[str]) -> None:
        try:
            if self._socket is None or _is_closed(self._socket):
                self.close()
                self._socket = self._connected()
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(b"".join(line.encode() + b"\n" for line in lines))
        except OSError as error:
            self.close()
            raise unreachable(self._address, error) from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        trouble: OSError | None = None
        for *_, address in way.answer(self._host, self._port, self._lists):
            try:
                return socket.create_connection(address[:2], self._timeout_s)
            except OSError as error:
                trouble = error
        assert trouble is not None
        raise trouble


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server closed it meanwhile: the first bytes after that would be lost without an error. What it sent is not read on."""
    connection.setblocking(False)
    try:
        return connection.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
