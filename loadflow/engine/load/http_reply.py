"""What came back over HTTP, and the rule that says whether it is a failure."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from typing import Any, Protocol

from loadflow.engine.load.protocol import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["HttpReply", "status_failure"]

GZIP_MAGIC = b"\x1f\x8b"
CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)


class HeaderFields(Protocol):
    """Header fields as a client's library holds them; `items` gives every field line, repeated names too."""

    def items(self) -> Iterable[tuple[str, str]]: ...


class HttpReply:
    """`raw` is the body as it came, still encoded; it is decoded only when an assertion or an extract looks at it.

    `reason` is the phrase of the status line; `redirects` is how many were followed to get here.
    """

    __slots__ = (
        "_body",
        "_json",
        "_text",
        "headers",
        "max_body_bytes",
        "raw",
        "reason",
        "received_bytes",
        "redirects",
        "sent_bytes",
        "status",
        "url",
    )

    def __init__(
        self,
        status: int,
        reason: str,
        headers: HeaderFields,
        raw: bytes | bytearray,
        *,
        url: str,
        sent_bytes: int,
        received_bytes: int,
        max_body_bytes: int,
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.raw = raw
        self.url = url
        self.sent_bytes = sent_bytes
        self.received_bytes = received_bytes
        self.max_body_bytes = max_body_bytes
        self.redirects = 0
        self._body: bytes | None = None
        self._text: str | None = None
        self._json: Any = None

    def header(self, name: str) -> str | None:
        """The value of a header field, repeated fields joined by a comma; None when it is not there."""
        found = self.header_lines(name)
        return ", ".join(found) if found else None

    def header_lines(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self.headers.items() if key.lower() == wanted]

    def body(self) -> bytes:
        """Decoded by Content-Encoding. Raises HitFailure for a body that is too large when decoded, or broken."""
        if self._body is None:
            encoding = (self.header("content-encoding") or "identity").strip().lower()
            if encoding in ("gzip", "x-gzip", "deflate") and self.raw:
                self._body = self._inflate(encoding)
            elif encoding in ("identity", "") or not self.raw:
                self._body = bytes(self.raw)
            else:
                raise HitFailure(Outcome.PROTOCOL, f"content-encoding {encoding!r} was not asked for and can't be decoded", self)
        return self._body

    def text(self) -> str:
        if self._text is None:
            charset = CHARSET.search(self.header("content-type") or "")
            try:
                self._text = self.body().decode(charset.group(1) if charset else "utf-8", "replace")
            except (LookupError, ValueError):  # no charset that we know, or one that can't read past what is wrong, like idna
                self._text = self.body().decode("utf-8", "replace")
        return self._text

    def json(self) -> Any:
        if self._json is None:
            try:
                self._json = json.loads(self.body())
            except UnicodeDecodeError:  # in the charset that its header names
                self._json = json.loads(self.text())
            except RecursionError:
                raise ValueError("nested too deeply") from None
        return self._json

    def sample(self) -> dict[str, Any]:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        try:
            body = self.text()
        except HitFailure:
            body = repr(bytes(self.raw[:1000]))
        return {"status": self.status, "reason": self.reason, "headers": headers, "body": body}

    def _inflate(self, encoding: str) -> bytes:
        try:
            return self._inflate_with(zlib.MAX_WBITS | (16 if encoding.endswith("gzip") else 0))
        except zlib.error:
            if encoding == "deflate":  # many servers mean raw deflate, not the zlib format of RFC 9110
                try:
                    return self._inflate_with(-zlib.MAX_WBITS)
                except zlib.error:
                    pass
            raise HitFailure(Outcome.PROTOCOL, f"the body is no valid {encoding}", self) from None

    def _inflate_with(self, window_bits: int) -> bytes:
        body = bytearray()
        rest = bytes(self.raw)
        while True:
            inflater = zlib.decompressobj(window_bits)
            body += inflater.decompress(rest, self.max_body_bytes + 1 - len(body))
            if len(body) > self.max_body_bytes:
                raise HitFailure(Outcome.TOO_LARGE, f"the decoded body is over max_body_bytes ({self.max_body_bytes:,})", self)
            if not inflater.eof:
                raise HitFailure(Outcome.CLOSED, "the compressed body ends early", self)
            rest = inflater.unused_data
            if not rest.startswith(GZIP_MAGIC):  # RFC 1952 section 2.2: a file may have several members
                return bytes(body)


def status_failure(reply: HttpReply) -> tuple[Outcome, str] | None:
    """400 and above fail, unless the step has a status assertion of its own."""
    if reply.status < 400:
        return None
    return Outcome.STATUS, f"status {reply.status} {reply.reason}".rstrip()
