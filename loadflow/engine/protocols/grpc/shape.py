"""What the messages of a method look like, as the native core takes it: made of protobuf's descriptors, which resolve syntax and editions.

`native/src/plan/rpc.rs` is the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FeatureSet, FieldDescriptorProto

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.grpc.rpc import Rpc

__all__ = ["shape_of"]

# messages that JSON writes in a form of their own: https://protobuf.dev/programming-guides/json/
KINDS = {
    "google.protobuf.Any": "any",
    "google.protobuf.Duration": "duration",
    "google.protobuf.FieldMask": "mask",
    "google.protobuf.ListValue": "list",
    "google.protobuf.Struct": "struct",
    "google.protobuf.Timestamp": "timestamp",
    "google.protobuf.Value": "value",
}
TYPES = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


@lru_cache(maxsize=64)
def shape_of(rpc: Rpc) -> dict[str, object]:
    """The method, its messages, and all that these may hold."""
    shapes = _Shapes(rpc)
    request, reply = shapes.message(rpc.new_request().DESCRIPTOR), shapes.message(rpc.reply)
    streams = {"client_streams": rpc.client_streams, "server_streams": rpc.server_streams}
    return {"path": rpc.path, **streams, "request": request, "reply": reply, "messages": shapes.messages, "enums": shapes.enums}


class _Shapes:
    """Each message and enum once, named by its place."""

    def __init__(self, rpc: Rpc) -> None:
        self._pool = rpc.pool
        self._described = rpc.files
        self._places: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self.messages: list[JsonObject] = []
        self.enums: list[JsonObject] = []

    def message(self, descriptor: Descriptor) -> int:
        name = descriptor.full_name
        if name in self._places:
            return self._places[name]
        place = self._places[name] = len(self.messages)
        is_wrapper = descriptor.file.name == "google/protobuf/wrappers.proto"
        kind = "wrapper" if is_wrapper else KINDS.get(name, "usual")
        self.messages.append({"name": name, "kind": kind})
        extensions = self._pool.FindAllExtensions(descriptor) if descriptor.is_extendable else []
        # what has to be there, and extensions, are left to protobuf's own reader of JSON
        plain = not (descriptor.is_extendable or any(field.is_required for field in descriptor.fields))
        self.messages[place] |= {"plain": plain, "fields": [self._field(field) for field in (*descriptor.fields, *extensions)]}
        if kind == "any":
            for file in self._files():
                for one in _all_messages(file.message_types_by_name.values()):
                    self.message(one)
        return place

    def _files(self) -> list[FileDescriptor]:
        """Those that describe the service, and all that these and the messages so far import."""
        waiting = [self._pool.FindFileByName(name) for name in self._described]
        waiting += [self._pool.FindMessageTypeByName(name).file for name in list(self._places)]
        found: dict[str, FileDescriptor] = {}
        while waiting:
            file = waiting.pop()
            if file.name not in found:
                found[file.name] = file
                waiting += file.dependencies
        return list(found.values())

    def _field(self, field: FieldDescriptor) -> JsonObject:
        kind: object = TYPES[field.type]
        is_map = False
        if field.message_type is not None:
            is_map = field.message_type.GetOptions().map_entry
            kind = {kind: self.message(field.message_type)}
        elif field.enum_type is not None:
            kind = {"enum": self._enum(field.enum_type)}
        return {
            "number": field.number,
            "name": f"[{field.full_name}]" if field.is_extension else field.name,
            "json": field.json_name,
            "of": kind,
            "many": "map" if is_map else "list" if field.is_repeated else "one",
            "packed": field.is_packed,
            # an extension is shown where it is there, and else left out
            "presence": field.has_presence or field.is_extension,
            "oneof": field.containing_oneof.index if field.containing_oneof is not None else None,
            "utf8": field.type == FieldDescriptor.TYPE_STRING and _is_utf8(field),
        }

    def _enum(self, descriptor: EnumDescriptor) -> int:
        name = descriptor.full_name
        if name not in self._names:
            self._names[name] = len(self.enums)
            values = [(value.number, value.name) for value in descriptor.values]
            self.enums.append({"null": name == "google.protobuf.NullValue", "closed": descriptor.is_closed, "values": values})
        return self._names[name]


def _all_messages(messages: Iterable[Descriptor]) -> Iterator[Descriptor]:
    for one in messages:
        yield one
        yield from _all_messages(one.nested_types)


def _is_utf8(field: FieldDescriptor) -> bool:
    """Whether a reader refuses a text that is not UTF-8; in proto2 it does not."""
    return bool(field._GetFeatures().utf8_validation == FeatureSet.VERIFY)
