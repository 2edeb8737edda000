"""What peers of WebSocket, MQTT, TCP and UDP may do to a client."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from loadflow.engine.hostile.answer import MAX_BODY_BYTES, HostileAnswer, over_tls
from loadflow.engine.hostile.http_answers import repeated, sent
from loadflow.engine.hostile.tls_answers import FLOODS, TlsAnswer, without_end
from loadflow.engine.records.outcome import Outcome

__all__ = ["MQTT_ANSWERS", "MQTT_TLS_ANSWERS", "MQTT_TLS_FLOODS", "TCP_ANSWERS", "UDP_ANSWERS", "WEBSOCKET_ANSWERS"]

WAIT_S = 0.5  # of what ends by time
LONG_S = 20.0  # of what ends by what is wrong with it
TEXT, BINARY, CONTINUED, PING, CLOSE = 1, 2, 0, 9, 8


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, compressed: bool = False) -> bytes:
    """RFC 6455 section 5.2, as a server sends it."""
    head = bytes([(0x80 if fin else 0) | (0x40 if compressed else 0) | opcode])
    size = len(data)
    if size < 126:
        return head + bytes([size]) + data
    return head + (bytes([126]) + struct.pack("!H", size) if size < 65_536 else bytes([127]) + struct.pack("!Q", size)) + data


def deflated(data: bytes) -> bytes:
    """RFC 7692 section 7.2.1."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def limit_s(outcome: Outcome) -> float:
    return WAIT_S if outcome is Outcome.TIMEOUT else LONG_S


def pushed(name: str, outcome: Outcome, begin: Callable[[], bytes] = bytes, again: bytes = b"", **step: object) -> HostileAnswer:
    """A receive step, and its connection is closed behind it."""
    asks = {"method": "recv", "timeout": limit_s(outcome), **step}
    return HostileAnswer(name, outcome, begin, again, step=asks, after=[{"method": "close", "timeout": WAIT_S}])


A_IS_1 = [{"type": "json_path", "path": "a", "value": 1}]
BEGUN = frame(TEXT, b"a", fin=False)
DEEP = frame(TEXT, b"[" * 100_000)
WEBSOCKET_ANSWERS = [
    pushed("messages without pause", Outcome.OK, again=repeated(frame(TEXT, b"hi"))),
    pushed("messages without pause, and no pong", Outcome.TIMEOUT, again=repeated(frame(TEXT, b"hi")), method="ping"),
    pushed("empty messages without pause, and no pong", Outcome.TIMEOUT, again=repeated(frame(TEXT)), method="ping"),
    pushed("empty fragments without pause", Outcome.PROTOCOL, sent(BEGUN), repeated(frame(CONTINUED, fin=False))),
    pushed(
        "fragments of a byte without pause",
        Outcome.PROTOCOL,
        sent(frame(TEXT, b"a", fin=False)),
        repeated(frame(CONTINUED, b"a", fin=False)),
    ),
    pushed("pings without pause", Outcome.PROTOCOL, again=repeated(frame(PING, b"x" * 100))),
    pushed("pongs without pause", Outcome.PROTOCOL, again=repeated(frame(10))),
    pushed("a frame of 2^62 bytes", Outcome.TOO_LARGE, sent(b"\x82\x7f" + struct.pack("!Q", 2**62)), repeated(b"x")),
    pushed("a deflate bomb", Outcome.TOO_LARGE, lambda: frame(TEXT, deflated(bytes(100_000_000)), compressed=True), compression=True),
    pushed("frames that are none", Outcome.PROTOCOL, again=repeated(b"\xff")),
    pushed("text that is not UTF-8", Outcome.PROTOCOL, sent(frame(TEXT, b"\xff" * 100_000))),
    pushed("JSON of 100,000 levels", Outcome.ASSERTION, sent(DEEP), assertions=A_IS_1),
    pushed(
        "JSON of many lists",
        Outcome.TOO_LARGE,
        lambda: frame(TEXT, b"[" + b"[]," * 1_200_000 + b"1]"),
        assertions=A_IS_1,
    ),
    pushed("and the next message is read right", Outcome.OK, sent(frame(TEXT, b"hi")), expect="hi"),
]


def asked(name: str, outcome: Outcome, begin: Callable[[], bytes] = bytes, again: bytes = b"", **step: object) -> HostileAnswer:
    return HostileAnswer(
        name,
        outcome,
        begin,
        again,
        step={"protocol": "tcp", "payload": "hello", "timeout": limit_s(outcome), **step},
    )


