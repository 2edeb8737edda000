"""A small shop to load: accounts, a catalogue, orders, one slow route and one flaky one. Standard library only.

    python examples/shop/server.py [--port N] [--users FILE] [--access-log FILE]

Prints one line, `listening on http://127.0.0.1:PORT`, once it answers; port 0 (the default) takes a free one. Listens on
loopback only. An `asyncio.Protocol` over the raw bytes rather than streams, because the shop must not be what a load test
of a few thousand requests per second measures.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import json
import random
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

PAGE = 10
SLOW_S = (0.15, 0.4)
FLAKY_EVERY = 8  # of one account's calls: the next one, a retry's, is answered
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024

KINDS = ("lamp", "chair", "table", "shelf", "clock", "vase", "rug", "mirror", "stool", "desk")
COLOURS = ("red", "green", "blue", "black", "white", "oak", "grey", "brass", "walnut", "amber")


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class Answer:
    status: int
    data: Any
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0

    def encode(self) -> bytes:
        body = json.dumps(self.data, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Shop:
    """What the routes know: accounts, who is logged in, products, orders."""

    def __init__(self, accounts: dict[str, str], seed: int = 1) -> None:
        self.accounts = accounts
        self.logins: dict[str, str] = {}  # token to user; the session cookie carries the token too
        self.flaky_calls: dict[str, int] = {}
        self.orders = 0
        self.random = random.Random(seed)
        self.products = [
            {"id": number, "name": f"{colour} {kind}", "price": 5 + number % 90}
            for number, (kind, colour) in enumerate(((kind, colour) for kind in KINDS for colour in COLOURS), start=1)
        ]
        self.routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("POST", "/accounts"): self.register,
            ("POST", "/login"): self.login,
            ("POST", "/token"): self.token,
            ("GET", "/products"): self.listing,
            ("GET", "/search"): self.search,
            ("POST", "/orders"): self.buy,
            ("GET", "/recommendations"): self.slow,
            ("GET", "/stock"): self.flaky,
            ("GET", "/health"): lambda request: Answer(200, {"status": "ok"}),
        }

    def answer(self, request: Request) -> Answer:
        if request.method == "GET" and request.path.startswith("/products/"):
            return self.item(request)
        route = self.routes.get((request.method, request.path))
        if route:
            return route(request)
        known = any(path == request.path for _, path in self.routes)
        return Answer(405, {"error": "method not allowed"}) if known else Answer(404, {"error": "no such route"})

    def register(self, request: Request) -> Answer:
        """A known user gets the new password: who seeds test data may do it again."""
        given = credentials(request)
        if given is None:
            return Answer(400, {"error": "user and password are needed"})
        user, password = given
        self.accounts[user] = password
        return Answer(201, {"user": user})

    def login(self, request: Request) -> Answer:
        given = credentials(request)
        if given is None:
            return Answer(400, {"error": "user and password are needed"})
        user, password = given
        if self.accounts.get(user) != password:
            return Answer(401, {"error": "wrong user or password"})
        token = secrets.token_hex(16)
        self.logins[token] = user
        return Answer(200, {"token": token, "user": user}, {"Set-Cookie": f"session={token}; Path=/; HttpOnly"})

    def token(self, request: Request) -> Answer:
        """OAuth 2 client credentials (RFC 6749 section 4.4): an account is a client, and buys by the token."""
        form = parse_qs(request.body.decode(errors="replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return Answer(400, {"error": "unsupported_grant_type"})
        client, secret = basic(request.headers.get("authorization", ""))
        if not client or self.accounts.get(client) != secret:
            return Answer(401, {"error": "invalid_client"})
        token = secrets.token_hex(16)
        self.logins[token] = client
        return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}, {"Cache-Control": "no-store"})

    def listing(self, request: Request) -> Answer:
        if not self.by_cookie(request):
            return Answer(401, {"error": "log in first"})
        page = int(request.query.get("page", "1")) if request.query.get("page", "1").isdigit() else 1
        return Answer(200, {"page": page, "items": self.products[(page - 1) * PAGE : page * PAGE]})

    def search(self, request: Request) -> Answer:
        words = request.query.get("q", "").lower().split()
        found = [product for product in self.products if all(word in product["name"] for word in words)]
        return Answer(200, {"count": len(found), "items": found[:PAGE]})

    def item(self, request: Request) -> Answer:
        number = request.path.rpartition("/")[2]
        if not number.isdigit() or not 1 <= int(number) <= len(self.products):
            return Answer(404, {"error": "no such product"})
        return Answer(200, self.products[int(number) - 1])

    def buy(self, request: Request) -> Answer:
        user = self.by_token(request)
        if not user:
            return Answer(401, {"error": "a bearer token is needed"})
        try:
            given = json.loads(request.body)
            product, quantity = self.products[int(given["product"]) - 1], int(given.get("quantity", 1))
        except (ValueError, KeyError, TypeError, IndexError):
            return Answer(422, {"error": "no such product"})
        self.orders += 1
        return Answer(201, {"order": self.orders, "user": user, "total": product["price"] * quantity})

    def slow(self, request: Request) -> Answer:
        picked = self.random.sample(self.products, 3)
        return Answer(200, {"items": picked}, delay_s=self.random.uniform(*SLOW_S))

    def flaky(self, request: Request) -> Answer:
        user = self.by_token(request) or self.by_cookie(request) or "anybody"
        calls = self.flaky_calls[user] = self.flaky_calls.get(user, 0) + 1
        if calls % FLAKY_EVERY == 0:
            return Answer(503, {"error": "try again"}, {"Retry-After": "0"})
        return Answer(200, {"in_stock": True})

    def by_token(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.logins.get(token) if scheme.lower() == "bearer" else None

    def by_cookie(self, request: Request) -> str | None:
        for pair in request.headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == "session":
                return self.logins.get(value)
        return None


def basic(field: str) -> tuple[str, str]:
    """User and password of an Authorization field; ("", "") where there are none."""
    try:
        pair = base64.b64decode(field.removeprefix("Basic "), validate=True).decode()
    except ValueError:
        return "", ""
    user, _, password = pair.partition(":")
    return unquote_plus(user), unquote_plus(password)  # a client's are encoded as in a form (RFC 6749 section 2.3.1)


def credentials(request: Request) -> tuple[str, str] | None:
    try:
        given = json.loads(request.body)
        user, password = given["user"], given["password"]
    except (ValueError, KeyError, TypeError):
        return None
    return (user, password) if isinstance(user, str) and isinstance(password, str) else None


class AccessLog:
    """A CSV file with a line per answered request; `ms` is from its last byte's arrival until the answer is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8", buffering=1)  # by line: a reader never finds half of one
        self._rows = csv.writer(self._file)
        self._rows.writerow(["unix_s", "method", "path", "status", "ms"])

    def add(self, request: Request, status: int, arrived_s: float) -> None:
        """`arrived_s` on `time.perf_counter()`."""
        took_s = time.perf_counter() - arrived_s
        self._rows.writerow([f"{time.time() - took_s:.6f}", request.method, request.path, status, f"{took_s * 1e3:.3f}"])


