"""A method of a gRPC service: its path, who streams, and its messages, whichever way it became known.

It is described by descriptors (of a .proto file, or of a server's reflection), or by a generated stub that is made on a channel that
only listens. Nothing here imports grpc: messages are protobuf's.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory
from google.protobuf.descriptor import Descriptor

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["Rpc", "described_rpc", "dotted", "stub_rpc"]

_KINDS = {"unary_unary": (False, False), "unary_stream": (False, True), "stream_unary": (True, False), "stream_stream": (True, True)}


@dataclass(frozen=True, slots=True)
class Rpc:
    """`path` as it is asked for, "/package.Service/Method"; `pool` knows the messages that an Any may hold.

    `reply`: the descriptor of what `read_reply` gives; None for a stub that reads by other means than protobuf's. `files`: the names of
    those that describe the service; none for a stub.
    """

    path: str
    client_streams: bool
    server_streams: bool
    new_request: Callable[[], message.Message]
    read_reply: Callable[[bytes], message.Message]
    pool: descriptor_pool.DescriptorPool
    reply: Descriptor | None
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.lstrip("/")

    def request_message(self, payload: object) -> message.Message:
        """A message from its JSON (https://protobuf.dev/programming-guides/json/). Raises HitFailure where it does not fit."""
        wanted = self.new_request()
        kind = wanted.DESCRIPTOR.full_name
        if not isinstance(payload, Mapping) and not kind.startswith("google.protobuf."):
            raise HitFailure(Outcome.TEMPLATE, f"payload: a {kind} is an object, not {type(payload).__name__}")
        try:
            return json_format.ParseDict(payload, wanted, descriptor_pool=self.pool)
        except (json_format.Error, message.Error, TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            raise HitFailure(Outcome.TEMPLATE, f"payload is not a {kind}: {' '.join(str(error).split())}") from None

    def request_bytes(self, payload: object) -> bytes:
        wanted = self.request_message(payload)
        try:
            return bytes(wanted.SerializeToString(deterministic=True))
        except message.EncodeError as error:  # a required field of proto2
            raise HitFailure(Outcome.TEMPLATE, f"payload can't be sent: {error}") from None

    def request_json(self, data: bytes) -> object:
        wanted = self.new_request()
        wanted.ParseFromString(data)
        return self.to_json(wanted)

    def to_json(self, reply: message.Message) -> object:
        """Fields under the names of the .proto file; those that were left at their default too, so that a 0 can be asked for."""
        return json_format.MessageToDict(
            reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=self.pool
        )


@lru_cache(maxsize=64)
def _pool(descriptors: str) -> descriptor_pool.DescriptorPool:
    """Of a FileDescriptorSet in Base64. Raises TypeError for a set that does not hold together."""
    files = _files(descriptors)
    pool = descriptor_pool.DescriptorPool()
    waiting = {file.name: file for file in files}

    def add(name: str) -> None:
        file = waiting.pop(name, None)
        if file is not None:
            for other in file.dependency:
                add(other)
            pool.Add(file)

    for file in files:
        add(file.name)
    return pool


def described_rpc(descriptors: str, service: str, method: str) -> Rpc:
    """Raises HitFailure for a service or method that the descriptors do not have."""
    pool = _pool(descriptors)
    try:
        known = pool.FindServiceByName(service)
    except KeyError:
        names = _services(descriptors)
        raise HitFailure(Outcome.TEMPLATE, f"there is no service {service!r}; there are: {', '.join(names) or 'none'}") from None
    found = known.methods_by_name.get(method)
    if found is None:
        raise HitFailure(Outcome.TEMPLATE, f"{service} has no method {method!r}; it has: {', '.join(sorted(known.methods_by_name))}")
    reply = message_factory.GetMessageClass(found.output_type)
    return Rpc(
        f"/{service}/{method}",
        found.client_streaming,
        found.server_streaming,
        message_factory.GetMessageClass(found.input_type),
        reply.FromString,
        pool,
        found.output_type,
        tuple(file.name for file in _files(descriptors)),
    )


@lru_cache(maxsize=64)
def _files(descriptors: str) -> Sequence[descriptor_pb2.FileDescriptorProto]:
    files: Sequence[descriptor_pb2.FileDescriptorProto] = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(descriptors)).file
    return files


def _services(descriptors: str) -> list[str]:
    return sorted(f"{file.package}.{one.name}".lstrip(".") for file in _files(descriptors) for one in file.service)


class _Listener:
    """A channel for a stub: records what each of its methods asks for, and never connects."""

    def __getattr__(self, kind: str) -> Callable[..., tuple[object, ...]]:
        if kind not in _KINDS:
            raise AttributeError(kind)

        def listed(path: str, request_serializer: object = None, response_deserializer: object = None, **_: object) -> tuple[object, ...]:
            return kind, path, request_serializer, response_deserializer

        return listed


def stub_rpc(stub_path: str, request_path: str | None, method: str) -> Rpc:
    """From generated code: a stub class and, where protobuf's own pool does not know the service, the class of its requests.

    Raises HitFailure for what can't be imported or is not a stub.
    """
    stub_class = dotted(stub_path)
    try:
        found = getattr(stub_class(_Listener()), method, None)
    except (TypeError, AttributeError) as error:
        raise HitFailure(Outcome.TEMPLATE, f"{stub_path} is not a stub of gRPC: {error}") from None
    if not isinstance(found, tuple):
        raise HitFailure(Outcome.TEMPLATE, f"{stub_path} has no method {method!r}")
    kind, path, _, deserializer = found
    pool = descriptor_pool.Default()
    request_class = dotted(request_path) if request_path is not None else _request_class(pool, path)
    if not hasattr(request_class, "DESCRIPTOR") or not hasattr(request_class, "SerializeToString"):
        raise HitFailure(Outcome.TEMPLATE, f"{request_path} is not a message class of protobuf")
    # what protoc writes is a method of the class of the replies
    reply = getattr(getattr(deserializer, "__self__", None), "DESCRIPTOR", None)
    return Rpc(path, *_KINDS[kind], request_class, deserializer, pool, reply)


def _request_class(pool: descriptor_pool.DescriptorPool, path: str) -> type[message.Message]:
    try:
        rpc = pool.FindMethodByName(path.lstrip("/").replace("/", "."))
    except KeyError:
        raise HitFailure(Outcome.TEMPLATE, f"the request of {path} is not known; name its class as request_path") from None
    found: type[message.Message] = message_factory.GetMessageClass(rpc.input_type)
    return found


def dotted(path: str) -> Any:
    """What `module.Name` is. Raises HitFailure."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001  it is the author's code, and generated code refuses libraries that are too old
        raise HitFailure(Outcome.TEMPLATE, f"{path} can't be imported: {type(error).__name__}: {error}") from None
