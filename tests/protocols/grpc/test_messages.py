"""Messages and their JSON: the native core compared with protobuf, in one process."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError, EncodeError
from grpc_tools import protoc
from hypothesis import assume, given
from hypothesis import strategies as st

from loadflow.engine.protocols.grpc.rpc import Rpc, described_rpc
from loadflow.engine.protocols.grpc.shape import shape_of
from loadflow.engine.protocols.running.seam import HitFailure
from tests.generator.rules import rules, the_core
from tests.protocols.grpc.grpc_peer import PROTOS


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("zoo") / "set"
    paths = [f"--proto_path={PROTOS}", f"--proto_path={Path(protoc.__file__).with_name('_proto')}"]
    assert protoc.main(["protoc", *paths, "--include_imports", f"--descriptor_set_out={out}", "zoo.proto"]) == 0
    return base64.b64encode(Path(out).read_bytes()).decode()


class Method:
    """One method, its messages to protobuf and to the core."""

    def __init__(self, descriptors: str, method: str) -> None:
        self.core = the_core()
        self.rpc: Rpc = described_rpc(descriptors, "zoo.Zoo", method)
        self.shape = json.dumps(shape_of(self.rpc))

    def by_protobuf(self, data: bytes) -> tuple[bool, str | None]:
        """Whether it is a message, and its JSON."""
        try:
            message = self.rpc.read_reply(data)
        except DecodeError:
            return False, None
        try:
            found = self.rpc.to_json(message)
        except (json_format.Error, DecodeError, TypeError, ValueError):
            return True, None
        return True, json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    def by_core(self, data: bytes) -> tuple[bool, str | None]:
        found: tuple[bool, str | None] = self.core.json_of_message(self.shape, data)
        return found

    def agrees(self, data: bytes) -> None:
        wanted, found = self.by_protobuf(data), self.by_core(data)
        assert found[0] == wanted[0], data
        if wanted[1] is None or found[1] is None:
            assert found[1] == wanted[1], data
            return
        assert json.loads(found[1]) == json.loads(wanted[1])
        if "by_" not in wanted[1] and "free" not in wanted[1] and "anything" not in wanted[1] and "found" not in wanted[1]:
            assert found[1] == wanted[1]  # protobuf's maps have no order


@pytest.fixture(scope="module")
def animals(descriptors: str) -> Method:
    return Method(descriptors, "Visit")


@pytest.fixture(scope="module")
def fossils(descriptors: str) -> Method:
    return Method(descriptors, "Dig")


def whole(bits: int, *, signed: bool = True) -> Any:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = st.integers(low, high) | st.sampled_from([low, high, 0])
    return values | values.map(str)


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
COLOURS = st.sampled_from(["NONE", "RED", "BLUE", 0, 1, -3, 77])
BYTES = st.binary(max_size=6).map(lambda data: base64.b64encode(data).decode())
ANY_JSON = st.recursive(
    st.none() | st.booleans() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TIMES = st.datetimes().map(lambda time: time.isoformat() + "Z")
FIELDS: dict[str, Any] = {
    "a_double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    "aFloat": FLOATS,
    "an_int32": whole(32),
    "anInt64": whole(64),
    "a_uint32": whole(32, signed=False),
    "a_uint64": whole(64, signed=False),
    "a_sint32": whole(32),
    "a_sint64": whole(64),
    "a_fixed32": whole(32, signed=False),
    "a_fixed64": whole(64, signed=False),
    "a_sfixed32": whole(32),
    "a_sfixed64": whole(64),
    "a_bool": st.booleans(),
    "a_string": TEXT,
    "some_bytes": BYTES,
    "a_colour": COLOURS,
    "maybe_int": whole(32) | st.none(),
    "maybe_text": TEXT | st.just(""),
    "numbers": st.lists(whole(32), max_size=3),
    "zigzags": st.lists(whole(64), max_size=3),
    "doubles": st.lists(FLOATS, max_size=3),
    "texts": st.lists(TEXT, max_size=3),
    "colours": st.lists(COLOURS, max_size=3),
    "unpacked": st.lists(whole(32, signed=False), max_size=3),
    "by_text": st.dictionaries(TEXT, whole(32), max_size=3),
    "by_flag": st.dictionaries(st.sampled_from(["true", "false"]), COLOURS, max_size=2),
}
SPECIAL: dict[str, Any] = {
    "when": TIMES,
    "how_long": st.integers(-10_000, 10_000).map(lambda ms: f"{ms / 1000:.3f}s"),
    "mask": st.sampled_from(["", "a,fooBar", "x"]),
    "free": st.dictionaries(TEXT, ANY_JSON, max_size=3),
    "anything": ANY_JSON,
    "list": st.lists(ANY_JSON, max_size=3),
    "wrapped": whole(64),
    "wrapped_text": TEXT,
    "nothing": st.none(),
    "any": st.builds(lambda name: {"@type": "type.googleapis.com/old.Fossil", "name": name}, TEXT)
    | st.builds(lambda number: {"@type": "x/google.protobuf.Int64Value", "value": number}, whole(64)),
    "fossil": st.builds(lambda name: {"name": name, "age": "OLD", "[old.museum]": "London"}, TEXT),
}
ONE_OF = [{"one_text": ""}, {"one_number": 5}, {"one_animal": {"a_bool": True}}, {"one_colour": "NONE"}, {}]


def animals_of(fields: dict[str, Any]) -> Any:
    plain = st.builds(lambda found, either: found | either, st.fixed_dictionaries({}, optional=fields), st.sampled_from(ONE_OF))
    within = st.fixed_dictionaries(
        {},
        optional={
            "friends": st.lists(plain, max_size=2),
            "a_friend": plain,
            "by_number": st.dictionaries(whole(64).map(str), plain, max_size=2),
        },
    )
    return st.builds(lambda one, more: one | more, plain, within)


@rules
@given(animals_of({**FIELDS, **SPECIAL}))
def test_what_a_message_says_as_json(animals: Method, animal: dict[str, Any]) -> None:
    try:
        data = animals.rpc.request_bytes(animal)
    except HitFailure:
        assume(False)
    animals.agrees(data)


@rules
@given(animals_of({**FIELDS, "a_double": FLOATS, "aFloat": FLOATS}))
def test_usual_json_is_the_message_that_protobuf_makes_of_it(animals: Method, animal: dict[str, Any]) -> None:
    made = animals.core.message_of_json(animals.shape, json.dumps(animal))
    assume(made is not None)
    wanted = animals.rpc.request_bytes(animal)
    assert animals.rpc.new_request().FromString(made) == animals.rpc.new_request().FromString(wanted)
    assert len(made) == len(wanted)


@rules
@given(st.dictionaries(st.sampled_from([*FIELDS, *SPECIAL, "one_text", "other", "one_number"]), ANY_JSON | whole(64), max_size=4))
def test_json_that_protobuf_refuses_is_never_made_into_a_message(animals: Method, animal: dict[str, Any]) -> None:
    made = animals.core.message_of_json(animals.shape, json.dumps(animal))
    if made is not None:
        wanted = animals.rpc.request_bytes(animal)
        assert animals.rpc.new_request().FromString(made) == animals.rpc.new_request().FromString(wanted)


def mutated(data: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, more in cuts:
        at %= len(data) + 1
        data = data[:at] + more + data[at + length :]
    return data


CUTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3), st.binary(max_size=3)), max_size=3)


@rules
@given(animals_of({**FIELDS, **SPECIAL}), CUTS)
def test_broken_bytes_are_a_message_to_both_or_to_none(animals: Method, animal: dict[str, Any], cuts: list[Any]) -> None:
    try:
        data = animals.rpc.request_bytes(animal)
    except HitFailure:
        assume(False)
    animals.agrees(mutated(data, cuts))


FOSSILS = st.recursive(
    st.fixed_dictionaries(
        {"name": TEXT},
        optional={
            "bones": whole(32),
            "age": st.sampled_from(["OLD", "YOUNG"]),
            "ages": st.lists(st.sampled_from(["OLD", 2]), max_size=3),
            "layer": st.lists(st.fixed_dictionaries({}, optional={"depth": whole(32)}), max_size=2),
            "found": st.dictionaries(TEXT, st.sampled_from(["CALM", "WILD"]), max_size=2),
            "[old.museum]": TEXT,
            "[old.rooms]": st.lists(whole(32), max_size=2),
        },
    ),
    lambda inner: st.builds(lambda one, more: one | {"inner": more}, inner, inner),
    max_leaves=3,
)


@rules
@given(FOSSILS, CUTS)
def test_messages_of_proto2(fossils: Method, fossil: dict[str, Any], cuts: list[Any]) -> None:
    try:
        data = fossils.rpc.request_bytes(fossil)
    except HitFailure:
        assume(False)
    fossils.agrees(data)
    assert fossils.core.message_of_json(fossils.shape, json.dumps(fossil)) is None  # what must be there, protobuf looks after
    broken = mutated(data, cuts)
    try:
        broken.decode()
    except UnicodeDecodeError:
        return  # text of proto2 need not be UTF-8, and JSON has no word for that
    fossils.agrees(broken)


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (b"\x18\x00" * 5, True),
        (b"\x22\x00", True),  # another kind than the field's: not known
        (b"\x1a\x03\x01\x02\x03", True),
        (b"\x92\x02\x00" * 3, True),
        (b"\x00\x00", False),  # no field has the number 0
        (b"\x1c", False),  # the end of a group that has not begun
        (b"\x1b\x1c", True),
        (b"\x1b\x24", False),
        (b"\x1f\x00", False),
        (b"\x18" + b"\xff" * 9 + b"\x01", True),
        (b"\x18" + b"\xff" * 9 + b"\x02", True),
        (b"\x18" + b"\x80" * 10 + b"\x00", False),
        (b"\xf8\xff\xff\xff\x0f\x00", True),
        (b"\xf8\xff\xff\xff\x1f\x00", False),
        (b"\x72\x01\xff", False),  # not UTF-8
        (b"\x7a\x01\xff", True),
        (b"\x08\x01", True),
        (b"\x82\x02\x02\x08\x01", False),
        (b"\x92\x02\x03\x01\x80\x01", True),
        (b"\x92\x02\x02\x01\x80", False),
    ],
)
def test_bytes_at_the_edge_of_a_message(animals: Method, data: bytes, is_one: bool) -> None:
    assert animals.by_core(data)[0] is is_one
    animals.agrees(data)


@pytest.mark.parametrize("levels", [98, 99, 100, 101, 102])
@pytest.mark.parametrize("kind", ["message", "group"])
def test_messages_within_messages_have_a_limit(animals: Method, levels: int, kind: str) -> None:
    data = b""
    for _ in range(levels):
        if kind == "group":
            data = b"\x03" + data + b"\x04"
        else:
            length = len(data)
            data = b"\xc2\x02" + bytes([length & 0x7F | 0x80, length >> 7] if length > 127 else [length]) + data
    animals.agrees(data)


def test_a_request_that_lacks_what_proto2_wants_is_refused_by_protobuf(fossils: Method) -> None:
    with pytest.raises(HitFailure, match="can't be sent"):
        fossils.rpc.request_bytes({})
    with pytest.raises(EncodeError):
        fossils.rpc.new_request().SerializeToString()
