"""HTTP/1.1 requests out of bytes (RFC 9112), with no I/O: strict where a client could be wrong, so that tests see it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Malformed", "Request", "RequestParser"]

HEAD_LIMIT_BYTES = 256 * 1024

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")


class Malformed(Exception):
    """What came is not a HTTP/1.1 request; the connection can't go on."""


@dataclass(slots=True)
class Request:
    """One whole request. `target` is what stood in the request line, query included, undecoded."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    keep_alive: bool
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of the header `name` (lower case), or None."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class RequestParser:
    """Feed it what the socket gave, in any cuts; it gives the requests that are complete.

    >>> parser = RequestParser()
    >>> [request.target for request in parser.feed(b"GET /a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\nGET /b HT")]
    ['/a']
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._request: Request | None = None
        self._length: int | None = 0  # None: chunked
        self._searched = 0
        self._chunks = bytearray()
        self._continue = False

    def feed(self, data: bytes) -> list[Request]:
        """Raises `Malformed`; the requests before the malformed one are then lost with the connection."""
        self._buffer += data
        complete = []
        while (request := self._next()) is not None:
            complete.append(request)
        return complete

    def continue_due(self) -> bool:
        """True once for each request that waits for `100 Continue` before it sends its body."""
        due, self._continue = self._continue and self._request is not None, False
        return due

    def _next(self) -> Request | None:
        if self._request is None and not self._read_head():
            return None
        request = self._request
        assert request is not None
        body = self._whole_body() if self._length is not None else self._chunked_body()
        if body is None:
            return None
        request.body = body
        self._request = None
        return request

    def _read_head(self) -> bool:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112 §2.2: an empty line before the request line is to be ignored
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > HEAD_LIMIT_BYTES:
                raise Malformed(f"no end of the head in {len(buffer)} bytes")
            return False
        first, *fields = bytes(buffer[:end]).split(b"\r\n")
        del buffer[: end + 4]
        self._searched = 0
        self._request, self._length = _head(first, fields)
        self._chunks.clear()
        self._continue = (self._request.header("expect") or "").lower() == "100-continue"
        return True

    def _whole_body(self) -> bytes | None:
        length = self._length
        if not length:
            return b""
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _chunked_body(self) -> bytes | None:
        buffer = self._buffer
        while True:
            line_end = buffer.find(b"\r\n")
            if line_end < 0:
                return None
            size_match = _CHUNK_SIZE.fullmatch(bytes(buffer[:line_end]))
            if size_match is None:
                raise Malformed(f"no chunk size: {bytes(buffer[:40])!r}")
            size = int(size_match[1], 16)
            data_start = line_end + 2
            if size == 0:
                if buffer[data_start : data_start + 2] == b"\r\n":
                    del buffer[: data_start + 2]
                    return bytes(self._chunks)
                trailer_end = buffer.find(b"\r\n\r\n", data_start)
                if trailer_end < 0:
                    return None
                del buffer[: trailer_end + 4]
                return bytes(self._chunks)
            if len(buffer) < data_start + size + 2:
                return None
            if buffer[data_start + size : data_start + size + 2] != b"\r\n":
                raise Malformed("a chunk is longer than its size says")
            self._chunks += buffer[data_start : data_start + size]
            del buffer[: data_start + size + 2]


def _head(first: bytes, fields: list[bytes]) -> tuple[Request, int | None]:
    """The request without its body, and the body's length; None: chunked."""
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise Malformed(f"no request line: {first[:80]!r}")
    headers = []
    lengths: set[str] = set()
    coding = connection = ""
    for raw in fields:
        match = _FIELD.fullmatch(raw)
        if match is None:
            raise Malformed(f"no header line: {raw[:80]!r}")
        name, value = match[1].decode("latin-1"), match[2].decode("latin-1")
        headers.append((name, value))
        lowered = name.lower()
        if lowered == "content-length":
            lengths.add(value)
        elif lowered == "transfer-encoding":
            coding = value.lower()
        elif lowered == "connection":
            connection = value.lower()
    modern = line[3] == b"1"
    if modern and not any(name.lower() == "host" for name, _ in headers):
        raise Malformed("HTTP/1.1 without Host (RFC 9112 §3.2)")
    keep_alive = "close" not in connection if modern else "keep-alive" in connection
    request = Request(line[1].decode("ascii"), line[2].decode("latin-1"), headers, keep_alive)
    return request, _body_length(coding, lengths)


def _body_length(coding: str, lengths: set[str]) -> int | None:
    if coding:
        if coding != "chunked" or lengths:
            raise Malformed(f"Transfer-Encoding {coding!r} with Content-Length {sorted(lengths)}")
        return None
    if not lengths:
        return 0
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise Malformed(f"Content-Length {length!r}")
    return int(length)