TCP_ANSWERS = [
    asked("a stream without the text", Outcome.TOO_LARGE, again=repeated(b"x"), expect_substring="never there"),
    asked("a line without end", Outcome.TOO_LARGE, again=repeated(b"x"), framing={"delimiter": "\n"}),
    asked("a length of 4 GB", Outcome.TOO_LARGE, sent(b"\xff" * 4), repeated(b"x"), framing={"length_bytes": 4}),
    asked("lines without pause", Outcome.OK, again=repeated(b"x\n"), framing={"delimiter": "\n"}, keep=True),
    asked("lines without pause, on the kept connection", Outcome.OK, again=repeated(b"x\n"), framing={"delimiter": "\n"}, keep=True),
    HostileAnswer(
        "a line byte by byte",
        Outcome.TIMEOUT,
        sent(b"x" * 9_000),
        then="trickle",
        step={"protocol": "tcp", "payload": "hello", "timeout": WAIT_S, "framing": {"delimiter": "\n"}},
    ),
    asked("and the next message is read right", Outcome.OK, sent(b"hi\n"), framing={"delimiter": "\n"}),
]
UDP_ANSWERS = [
    asked("datagrams without pause", Outcome.TIMEOUT, again=b"x" * 100, protocol="udp", expect_substring="never there"),
    asked("empty datagrams without pause", Outcome.TIMEOUT, again=b"", protocol="udp", expect_substring="never there"),
]


def packet(kind: int, data: bytes, length: int | None = None) -> bytes:
    """MQTT 3.1.1 section 2.2. `length`: what it says that follows."""
    left, size = len(data) if length is None else length, b""
    while True:
        left, digit = divmod(left, 128)
        size += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + size + data


def varying(number: int) -> bytes:
    return packet(0, b"", number)[1:]


PUBLISH = packet(0x30, b"\x00\x01thi")
PUBLISH_5 = packet(0x30, b"\x00\x01t\x00hi")
PROPERTIES = b"\x26\x00\x00\x00\x00" * 400_000


def received(name: str, outcome: Outcome, begin: Callable[[], bytes] = bytes, again: bytes = b"", **step: object) -> HostileAnswer:
    version = step.pop("version", "3.1.1")
    link = {"method": "connect", "version": version, "timeout": 5}
    return HostileAnswer(
        name,
        outcome,
        begin,
        again,
        step={"method": "receive", "timeout": limit_s(outcome), **step},
        before=[link],
    )


MQTT_ANSWERS = [
    received("messages without pause", Outcome.OK, sent(PUBLISH), repeated(PUBLISH)),
    received("messages without pause, of another topic", Outcome.TOO_LARGE, again=repeated(PUBLISH), topic="never"),
    received("answers to pings without pause", Outcome.TIMEOUT, again=repeated(packet(0xD0, b""))),
    received(
        "2 MB of properties", Outcome.PROTOCOL, lambda: packet(0x30, b"\x00\x01t" + varying(len(PROPERTIES)) + PROPERTIES), version="5"
    ),
    received("a message of 256 MB", Outcome.TOO_LARGE, sent(packet(0x30, b"\x00\x01t", 268_435_455)), repeated(b"x")),
    received(
        "messages of QoS 2 that are never released", Outcome.PROTOCOL, lambda: b"".join(_qos_2(n) for n in range(1, 5_000)), timeout=5
    ),
    received("a length that has no end", Outcome.PROTOCOL, sent(b"\x30" + b"\xff" * 1_000)),
    received("acknowledgements without end", Outcome.TIMEOUT, again=repeated(packet(0x40, b"\0\1"))),
    received("packets that are none", Outcome.PROTOCOL, again=repeated(b"\x00")),
    received("and the next message is read right", Outcome.OK, sent(PUBLISH), expect="hi"),
]


OVER_TLS = (
    "messages without pause",
    "answers to pings without pause",
    "a message of 256 MB",
    "packets that are none",
    "and the next message is read right",
)
MQTT_TLS_ANSWERS = over_tls(MQTT_ANSWERS, OVER_TLS)
CONNACK = packet(0x20, b"\0\0")
MQTT_TLS_FLOODS = [
    TlsAnswer(
        f"TLS: {words} without end behind CONNACK",
        Outcome.TLS,
        shakes="yes",
        records=without_end(flood, CONNACK),
        step={"method": "receive", "timeout": LONG_S},
        before=[{"method": "connect", "timeout": 5}],
    )
    for words, flood in FLOODS.items()
]


def _qos_2(number: int) -> bytes:
    return packet(0x34, b"\x00\x01t" + struct.pack("!H", number) + b"x" * 100)


assert len(PROPERTIES) < MAX_BODY_BYTES
