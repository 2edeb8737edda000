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

from loadflow.engine.load.fence import Fence
from loadflow.engine.load.grpc_channel import new_channel
from loadflow.engine.load.grpc_reply import GrpcReply, grpc_failure
from loadflow.engine.load.grpc_request import GrpcCall, GrpcRequest
from loadflow.engine.load.grpc_target import Security
from loadflow.engine.load.protocol import HitFailure, UserContext, UserProtocol
from loadflow.engine.plan.target import host_of
from loadflow.engine.records.outcome import Outcome

__all__ = ["GRPC", "GrpcClient"]

grpc_gevent.init_gevent()

SPARE_THREADS = 32  # of gevent's pool, for names, files, and the lifeline of the engine


class _Channel:
    """A channel and the methods that were asked for on it. Messages pass as bytes."""

    __slots__ = ("_methods", "channel")

    def __init__(self, target: str, security: Security | None, max_message_bytes: int) -> None:
        self.channel = new_channel(target, security, max_message_bytes=max_message_bytes)
        self._methods: dict[str, Any] = {}
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
_shared: dict[tuple[Any, ...], _Channel] = {}


class GrpcClient:
    """One virtual user's channels."""

    def __init__(self, user: UserContext) -> None:
        self._user = user
        self._max_bytes = user.plan.max_body_bytes
        self._position = next(_user_count)
        self._own: dict[tuple[Any, ...], _Channel] = {}

    def perform(self, request: GrpcRequest) -> GrpcReply:
        """Every status is a reply. Raises HitFailure for what is too large, or no message of the method."""
        method = self._channel(request).method(request)
        given = iter(request.messages) if request.rpc.client_streams else request.messages[0]
        options = {"timeout": request.timeout_s, "metadata": request.metadata}
        if request.rpc.server_streams:
            return self._read_stream(request, self._user.watch.now_ns(), method(given, **options))
        return self._read_one(request, method.future(given, **options))

    def close(self) -> None:
        for one in self._own.values():
            one.channel.close()
        self._own.clear()

    def _channel(self, request: GrpcRequest) -> _Channel:
        key: tuple[Any, ...] = (request.target, request.security)
        channels = self._own
        if request.channels is not None:
            key, channels = (*key, request.channels, self._position % request.channels), _shared
        found = channels.get(key)
        if found is None:
            Fence(self._user.plan.allowed_hosts).check(host_of(request.target))
            try:
                found = channels[key] = _Channel(request.target, request.security, self._max_bytes)
            except OSError as error:
                raise HitFailure(Outcome.TLS, f"{error.filename}: {error.strerror}") from None
        return found

    def _read_one(self, request: GrpcRequest, call: Any) -> GrpcReply:
        ended = gevent.event.Event()
        call.add_done_callback(lambda _: ended.set())
        try:
            ended.wait()
        except BaseException:
            call.cancel()
            raise
        return _reply(request, call, [call.result()] if call.code() is grpc.StatusCode.OK else [])

    def _read_stream(self, request: GrpcRequest, start_ns: int, call: Any) -> GrpcReply:
        watch = self._user.watch
        messages: list[bytes] = []
        size = 0
        try:
            for data in _until_status(call):
                messages.append(data)
                size += len(data)
                if request.first_name and len(messages) == 1:
                    watch.observed(GrpcCall.method, request.first_name, start_ns, watch.now_ns(), size)
                if size > self._max_bytes:
                    raise HitFailure(Outcome.TOO_LARGE, f"the messages are over max_body_bytes ({self._max_bytes:,})")
                if len(messages) == request.max_messages:
                    return _reply(request, call, messages, enough=True)
            return _reply(request, call, messages)
        finally:
            call.cancel()  # nothing happens to one that has ended


def _until_status(call: Any) -> Iterator[bytes]:
    try:
        yield from call
    except grpc.RpcError:  # the status says it
        return


def _reply(request: GrpcRequest, call: Any, raw: list[bytes], *, enough: bool = False) -> GrpcReply:
    """`enough`: the script asked for no more messages, so the call has no status yet and needs none."""
    code = 0 if enough else call.code().value[0]
    metadata = [*(call.initial_metadata() or ()), *(() if enough else call.trailing_metadata() or ())]
    try:
        messages = [request.rpc.read_reply(data) for data in raw]
    except DecodeError:
        raise HitFailure(Outcome.PROTOCOL, f"the answer is no message of {request.rpc.name}") from None
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
)