class Connection(asyncio.Protocol):
    """One keep-alive connection: requests are answered in order, also when several arrive at once."""

    def __init__(self, shop: Shop, loop: asyncio.AbstractEventLoop, log: AccessLog | None) -> None:
        self.shop = shop
        self.loop = loop
        self.log = log
        self.buffer = b""
        self.waiting = False  # for a slow answer; later requests stay in the buffer until it is sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.work()

    def work(self) -> None:
        while not self.waiting and not self.transport.is_closing():
            try:
                parsed = parse(self.buffer)
            except ValueError as error:
                self.transport.write(Answer(400, {"error": str(error)}, {"Connection": "close"}).encode())
                self.transport.close()
                return
            if parsed is None:
                return
            request, used = parsed
            arrived_s = time.perf_counter()
            self.buffer = self.buffer[used:]
            answer = self.shop.answer(request)
            if answer.delay_s:
                self.waiting = True
                self.loop.call_later(answer.delay_s, self.send_late, request, answer, arrived_s)
            else:
                self.send(request, answer, arrived_s)

    def send_late(self, request: Request, answer: Answer, arrived_s: float) -> None:
        self.waiting = False
        self.send(request, answer, arrived_s)
        self.work()

    def send(self, request: Request, answer: Answer, arrived_s: float) -> None:
        if not self.transport.is_closing():
            if self.log:  # first: whoever has the answer finds it in the log
                self.log.add(request, answer.status, arrived_s)
            self.transport.write(answer.encode())
            if request.headers.get("connection", "").lower() == "close":
                self.transport.close()


def parse(data: bytes) -> tuple[Request, int] | None:
    """The first request in `data` and how many bytes it took; None: more is needed. Raises ValueError for what is not a request."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > MAX_HEAD_BYTES:
            raise ValueError("the head is too long")
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise ValueError("no HTTP/1 request line")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES or "transfer-encoding" in headers:
        raise ValueError("a body needs a Content-Length of at most 64 KiB")
    used = end + 4 + int(length)
    if len(data) < used:
        return None
    url = urlsplit(parts[1])
    query = {name: values[0] for name, values in parse_qs(url.query).items()} if url.query else {}
    return Request(parts[0], url.path, query, headers, data[end + 4 : used]), used


def read_accounts(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["user"]: row["password"] for row in csv.DictReader(file)}


async def serve(port: int, accounts: dict[str, str], log: AccessLog | None) -> None:
    """Until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    shop = Shop(accounts)
    server = await loop.create_server(lambda: Connection(shop, loop, log), "127.0.0.1", port, backlog=1024)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A small shop to load, on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--users", type=Path, default=Path(__file__).parents[1] / "users.csv", help="CSV file with user,password")
    parser.add_argument("--access-log", type=Path, help="write a line per request to this CSV file")
    options = parser.parse_args()
    log = AccessLog(options.access_log) if options.access_log else None
    asyncio.run(serve(options.port, read_accounts(options.users), log))


if __name__ == "__main__":
    main()
