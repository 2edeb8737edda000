"""What a server may do to a client below HTTP: in the place of a TLS handshake, within one, and behind it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loadflow.engine.hostile.answer import HostileAnswer
from loadflow.engine.hostile.http_answers import SAYS_HI, SHORT, repeated, sent
from loadflow.engine.records.outcome import Outcome

if TYPE_CHECKING:
    from loadflow.engine.hostile.tls_records import Records

__all__ = ["BELOW", "FLOODS", "TLS_ANSWERS", "TlsAnswer", "without_end"]

HANDSHAKE, ALERT, CONTENT = 22, 21, 23
BLOCK = 500  # records that are made in one go
MANY = 2_000  # certificates: some 700 kB
UNENCRYPTED = b"\x03\x03"


@dataclass(frozen=True, slots=True)
class TlsAnswer(HostileAnswer):
    """`shakes`: whether there is a handshake; else `begin` and `again` stand in its place. `certificates` are shown in it.

    `records` makes what comes behind it, in encrypted records.
    """

    shakes: Literal["no", "slowly", "yes"] = "no"
    certificates: int = 1
    records: Callable[[Records], Iterator[bytes]] | None = None


def plain(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + UNENCRYPTED + struct.pack("!H", len(data)) + data


def no_handshake(name: str, begin: bytes = b"", again: bytes = b"") -> TlsAnswer:
    return TlsAnswer(name, Outcome.TLS, sent(begin), again)


def without_end(records: Callable[[Records], bytes], first: bytes = b"") -> Callable[[Records], Iterator[bytes]]:
    """`first` is content that comes before them."""

    def made(records_of: Records) -> Iterator[bytes]:
        if first:
            yield records_of.record(CONTENT, first)
        while True:
            yield b"".join(records(records_of) for _ in range(BLOCK))

    return made


def behind(name: str, records: Callable[[Records], bytes]) -> TlsAnswer:
    return TlsAnswer(name, Outcome.TLS, shakes="yes", records=without_end(records))


def tickets(size: int) -> Callable[[Records], bytes]:
    def made(records: Records) -> bytes:
        from loadflow.engine.hostile.tls_records import ticket

        return records.record(HANDSHAKE, ticket(size))

    return made


def hello(records: Records) -> Iterator[bytes]:
    yield records.record(CONTENT, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def half(records: Records) -> Iterator[bytes]:
    yield records.record(CONTENT, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")


def new_keys(records: Records) -> bytes:
    return records.new_keys(asks=False)


def new_keys_both(records: Records) -> bytes:
    return records.new_keys(asks=True)


def nothing(records: Records) -> bytes:
    return records.record(CONTENT, b"")


# to a client of any protocol
BELOW = [
    no_handshake("TLS: bytes without end that are none", again=repeated(b"\0")),
    no_handshake("TLS: HTTP in its place", b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),
    no_handshake("TLS: empty handshake records without end", again=repeated(plain(HANDSHAKE, b""))),
    no_handshake("TLS: changes of the cipher without end", again=repeated(plain(20, b"\1"))),
    no_handshake("TLS: warnings without end", again=repeated(plain(ALERT, b"\1\x5a"))),
    no_handshake("TLS: a greeting of 16 MB", plain(HANDSHAKE, b"\2\xff\xff\xff"), repeated(plain(HANDSHAKE, b"x" * 16_384))),
    no_handshake("TLS: pieces of a greeting of 16 MB", plain(HANDSHAKE, b"\2\xff\xff\xff"), repeated(plain(HANDSHAKE, b"x"))),
    TlsAnswer("TLS: closed in the handshake", Outcome.TLS, bytes, then="cut"),
    TlsAnswer("TLS: silence", Outcome.TIMEOUT, bytes, then="wait", step=SHORT),
    TlsAnswer("TLS: a handshake byte by byte", Outcome.TIMEOUT, step=SHORT, shakes="slowly"),
    TlsAnswer("TLS: 2,000 certificates", Outcome.TLS, shakes="yes", certificates=MANY),
    behind("TLS: tickets without end", tickets(1)),
    behind("TLS: large tickets without end", tickets(16_000)),
    behind("TLS: new keys without end", new_keys),
    behind("TLS: new keys without end, and they are asked for", new_keys_both),
    behind("TLS: empty records without end", nothing),
    behind("TLS: warnings without end behind the handshake", lambda records: records.record(ALERT, b"\1\x5a")),
]
TLS_ANSWERS = [
    *BELOW,
    TlsAnswer("TLS: closed within the body", Outcome.CLOSED, then="cut", shakes="yes", records=half),
    TlsAnswer("TLS: and the next answer is read right", Outcome.OK, step=SAYS_HI, shakes="yes", records=hello),
]

FLOODS = {"tickets": tickets(1), "new keys": new_keys, "new keys that are asked for": new_keys_both, "empty records": nothing}
