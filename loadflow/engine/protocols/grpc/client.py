"""`grpc_user`: grpcio under gevent, one channel per user and target, or some that all users of a process share.

grpcio's own support for gevent is switched on when this module is imported, so in engine processes of this protocol alone. Under it
a blocking call keeps a native thread of gevent's pool; calls are made as futures instead, whose events of one channel come by one
thread, and whose greenlets can be ended at any time: the call is then cancelled, and nothing waits for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import grpc
from google.protobuf.message import DecodeError
from grpc.experimental import gevent as grpc_gevent

from loadflow.engine.protocols.grpc.channel import LONGEST_CONNECT_S, new_channel
from loadflow.engine.protocols.grpc.interface import gather
from loadflow.engine.protocols.grpc.reply import GrpcReply, grpc_failure
from loadflow.engine.protocols.grpc.request import GrpcCall, GrpcRequest
from loadflow.engine.protocols.grpc.target import Security, addresses_of
from loadflow.engine.protocols.running.seam import HitFailure, UserContext, UserProtocol
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.statuses import grpc_status

__all__ = ["GRPC", "GrpcClient"]

grpc_gevent.init_gevent()

DEADLINE_EXCEEDED, UNAVAILABLE = grpc_status(4), grpc_status(14)
MESSAGE_COSTS = 256  # bytes that even an empty message of a stream takes, and some 50 us of work
MOST_UNANSWERED = 3  # calls in a row that met their deadline: the channel is then closed, for a peer may send on it without end
SPARE_S = 1.0  # behind the deadline of a call
SPARE_THREADS = 32  # of gevent's pool, for names, files, and the lifeline of the engine


class _Channel:
    """A channel and the methods that were asked for on it. Messages pass as bytes."""

    __slots__ = ("_methods", "answered", "channel", "connect_s", "unanswered")

    def __init__(self, target: str, security: Security | None, max_message_bytes: int, addresses: str, connect_s: float) -> None:
        self.channel = new_channel(target, security, max_message_bytes=max_message_bytes, addresses=addresses, connect_s=connect_s)
        self.connect_s = connect_s
        self.answered = False  # whether it was ever connected
        self._methods: dict[str, Any] = {}
        self.unanswered = 0
        # each channel with calls under way keeps a thread of the pool
        pool = gevent.get_hub().threadpool
        pool.maxsize = max(pool.maxsize, next(_channel_count) + SPARE_THREADS)

    def method(self, request: GrpcRequest) -> Any:
        rpc = request.rpc
        known = self._methods.get(rpc.path)
        if known is None:
            kind = f"{'stream' if rpc.client_streams else 'unary'}_{'stream' if rpc.server_streams else 'unary'}"
            known = self._methods[rpc.path] = getattr(self.channel, kind)(rpc.path)
        return known


_channel_count = itertools.count(1)
_user_count = itertools.count()
# an engine process makes one load, so what its users share may be the process's
_shared: dict[tuple[object, ...], _Channel] = {}


class GrpcClient:
    """One virtual user's channels."""

    def __init__(self, user: UserContext) -> None:
        self._user = user
        self._max_bytes = user.plan.max_body_bytes
        self._position = next(_user_count)
        self._own: dict[tuple[object, ...], _Channel] = {}

    def perform(self, request: GrpcRequest) -> GrpcReply:
        """Every status is a reply. Raises HitFailure if the answer is too large, or not a message of the method."""
        channel = self._channel(request)
        # the call has its deadline with gRPC's library, which never comes to it where a peer sends bad frames without end
        with within(request.timeout_s + SPARE_S, lambda: self._given_up(channel, request)):
            reply = self._ask(channel.method(request), request)
        channel.answered = channel.answered or reply.status not in (DEADLINE_EXCEEDED, UNAVAILABLE)
        channel.unanswered = channel.unanswered + 1 if reply.status == DEADLINE_EXCEEDED else 0
        if channel.unanswered >= MOST_UNANSWERED:
            self._let_go(channel)
        return reply

    def _given_up(self, channel: _Channel, request: GrpcRequest) -> str:
        self._let_go(channel)
        return f"no whole answer within {request.timeout_s:g} s, nor did gRPC's library end the call"

    def _ask(self, method: Any, request: GrpcRequest) -> GrpcReply:
        given = iter(request.messages) if request.rpc.client_streams else request.messages[0]
        options = {"timeout": request.timeout_s, "metadata": request.metadata}
        if request.rpc.server_streams:
            return self._read_stream(request, self._user.watch.now_ns(), method(given, **options))
        return self._read_one(request, method.future(given, **options))

    def close(self) -> None:
        for one in self._own.values():
            one.channel.close()
        self._own.clear()

    def _let_go(self, channel: _Channel) -> None:
        """Closed, unless other users have calls on it; the next call connects anew."""
        for key, one in list(self._own.items()):
            if one is channel:
                del self._own[key]
                channel.channel.close()

    def _channel(self, request: GrpcRequest) -> _Channel:
        key: tuple[object, ...] = (request.target, request.security)
        channels = self._own
        if request.channels is not None:
            key, channels = (*key, request.channels, self._position % request.channels), _shared
            connect_s = LONGEST_CONNECT_S
        else:  # three calls that met their deadline end the channel, and its attempt to connect ends with them
            connect_s = min(LONGEST_CONNECT_S, MOST_UNANSWERED * request.timeout_s + SPARE_S)
        found = channels.get(key)
        if found is not None and not found.answered and found.connect_s < connect_s:
            self._let_go(found)  # it was made for calls that wait less long
            found = None
        if found is None:
            try:
                # gRPC's library knows no fence, so it is given what the fence let pass
                addresses = addresses_of(request.target, gevent.socket.getaddrinfo) if self._user.plan.allowed_hosts else ""
                found = channels[key] = _Channel(request.target, request.security, self._max_bytes, addresses, connect_s)
            except gevent.socket.gaierror as error:
                raise HitFailure(Outcome.DNS, f"gaierror: {error}") from None
            except OSError as error:
                raise HitFailure(Outcome.TLS, f"{error.filename}: {error.strerror}") from None
        return found

    def _read_one(self, request: GrpcRequest, call: grpc.Call) -> GrpcReply:
        ended = gevent.event.Event()
        call.add_done_callback(lambda _: ended.set())
        try:
            ended.wait()
        except BaseException:
            call.cancel()
            raise
        if call.code() is not grpc.StatusCode.OK:
            return _reply(request, call, [])
        message = call.result()
        if message is None:
            raise HitFailure(Outcome.PROTOCOL, "the status is OK, and no whole message came")
        return _reply(request, call, [message])

    def _read_stream(self, request: GrpcRequest, start_ns: int, call: grpc.Call) -> GrpcReply:
        watch = self._user.watch
        messages: list[bytes] = []
        size = 0
        turns = Turns()
        try:
            for data in _until_status(call):
                turns.taken()
                messages.append(data)
                size += len(data)
                if request.first_name and len(messages) == 1:
                    watch.observed(GrpcCall.method, request.first_name, start_ns, watch.now_ns(), size)
                if size + MESSAGE_COSTS * len(messages) > self._max_bytes + MESSAGE_COSTS:
                    raise HitFailure(
                        Outcome.TOO_LARGE,
                        f"the messages are over max_body_bytes ({self._max_bytes:,}), where each counts {MESSAGE_COSTS} more",
                    )
                if len(messages) == request.max_messages:
                    return _reply(request, call, messages, enough=True)
            return _reply(request, call, messages)
        finally:
            call.cancel()  # nothing happens to one that has ended


def _until_status(call: grpc.Call) -> Iterator[bytes]:
    try:
        yield from call
    except grpc.RpcError:  # the status says it
        return


def _reply(request: GrpcRequest, call: grpc.Call, raw: list[bytes], *, enough: bool = False) -> GrpcReply:
    """`enough`: the script asked for no more messages, so the call has no status yet and needs none."""
    code = 0 if enough else call.code().value[0]
    metadata = [*(call.initial_metadata() or ()), *(() if enough else call.trailing_metadata() or ())]
    try:
        messages = [request.rpc.read_reply(data) for data in raw]
    except DecodeError:
        raise HitFailure(Outcome.PROTOCOL, f"the answer is not a message of {request.rpc.name}") from None
    return GrpcReply(
        code,
        "" if code == 0 else call.details() or "",
        request.rpc,
        messages,
        metadata,
        sent_bytes=sum(map(len, request.messages)),
        received_bytes=sum(map(len, raw)),
    )


GRPC = UserProtocol(
    user="grpc_user",
    prepare=GrpcCall,
    new_client=GrpcClient,
    errors=((ValueError, Outcome.CLOSED),),  # a channel that was closed
    fails=grpc_failure,
    gather=gather,
)
