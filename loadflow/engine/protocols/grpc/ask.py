"""Asks a server by reflection for the files that describe a service; started as `python -m`, a JSON job on its input.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md: version 1 first, v1alpha where a server does not have it; their
messages are the same. Answers with one line of JSON: `descriptors`, a FileDescriptorSet in Base64, or `error`.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from loadflow.engine.protocols.grpc.channel import new_channel
from loadflow.engine.protocols.grpc.target import Security

__all__: list[str] = []

VERSIONS = ("v1", "v1alpha")
MOST_FILES = 10_000


class _Refused(Exception):
    """What the server says to a question."""


def main() -> None:
    job = json.load(sys.stdin)
    security = Security(**job["security"]) if job["security"] else None
    channel = new_channel(job["target"], security, max_message_bytes=-1, addresses=job["addresses"])
    pairs = job["metadata"].items() if isinstance(job["metadata"], dict) else job["metadata"] or ()
    # what a step's values may look like is looked at with the step; a key that needs binary values is of no use here
    metadata = [(str(key), str(value)) for key, value in pairs if value is not None and not str(key).endswith("-bin")]
    try:
        print(json.dumps({"descriptors": _descriptors(channel, job["service"], metadata, job["timeout_s"])}))
    except grpc.RpcError as error:
        call: grpc.Call = error
        print(json.dumps({"error": f"{call.code().name}: {call.details()}"}))
    except _Refused as error:
        print(json.dumps({"error": str(error)}))
    channel.close()


def _descriptors(channel: grpc.Channel, service: str, metadata: list[tuple[str, str]], timeout_s: float) -> str:
    for version in VERSIONS:
        try:
            ask = _Questions(channel, f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", metadata, timeout_s)
            return _of_service(ask, service)
        except grpc.RpcError as error:
            call: grpc.Call = error
            if call.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
    raise _Refused("the server has no reflection service; use proto or stub_path")


class _Questions:
    """Puts a question, each in a call of its own."""

    def __init__(self, channel: grpc.Channel, path: str, metadata: list[tuple[str, str]], timeout_s: float) -> None:
        make = reflection_pb2.ServerReflectionRequest.SerializeToString
        self._method = channel.stream_stream(path, make, reflection_pb2.ServerReflectionResponse.FromString)
        self._metadata = metadata
        self._timeout_s = timeout_s

    def __call__(self, **question: str) -> reflection_pb2.ServerReflectionResponse:
        asked = iter([reflection_pb2.ServerReflectionRequest(**question)])
        for reply in self._method(asked, metadata=self._metadata, timeout=self._timeout_s):
            return reply
        raise _Refused("the server's reflection gave no answer")


def _of_service(ask: _Questions, service: str) -> str:
    first = ask(file_containing_symbol=service)
    if first.HasField("error_response"):
        listed = ask(list_services="")
        names = ", ".join(sorted(one.name for one in listed.list_services_response.service)) or "none"
        raise _Refused(f"there is no service {service!r}; there are: {names}")
    files = {file.name: file for file in _files(first)}
    while missing := sorted({name for file in files.values() for name in file.dependency} - files.keys()):
        if len(files) > MOST_FILES:
            raise _Refused(f"over {MOST_FILES:,} files describe the service")
        for name in missing:
            reply = ask(file_by_filename=name)
            if reply.HasField("error_response"):
                raise _Refused(f"the file {name} is missing: {reply.error_response.error_message}")
            files.update((file.name, file) for file in _files(reply))
            if name not in files:
                raise _Refused(f"the file {name} is missing")
    return base64.b64encode(descriptor_pb2.FileDescriptorSet(file=files.values()).SerializeToString()).decode()


def _files(reply: reflection_pb2.ServerReflectionResponse) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    for data in reply.file_descriptor_response.file_descriptor_proto:
        yield descriptor_pb2.FileDescriptorProto.FromString(data)


if __name__ == "__main__":
    main()
