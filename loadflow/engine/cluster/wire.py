"""The two sockets between master and workers: Locust's messages on connections that only holders of the token get.

They stand in the place of `locust.rpc.zmqrpc.Server` and `Client`, so that Locust's own messages (spawn, heartbeat, quit) are
covered like ours: a stranger who can reach the port can't register, read, send or replay anything. What is no message is
left out with a line in the log, whoever sent it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import gevent
import msgpack
import zmq
import zmq.green
from locust.exception import RPCError
from locust.rpc.protocol import Message
from locust.rpc.zmqrpc import BaseSocket
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from loadflow.engine.cluster.keys import Keys

__all__ = ["MasterSocket", "WorkerSocket", "use_sockets"]

LOG = logging.getLogger("loadflow.cluster")
LARGEST_MESSAGE = 4 * 2**20  # bytes; the largest we send are parts of a quarter megabyte
HANDSHAKE_MS = 5_000  # a peer that connects and says nothing is cut off then
LINGER_MS = 500  # at the end: how long what was said last may take to leave


class MasterSocket(BaseSocket):  # type: ignore[misc]  # locust is not typed for subclassing
    """Listens; `port` is the one that was taken, `refused` is told the address of each peer without the token."""

    def __init__(self, host: str, port: int, keys: Keys, refused: Callable[[str], None] = lambda peer: None) -> None:
        super().__init__(zmq.ROUTER, self.ipv4_only(host, port))
        self._worker_key = z85.decode(keys.worker.public)
        self._refused = refused
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a worker that reconnects is itself, also before its old connection is seen dead
        self.socket.curve_server = True
        self.socket.curve_secretkey = keys.master.secret
        self.socket.zap_domain = b"loadflow"
        _bound(self.socket)
        self._zap = self.socket.context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | HANDSHAKE_FAILED)
        self._greenlets = [gevent.spawn(self._admit), gevent.spawn(self._watch)]
        try:
            if port == 0:
                self.port = self.socket.bind_to_random_port(f"tcp://{host}")
            else:
                self.socket.bind(f"tcp://{host}:{port}")
                self.port = port
        except zmq.ZMQError as error:
            self.close()
            raise RPCError(f"{host}:{port} can't be listened on: {error.strerror}") from error

    def recv_from_client(self) -> tuple[str, Message]:
        """The next message and who sent it. The name inside a message is overwritten: nobody speaks for another."""
        while True:
            try:
                frames = self.socket.recv_multipart()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            with contextlib.suppress(UnicodeDecodeError, IndexError):
                sender = frames[0].decode()
                message = _message(frames[1], sender)
                if message is not None:
                    return sender, message
            LOG.warning("left out what is no message, from %r", frames[0][:60])

    def close(self, linger: int | None = LINGER_MS) -> None:
        gevent.killall(self._greenlets)
        self.socket.disable_monitor()
        self._zap.close(linger=0)
        super().close(linger=linger)

    def _admit(self) -> None:
        """Answers ZeroMQ's question whether a key may come in (https://rfc.zeromq.org/spec/27/)."""
        while True:
            version, request, _, address, _, mechanism, *credentials = self._zap.recv_multipart()
            known = mechanism == b"CURVE" and credentials == [self._worker_key]
            if not known:
                self._refused(address.decode(errors="replace"))
            self._zap.send_multipart([version, request, b"200" if known else b"400", b"", b"", b""])

    def _watch(self) -> None:
        """Tells of handshakes that failed. The event of a failure has no address, so it is that of the disconnect right after it."""
        peers: dict[int, str] = {}
        failed = False
        while True:
            event = parse_monitor_message(self._monitor.recv_multipart())
            match event["event"]:
                case zmq.Event.ACCEPTED:
                    peers[event["value"]] = _peer_of(event["value"])
                case zmq.Event.DISCONNECTED:
                    peer = peers.pop(event["value"], "an unknown address")
                    if failed:
                        self._refused(peer)
                    failed = False
                case _:
                    failed = True


class WorkerSocket(BaseSocket):  # type: ignore[misc]  # locust is not typed for subclassing
    """Connects, and again when the connection was lost. `refusals` counts handshakes that failed in a row."""

    def __init__(self, host: str, port: int, identity: str, keys: Keys) -> None:
        super().__init__(zmq.DEALER, self.ipv4_only(host, port))
        self.identity = identity
        self.connected = False
        self.connections = 0
        self.refusals = 0
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.setsockopt(zmq.RECONNECT_IVL, 200)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2_000)
        self.socket.curve_serverkey = keys.master.public
        self.socket.curve_publickey = keys.worker.public
        self.socket.curve_secretkey = keys.worker.secret
        _bound(self.socket)
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | HANDSHAKE_FAILED)
        self._watcher = gevent.spawn(self._watch)
        self.socket.connect(f"tcp://{host}:{port}")

    def send(self, msg: Message) -> None:
        msg.node_id = self.identity
        super().send(msg)

    def recv(self) -> Message:
        while True:
            try:
                data = self.socket.recv()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            message = _message(data, self.identity)
            if message is not None:
                return message
            LOG.warning("left out what is no message, from the master")

    def close(self, linger: int | None = LINGER_MS) -> None:
        self._watcher.kill()
        self.socket.disable_monitor()
        super().close(linger=linger)

    def _watch(self) -> None:
        while True:
            match parse_monitor_message(self._monitor.recv_multipart())["event"]:
                case zmq.Event.HANDSHAKE_SUCCEEDED:
                    self.connected = True
                    self.connections += 1
                    self.refusals = 0
                case zmq.Event.DISCONNECTED:
                    self.connected = False
                case _:
                    self.refusals += 1


HANDSHAKE_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH


def use_sockets(server: Callable[[str, int], MasterSocket] | None = None, client: Callable[[str, int, str], object] | None = None) -> None:
    """Give Locust's runners of this process these sockets. They make theirs from the module's name `rpc`; there is no parameter."""
    from types import SimpleNamespace

    from locust import runners

    runners.rpc = SimpleNamespace(Server=server, Client=client)


def _bound(one: Any) -> None:
    one.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    one.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def _message(data: bytes, sender: str) -> Message | None:
    """None for what is no message. Locust's own decoder makes objects of some mappings, and raises what its loops don't catch."""
    try:
        kind, body, _ = msgpack.loads(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    return Message(kind, body, sender) if isinstance(kind, str) else None


def _peer_of(fd: int) -> str:
    """The other end of a connection that ZeroMQ owns: looked at, not touched."""
    try:
        one = socket.socket(fileno=fd)
    except OSError:
        return "an unknown address"
    try:
        host, port = one.getpeername()[:2]
        return f"{host}:{port}"
    except OSError:
        return "an unknown address"
    finally:
        one.detach()
