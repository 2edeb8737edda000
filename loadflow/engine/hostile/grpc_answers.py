"""What a gRPC server may do to a client; https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md."""

from __future__ import annotations

import struct
from dataclasses import replace

from loadflow.engine.hostile.answer import HostileAnswer, over_tls
from loadflow.engine.hostile.deflating import gzip_of_zeros
from loadflow.engine.hostile.http2_answers import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAMES,
    GOAWAY,
    HEADERS,
    LONGEST,
    OK,
    RST_STREAM,
    STREAM,
    Make,
    bomb,
    fields,
    flood,
    frame,
    head,
    long_head,
)
from loadflow.engine.hostile.http_answers import SHORT, sent
from loadflow.engine.hostile.tls_answers import BELOW
from loadflow.engine.records.outcome import Outcome

__all__ = ["GRPC_ANSWERS", "GRPC_BELOW", "GRPC_CORE_ANSWERS", "GRPC_CORE_TLS_ANSWERS", "GRPC_TLS_ANSWERS", "PROTO"]

PROTO = """syntax = "proto3";
package hostile;
message Some { bytes data = 1; repeated Some more = 2; }
service Peer { rpc One(Some) returns (Some); rpc Many(Some) returns (stream Some); }
"""
ONE, MANY = "hostile.Peer/One", "hostile.Peer/Many"
TYPE = (b"content-type", b"application/grpc")
GZIP = (b"grpc-encoding", b"gzip")
BEGUN = head(TYPE)
DONE = frame(HEADERS, END_HEADERS | END_STREAM, STREAM, fields((b"grpc-status", b"0")))
MANY_STEP = {"method": MANY}


def message(data: bytes, packed: int = 0, length: int | None = None) -> bytes:
    return struct.pack("!BI", packed, len(data) if length is None else length) + data


def in_frames(data: bytes) -> bytes:
    return b"".join(frame(DATA, 0, STREAM, data[at : at + LONGEST]) for at in range(0, len(data), LONGEST))


def packed(megabytes: int) -> Make:
    return lambda: head(TYPE, GZIP) + in_frames(message(gzip_of_zeros(megabytes), 1)) + DONE


def ended(*pairs: tuple[bytes, bytes]) -> bytes:
    return long_head(OK + fields(TYPE, *pairs), END_STREAM)


def asked(name: str, outcome: Outcome, data: bytes, **step: object) -> HostileAnswer:
    return HostileAnswer(name, outcome, sent(data), step=step)


MESSAGES = [
    HostileAnswer("a message of 100 MB in 100 kB", Outcome.TOO_LARGE, packed(100)),
    HostileAnswer("a message of 4 GB in 4 MB", Outcome.TOO_LARGE, packed(4_000)),
    asked("a length of 4 GB", Outcome.TOO_LARGE, BEGUN + in_frames(message(b"x" * 100_000, 0, 2**32 - 1))),
    flood("a message without end", Outcome.TOO_LARGE, in_frames(b"x" * LONGEST), BEGUN + in_frames(message(b"", 0, 2**32 - 1))),
    asked("a message in gzip that is none", Outcome.STATUS, head(TYPE, GZIP) + in_frames(message(b"hi", 1)) + DONE),
    asked("a message that is not a message", Outcome.PROTOCOL, BEGUN + in_frames(message(b"\xff" * 1_000)) + DONE),
    asked("levels of messages", Outcome.PROTOCOL, BEGUN + in_frames(message(b"\x12\xff\xff\x03" * 20_000)) + DONE),
    asked("a message that ends early", Outcome.PROTOCOL, BEGUN + in_frames(message(b"hi", 0, 9)) + DONE),
    asked("100,000 messages", Outcome.TOO_LARGE, BEGUN + in_frames(message(b"\x0a\x02hi") * 100_000), **MANY_STEP),
    asked("100,000 empty messages", Outcome.TOO_LARGE, BEGUN + in_frames(message(b"") * 100_000), **MANY_STEP),
]

