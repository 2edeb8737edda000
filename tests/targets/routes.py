"""What the recording target answers: one function a route, from a request to an `Answer`; no sockets here."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal
from urllib.parse import parse_qs

from tests.targets.wire import Request

__all__ = ["Answer", "Routes", "response"]

MOST_BYTES = 256 * 1024 * 1024
# Over the 65,536 bytes that http.client takes for one header line.
HUGE_HEADER_BYTES = 70_000

Pairs = list[tuple[str, str]]


@dataclass(slots=True)
class Answer:
    """Pieces to write, each after its own delay in seconds, and whether the connection is closed after the last.

    `cut` marks an answer that is broken on purpose: it is sent as it stands and the connection always ends.
    """

    pieces: list[tuple[float, bytes]]
    then: Literal["keep", "close", "cut"] = "keep"


def response(status: int, body: bytes = b"", headers: Pairs | None = None, *, head: bool = False) -> bytes:
    """One response with a Content-Length, except where the status forbids one (RFC 9110 §8.6); `head` leaves the body away."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in headers or ()]
    bodiless = status in (204, 304)
    if not bodiless:
        lines.append(f"Content-Length: {len(body)}")
    text = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return text if head or bodiless else text + body


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(", ", ": ")).encode()


@dataclass
class Routes:
    """The answers and the counters they need; `reset` zeroes the counters but never gives a token twice."""

    oks: int = 0
    flaky: Counter[str] = field(default_factory=Counter)
    tokens: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def reset(self) -> None:
        self.oks = 0
        self.flaky.clear()

    def answer(self, request: Request) -> Answer:
        """The answer to any request; 404 for what is not a route or no sensible number."""
        if request.path == "/ok":  # the hot one
            return self._ok(request)
        name, _, argument = request.path[1:].partition("/")
        plain = _PLAIN.get(name)
        if plain is not None and not argument:
            return plain(self, request)
        counted = _COUNTED.get(name)
        if counted is not None and argument.isascii() and argument.isdigit() and len(argument) < 10:
            return counted(self, request, int(argument))
        return self._reply(request, 404, {"error": f"no route {request.path}"})

    def _reply(self, request: Request, status: int, value: Any, headers: Pairs | None = None) -> Answer:
        named = [("Content-Type", "application/json"), *(headers or ())]
        return Answer([(0.0, response(status, _json(value), named, head=request.method == "HEAD"))])

    def _ok(self, request: Request) -> Answer:
        self.oks += 1
        body = b'{"ok": true, "n": %d}' % self.oks
        text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return Answer([(0.0, text if request.method == "HEAD" else text + body)])

    def _status(self, request: Request, code: int) -> Answer:
        if not 200 <= code <= 999:
            return self._reply(request, 404, {"error": "a final status has three digits and is at least 200"})
        return self._reply(request, code, {"status": code})

    def _delay(self, request: Request, wait_ms: int) -> Answer:
        answer = self._reply(request, 200, {"ok": True, "delay_ms": wait_ms})
        return Answer([(wait_ms / 1000, answer.pieces[0][1])])

    def _echo(self, request: Request) -> Answer:
        value = {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.body.decode("utf-8", "replace"),
        }
        return self._reply(request, 200, value)

    def _login(self, request: Request) -> Answer:
        if request.method != "POST":
            return self._reply(request, 405, {"error": "POST a user"}, [("Allow", "POST")])
        number = next(self.tokens)
        cookie = ("Set-Cookie", f"sid=s-{number:06}; Path=/; HttpOnly")
        return self._reply(request, 200, {"token": f"t-{number:06}", "user": _user(request)}, [cookie])

    def _whoami(self, request: Request) -> Answer:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(request.header("cookie") or "")
        except CookieError as error:
            return self._reply(request, 400, {"error": str(error)})
        sid = cookies["sid"].value if "sid" in cookies else None
        return self._reply(request, 200, {"sid": sid, "authorization": request.header("authorization")})

    def _redirect(self, request: Request, left: int) -> Answer:
        if left == 0:
            return self._reply(request, 200, {"ok": True, "redirected": True})
        return self._reply(request, 302, {"left": left}, [("Location", f"/redirect/{left - 1}")])

    def _redirect_loop(self, request: Request) -> Answer:
        return self._reply(request, 302, {}, [("Location", "/redirect-loop")])

    def _redirect_code(self, request: Request, code: int) -> Answer:
        if code not in (301, 302, 303, 307, 308):
            return self._reply(request, 404, {"error": "no redirect status"})
        return self._reply(request, code, {}, [("Location", _query(request, "to", "/echo"))])

    def _gzip(self, request: Request) -> Answer:
        return self._encoded(request, "gzip", gzip.compress(_json({"ok": True, "encoding": "gzip"}), mtime=0))

    def _deflate(self, request: Request) -> Answer:
        # RFC 9110 §8.4.1.2: "deflate" is the zlib format, not a bare deflate stream.
        return self._encoded(request, "deflate", zlib.compress(_json({"ok": True, "encoding": "deflate"})))

    def _encoded(self, request: Request, coding: str, body: bytes) -> Answer:
        headers = [("Content-Type", "application/json"), ("Content-Encoding", coding)]
        return Answer([(0.0, response(200, body, headers, head=request.method == "HEAD"))])

    def _chunked(self, request: Request) -> Answer:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        if request.method == "HEAD":
            return Answer([(0.0, head)])
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (b'{"ok": true, ', b'"chunked"', b": true}"))
        return Answer([(0.0, head + chunks + b"0\r\n\r\n")])

    def _head(self, request: Request) -> Answer:
        return self._reply(request, 200, {"ok": True, "method": request.method})

    def _no_content(self, request: Request) -> Answer:
        return Answer([(0.0, response(204))])

    def _not_modified(self, request: Request) -> Answer:
        return Answer([(0.0, response(304, headers=[("ETag", '"1"')]))])

    def _close(self, request: Request) -> Answer:
        return Answer([], "cut")

    def _close_mid_body(self, request: Request) -> Answer:
        return Answer([(0.0, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly these")], "cut")

    def _garbage(self, request: Request) -> Answer:
        return Answer([(0.0, b"\x00\x01 this is not an HTTP \xff\r\n\r\n")], "cut")

    def _slow_body(self, request: Request, total_ms: int) -> Answer:
        body = _json({"ok": True, "slow_ms": total_ms})
        text = response(200, body, [("Content-Type", "application/json")], head=True)
        if request.method == "HEAD":
            return Answer([(0.0, text)])
        cuts = [body[start : start + 4] for start in range(0, len(body), 4)]
        return Answer([(0.0, text), *((total_ms / 1000 / len(cuts), cut) for cut in cuts)])

    def _flaky(self, request: Request, every: int) -> Answer:
        self.flaky[request.path] += 1
        count = self.flaky[request.path]
        if every == 0 or count % every:
            return self._reply(request, 503, {"ok": False, "n": count})
        return self._reply(request, 200, {"ok": True, "n": count})

    def _bytes(self, request: Request, size: int) -> Answer:
        if size > MOST_BYTES:
            return self._reply(request, 404, {"error": f"at most {MOST_BYTES} bytes"})
        headers = [("Content-Type", "application/octet-stream")]
        return Answer([(0.0, response(200, b"x" * size, headers, head=request.method == "HEAD"))])

    def _headers_huge(self, request: Request) -> Answer:
        size = _query(request, "bytes", "")
        return self._reply(request, 200, {"ok": True}, [("X-Huge", "h" * (int(size) if size.isdigit() else HUGE_HEADER_BYTES))])

    def _raw(self, request: Request) -> Answer:
        """The bytes of `b64` (urlsafe), as they are; several `b64` are pieces with a short wait before each. `then` as in Answer."""
        asked = parse_qs(request.target.partition("?")[2], keep_blank_values=True)
        pieces = [urlsafe_b64decode(text) for text in asked.get("b64", [])]
        then = asked.get("then", ["keep"])[0]
        waits = [0.0, *[0.02] * len(pieces)]
        return Answer(list(zip(waits, pieces, strict=False)), "cut" if then == "cut" else "keep")

    def _gzip_bomb(self, request: Request, size: int) -> Answer:
        """`size` zero bytes, packed."""
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        block = bytes(2**16)
        packed = b"".join([packer.compress(block[: min(len(block), size - at)]) for at in range(0, size, len(block))]) + packer.flush()
        return self._encoded(request, "gzip", packed)

    def _set_cookie(self, request: Request) -> Answer:
        """Sets each `c` of the query, as it stands there, as a Set-Cookie field, and goes on to `to` where that is given."""
        asked = parse_qs(request.target.partition("?")[2])
        fields = [("Set-Cookie", text) for text in asked.get("c", [])]
        if "to" in asked:
            return self._reply(request, 302, {}, [*fields, ("Location", asked["to"][0])])
        return self._reply(request, 200, {"ok": True}, fields)

    def _connection_close(self, request: Request) -> Answer:
        answer = self._reply(request, 200, {"ok": True}, [("Connection", "close")])
        return Answer(answer.pieces, "close")


def _query(request: Request, name: str, default: str) -> str:
    return parse_qs(request.target.partition("?")[2]).get(name, [default])[0]


def _user(request: Request) -> Any:
    """Who logs in: `user` or `username` of a JSON or form body; None if neither is there."""
    try:
        fields = json.loads(request.body or b"{}")
    except ValueError:
        fields = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
    if not isinstance(fields, dict):
        return None
    return fields.get("user", fields.get("username"))


_PLAIN: dict[str, Callable[[Routes, Request], Answer]] = {
    "echo": Routes._echo,
    "login": Routes._login,
    "whoami": Routes._whoami,
    "redirect-loop": Routes._redirect_loop,
    "gzip": Routes._gzip,
    "deflate": Routes._deflate,
    "chunked": Routes._chunked,
    "head": Routes._head,
    "204": Routes._no_content,
    "304": Routes._not_modified,
    "close": Routes._close,
    "close-mid-body": Routes._close_mid_body,
    "garbage": Routes._garbage,
    "headers-huge": Routes._headers_huge,
    "raw": Routes._raw,
    "set-cookie": Routes._set_cookie,
    "connection-close": Routes._connection_close,
}

_COUNTED: dict[str, Callable[[Routes, Request, int], Answer]] = {
    "status": Routes._status,
    "delay": Routes._delay,
    "redirect": Routes._redirect,
    "redirect-code": Routes._redirect_code,
    "slow-body": Routes._slow_body,
    "flaky": Routes._flaky,
    "bytes": Routes._bytes,
    "gzip-bomb": Routes._gzip_bomb,
}
