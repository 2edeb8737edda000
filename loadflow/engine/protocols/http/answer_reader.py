"""Reads one HTTP/1 answer from whatever pieces the network gives (RFC 9112); `native/src/http/reading.rs` says the same for the core.

`http_user` reads all of its answers so. `fast_http_user` reads with geventhttpclient's parser, which is faster, and asks here where
that one finds a fault: some of what it refuses the RFC allows (folded fields, blanks behind the size of a chunk).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from loadflow.engine.base.values import shown
from loadflow.engine.protocols.running.endless import refuse_endless
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["MAX_HEAD_BYTES", "AnswerReader", "codings_in", "phrase_of"]

MAX_HEAD_BYTES = 256 * 1024
MOST_CHUNK_LINE_BYTES = 16 * 1024
MOST_TRAILER_BYTES = 256 * 1024

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
LENGTH = re.compile(r"[0-9]{1,18}")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?")  # section 7.1.1, and blanks that some servers put behind the size
NO_CHUNK = "an invalid chunk"  # in the words of the core, as all that this module says
NO_TRAILER = "a trailer that is not a header field"
# what such lines may begin with
PART_OF_SIZE = re.compile(rb"(?:[0-9A-Fa-f]{1,15}[ \t]*(?:;[^\n]*|\r)?)?", re.DOTALL)
PART_OF_FIELD = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?::[\t\x20-\x7e\x80-\xff]*\r?)?|\r)?")

Fields = Sequence[tuple[str, str]]


def codings_in(fields: Fields, name: str) -> list[str]:
    """The codings that all fields of a name list, in the order in which they were applied (RFC 9110 sections 5.3 and 8.4)."""
    listed = (one for key, value in fields if key.lower() == name for one in value.split(","))
    return [coding for one in listed if (coding := one.strip(" \t").lower())]


def phrase_of(reason: str) -> str:
    """The phrase of a status line; one that is not ASCII has no known charset, and is left out."""
    return reason if reason.isascii() else ""


class AnswerReader:
    """`feed` takes blocks until it says that the answer is whole; after that, or after a HitFailure, no more may be given.

    Of a body up to `most_bytes` are kept; `is_too_large`: it had more. `keeps`: the connection can be used for another request.
    """

    def __init__(self, method: str, most_bytes: int) -> None:
        self.status = 0
        self.reason = ""
        self.fields: list[tuple[str, str]] = []
        self.body = bytearray()
        self.keeps = True
        self.is_too_large = False
        self._is_head = method == "HEAD"
        self._most_bytes = most_bytes
        self._received = 0
        self._held = bytearray()  # bytes that are not read yet
        self._left = 0
        self._trailer_bytes = 0
        self._read: Callable[[], bool] | None = self._head  # gives whether it could do something; None: the answer is whole

    @property
    def behind(self) -> bytes:
        """What came behind a whole answer."""
        return bytes(self._held)

    def feed(self, block: bytes) -> bool:
        """Whether the answer is complete, or larger than what is kept. Raises HitFailure if it is not an answer."""
        self._held += block
        self._received += len(block)
        while self._read is not None and not self.is_too_large and self._read():
            pass
        if self._read is None and self._held.strip(b"\r\n"):
            self.keeps = False  # bytes that belong to no request; empty lines are skipped, as before an answer
        if self._read is not None and not self.is_too_large:
            refuse_endless(self._received, len(self.body))
            return False
        return True

    def ended(self) -> None:
        """The peer has closed the connection. Raises HitFailure where the answer is not whole."""
        self.keeps = False
        if self._read is None or self._read == self._until_close:
            return
        what = "the body was whole" if self._read != self._head else "the header fields were whole" if self._held else "an answer"
        raise HitFailure(Outcome.CLOSED, f"the connection was closed before {what}")

    def _head(self) -> bool:
        start = 0
        while self._held.startswith(b"\r\n", start):  # as a server does before a request (section 2.2)
            start += 2
        end = self._held.find(b"\r\n\r\n", start)
        self._check_begin(start, len(self._held) if end < 0 else end + 4)
        if end < 0:
            return False
        text = bytes(self._held[start:end])
        del self._held[: end + 4]
        status_line, *lines = _unfolded(text)
        if text[len(text.partition(b"\r\n")[0]) + 2 :][:1] in (b" ", b"\t"):
            raise _broken("a header field without a name")
        match = STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise _broken(f"no status line: {shown(status_line[:80].decode('latin-1'))}")
        self.fields = [self._field(line) for line in lines]
        self.status, self.reason = int(match[2]), phrase_of((match[3] or b"").decode("latin-1"))
        self._frame(http_1_0=match[1] == b"0")
        return True

    def _check_begin(self, start: int, end: int) -> None:
        """What can be said of a head that may not be whole: it begins as one, its lines end with CRLF, it has bounds."""
        begin = b"HTTP/1."
        held = self._held
        if held[start : start + len(begin)] != begin[: max(0, end - start)] and held[start:end] != b"\r":
            raise _broken(f"no HTTP answer: {shown(held[start : start + 40].decode('utf-8', 'replace'))}")
        at = held.find(b"\n", start, end)
        while at >= 0:
            if at == 0 or held[at - 1] != 13:
                raise _broken("a line of the head ends without CR")
            at = held.find(b"\n", at + 1, end)
        if end > MAX_HEAD_BYTES:
            raise _broken(f"over {MAX_HEAD_BYTES:,} bytes of header fields")

    @staticmethod
    def _field(line: bytes) -> tuple[str, str]:
        match = FIELD.fullmatch(line)
        if match is None:
            raise _broken(f"no header field: {shown(line[:80].decode('latin-1'))}")
        return match[1].decode(), match[2].strip(b" \t").decode("latin-1")

    def _frame(self, *, http_1_0: bool) -> None:
        """How long the body is (section 6.3), and whether the connection lives on."""
        given = [one.strip(" \t") for key, value in self.fields if key.lower() == "content-length" for one in value.split(",")]
        lengths: set[int] = set()
        for one in given:
            if not LENGTH.fullmatch(one):
                raise _broken("an invalid Content-Length")
            lengths.add(int(one))
            if len(lengths) > 1:
                raise _broken("more than one Content-Length")
        codings = codings_in(self.fields, "transfer-encoding")
        if lengths and codings:
            raise _broken("both Content-Length and Transfer-Encoding")
        if codings.count("chunked") > 1:
            raise _broken("chunks within chunks")
        if self.status == 101:
            raise _broken("an unexpected 101 Switching Protocols")
        if self.status < 100:
            raise _broken(f"status {self.status}")
        if self.status < 200:
            return  # another head follows
        options = codings_in(self.fields, "connection")
        self.keeps = "close" not in options and (not http_1_0 or ("keep-alive" in options and not codings))
        if self._is_head or self.status in (204, 304):
            self._read = None
        elif codings and codings[-1] == "chunked":
            self._read = self._chunk
        elif codings or not lengths:
            self.keeps = False
            self._read = self._until_close
        else:
            self._left = lengths.pop()
            self._read = self._counted if self._left else None

    def _counted(self) -> bool:
        taken = min(self._left, len(self._held))
        self._take(taken)
        self._left -= taken
        if self._left == 0:
            self._read = None
        return False

    def _until_close(self) -> bool:
        self._take(len(self._held))
        return False

    def _take(self, count: int) -> None:
        if len(self.body) + count > self._most_bytes:
            self.is_too_large = True
            self.keeps = False
            return
        self.body += self._held[:count]
        del self._held[:count]

    def _chunk(self) -> bool:
        line = self._line(PART_OF_SIZE, MOST_CHUNK_LINE_BYTES, NO_CHUNK, NO_CHUNK)
        if line is None:
            return False
        match = CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise _broken(NO_CHUNK)
        self._left = int(match[1], 16)
        self._read = self._chunk_data if self._left else self._trailer
        return True

    def _chunk_data(self) -> bool:
        taken = min(self._left, len(self._held))
        self._take(taken)
        self._left -= taken
        if self._left > 0 or self.is_too_large:
            return False
        self._read = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        if not b"\r\n".startswith(self._held[:2]):
            raise _broken(NO_CHUNK)
        if len(self._held) < 2:
            return False
        del self._held[:2]
        self._read = self._chunk
        return True

    def _trailer(self) -> bool:
        too_long = f"over {MOST_TRAILER_BYTES:,} bytes of trailers"
        line = self._line(PART_OF_FIELD, MOST_TRAILER_BYTES - self._trailer_bytes, NO_TRAILER, too_long)
        if line is None:
            return False
        self._trailer_bytes += len(line) + 2
        if line and FIELD.fullmatch(line) is None:
            raise _broken(NO_TRAILER)
        if not line:
            self._read = None
        return True

    def _line(self, begin: re.Pattern[bytes], most_bytes: int, wrong: str, too_long: str) -> bytes | None:
        """The next line without its end; None: it is not whole, and has begun well. `wrong` and `too_long` are said where it has not."""
        at = self._held.find(b"\n", 0, most_bytes + 1)
        if at < 0:
            if len(self._held) > most_bytes:
                raise _broken(too_long)
            if begin.fullmatch(self._held) is None:
                raise _broken(wrong)
            return None
        if at == 0 or self._held[at - 1] != 13:
            raise _broken(wrong)
        line = bytes(self._held[: at - 1])
        del self._held[: at + 1]
        return line


def _unfolded(head: bytes) -> list[bytes]:
    """The lines of a head; one that begins with a blank goes on with the one before (section 5.2)."""
    lines = head.split(b"\r\n")
    if b"\r\n " not in head and b"\r\n\t" not in head:
        return lines
    parts: list[list[bytes]] = []
    for line in lines:
        if parts and line[:1] in (b" ", b"\t"):
            parts[-1].append(line.strip(b" \t"))
        else:
            parts.append([line])
    return [b" ".join([first.rstrip(b" \t"), *filter(None, more)]) if more else first for first, *more in parts]


def _broken(text: str) -> HitFailure:
    return HitFailure(Outcome.PROTOCOL, text)