HEADS = [
    asked("a text of 200 kB", Outcome.STATUS, ended((b"grpc-status", b"13"), (b"grpc-message", b"x" * 200_000))),
    asked("a text of 7 kB", Outcome.STATUS, ended((b"grpc-status", b"13"), (b"grpc-message", b"%E2%82%AC" * 800))),
    asked("a status that nobody knows", Outcome.STATUS, ended((b"grpc-status", b"99"))),
    asked("a status that is none", Outcome.STATUS, ended((b"grpc-status", b"x" * 100))),
    asked("no status", Outcome.STATUS, ended()),
    asked("a status, and no message", Outcome.PROTOCOL, ended((b"grpc-status", b"0"))),
    asked("HTML", Outcome.STATUS, head((b"content-type", b"text/html")) + frame(DATA, END_STREAM, STREAM, b"<html>")),
    flood(
        "header fields without end",
        Outcome.PROTOCOL,
        frame(CONTINUATION, 0, STREAM, fields((b"x-a", b"1"))),
        frame(HEADERS, 0, STREAM, OK),
    ),
    HostileAnswer("a header bomb", Outcome.PROTOCOL, bomb(16_000)),
    flood(
        "trailers without end",
        Outcome.PROTOCOL,
        frame(CONTINUATION, 0, STREAM, fields((b"x-t", b"1"))),
        BEGUN + in_frames(message(b"")) + frame(HEADERS, END_STREAM, STREAM),
    ),
]

# nothing in these ends a call, and nobody but gRPC's library sees them: three calls in a row that meet their deadline close the channel
FLOOD = {"timeout": 0.2, "retry": {"transient": 2, "base_delay": 0.001}}
UNENDING = (
    "SETTINGS without end",
    "PING without end",
    "GOAWAY without end",
    "frames of a kind that nobody knows",
    "windows that open without end",
    "resets of a stream that nobody opened",
)
FATAL = ("acknowledgements that nobody waits for", "bytes that are no frames")
CONNECTIONS = [
    flood("GOAWAY to every call", Outcome.CLOSED, frame(GOAWAY, 0, 0, struct.pack("!II", 0, 11))),
    flood("resets without end", Outcome.CLOSED, frame(RST_STREAM, 0, STREAM, struct.pack("!I", 8))),
    *(HostileAnswer(one.name, Outcome.TIMEOUT, one.begin, one.again, step=FLOOD) for one in FRAMES if one.name in UNENDING),
    *(one for one in FRAMES if one.name in FATAL),
    HostileAnswer("silence", Outcome.TIMEOUT, bytes, then="wait", step=SHORT),
    HostileAnswer("a byte at a time", Outcome.TIMEOUT, sent(BEGUN + in_frames(message(b"x" * 9_000))), then="trickle", step=SHORT),
    HostileAnswer("and the next answer is read right", Outcome.OK, sent(BEGUN + in_frames(message(b"")) + DONE)),
]

GRPC_ANSWERS = [*MESSAGES, *HEADS, *CONNECTIONS]

OVER_TLS = (
    "a message of 4 GB in 4 MB",
    "a message without end",
    "header fields without end",
    "SETTINGS without end",
    "bytes that are no frames",
    "and the next answer is read right",
)
GRPC_TLS_ANSWERS = over_tls(GRPC_ANSWERS, OVER_TLS)

# what the native core sees of these floods, it calls by its name
GRPC_CORE_ANSWERS, GRPC_CORE_TLS_ANSWERS = (
    [replace(one, outcome=Outcome.PROTOCOL, step={}) if one.name.removeprefix("TLS: ") in UNENDING else one for one in answers]
    for answers in (GRPC_ANSWERS, GRPC_TLS_ANSWERS)
)

# BoringSSL refuses the other floods by itself, and takes tickets, of which gRPC's library sees nothing
TAKEN = ("TLS: tickets without end", "TLS: large tickets without end")
GRPC_BELOW = [replace(one, outcome=Outcome.TIMEOUT, step=FLOOD) if one.name in TAKEN else one for one in BELOW]
