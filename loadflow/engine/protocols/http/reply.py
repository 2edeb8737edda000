"""What came back over HTTP, and the rule that says whether it is a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.values import shown
from loadflow.engine.protocols.http.answer_reader import AnswerReader, codings_in
from loadflow.engine.protocols.http.inflating import inflated
from loadflow.engine.protocols.http.request import HttpRequest
from loadflow.engine.protocols.running.charsets import charset_of, text_in
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.reply import ReplyParts, joined
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["HttpReply", "reply_of", "status_failure"]

MOST_CODINGS = 5
# codings that change a body and that no request accepts (the registry of RFC 9110 section 8.4.1)
OTHER_CODINGS = frozenset({"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"})


class HeaderFields(Protocol):
    """Header fields as a client's library holds them; `items` gives every field line, repeated names too."""

    def items(self) -> Sequence[tuple[str, str]]: ...


class HttpReply(ReplyParts):
    """`raw` is the body as it came, still encoded; it is decoded only when an assertion or an extract looks at it.

    `reason` is the phrase of the status line.
    """

    __slots__ = (
        "_body",
        "_text",
        "headers",
        "max_body_bytes",
        "raw",
        "reason",
        "received_bytes",
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
        self._body: bytes | None = None
        self._text: str | None = None
        super().__init__()

    def header_lines(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self.headers.items() if key.lower() == wanted]

    def body(self) -> bytes:
        """Decoded by Content-Encoding. Raises HitFailure for a body that is too large when decoded, or broken."""
        if self._body is None:
            self._body = self._decoded() if self.raw else b""
        return self._body

    def text(self) -> str:
        if self._text is None:
            self._text = text_in(charset_of(self.header("content-type") or "", self.body()), self.body())
        return self._text

    def parsed(self) -> Any:
        try:
            return read_json(self.body(), self.max_body_bytes)
        except UnicodeDecodeError:  # in the charset that its header names
            return read_json(self.text(), self.max_body_bytes)

    def sample(self) -> JsonObject:
        try:
            body = self.text()
        except HitFailure:
            body = bytes(self.raw[:1000]).decode("utf-8", "backslashreplace")
        return {"status": self.status, "reason": self.reason, "headers": joined(self.headers.items()), "body": body}

    def _decoded(self) -> bytes:
        lines = self.headers.items()
        codings = [(one, "content-encoding") for one in codings_in(lines, "content-encoding")]
        codings += [(one, "transfer-encoding") for one in codings_in(lines, "transfer-encoding") if one != "chunked"]
        codings = [pair for pair in codings if pair[0] != "identity"]
        if len(codings) > MOST_CODINGS:
            raise HitFailure(Outcome.PROTOCOL, f"over {MOST_CODINGS} codings, one within the other", self)
        body = bytes(self.raw)
        for coding, field in reversed(codings):
            if coding in ("gzip", "x-gzip", "deflate"):
                body = inflated(body, coding, self.max_body_bytes)
            elif field == "transfer-encoding" or coding in OTHER_CODINGS:
                raise HitFailure(Outcome.PROTOCOL, f"{field} {shown(coding)} was not asked for and can't be decoded", self)
            # else the name of no coding, like utf-8: nothing was done to the body
        return body


class _Lines:
    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._fields = fields

    def items(self) -> Sequence[tuple[str, str]]:
        return self._fields


def reply_of(reader: AnswerReader, request: HttpRequest, max_body_bytes: int) -> HttpReply:
    """An answer that is whole; its sizes are counted elsewhere. Raises HitFailure where its body is too large."""
    reply = HttpReply(
        reader.status,
        reader.reason,
        _Lines(reader.fields),
        reader.body,
        url=request.url,
        sent_bytes=0,
        received_bytes=0,
        max_body_bytes=max_body_bytes,
    )
    if reader.is_too_large:
        raise HitFailure(Outcome.TOO_LARGE, f"the body is over max_body_bytes ({max_body_bytes:,})", reply)
    return reply


def status_failure(reply: HttpReply) -> tuple[Outcome, str] | None:
    """400 and above fail, unless the step has a status assertion of its own."""
    if reply.status < 400:
        return None
    return Outcome.STATUS, f"status {reply.status} {reply.reason}".rstrip()
