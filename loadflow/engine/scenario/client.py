"""What a task is given: the client and its answers, as types. Who makes the load has the objects."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["OPTIONS", "VERBS", "Answer", "Grpc", "LoadClient", "Mqtt", "Redis", "RequestFailed", "Socket", "WebSocket"]

VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
# what a verb takes beside the path
OPTIONS = (
    "name",
    "params",
    "headers",
    "cookies",
    "json",
    "data",
    "auth",
    "timeout",
    "verify",
    "allow_redirects",
    "follow_redirects",
    "stream",
)


class RequestFailed(Exception):
    """No whole answer came: the connection failed, the time was over, or the request could not be made. The hit is recorded."""


class Answer(Protocol):
    """A whole answer. `ok`: its status is below 400. `content`: its body, decoded. `elapsed_ms`: from the begin of the request to the whole
    answer."""

    @property
    def status_code(self) -> int: ...
    @property
    def ok(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def content(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def elapsed_ms(self) -> float: ...
    def json(self) -> Any: ...
    def raise_for_status(self) -> None: ...


class Asked(Answer, Awaitable[Answer], Protocol):
    """An answer that may also be awaited: `client.get(…)` in a `def`, `await client.get(…)` in an `async def`."""

    def __await__(self) -> Generator[object, None, Answer]: ...


class AskedAll(Sequence[Answer], Awaitable[Sequence[Answer]]):
    """Answers in the order of their requests."""


class WebSocket(Protocol):
    """The user's connection, made when it is first needed. `request_url` is relative to the target, its scheme ws or wss; keywords are the
    keys of a step of websocket_user."""

    def connect(self, request_url: str = ..., **options: object) -> Asked: ...
    def send(self, payload: object = ..., **options: object) -> Asked: ...
    def recv(self, **options: object) -> Asked: ...
    def sendrecv(self, payload: object = ..., **options: object) -> Asked: ...
    def ping(self, payload: object = ..., **options: object) -> Asked: ...
    def close(self, **options: object) -> Asked: ...


class Grpc(Protocol):
    """`method` is package.Service/Method; keywords are the keys of a step of grpc_user: `proto`, `stub_path` or `reflection` is needed. The
    `status_code` of an answer is gRPC's; `ok`: it is 0."""

    def call(self, method: str, payload: object = ..., **options: object) -> Asked: ...


class Mqtt(Protocol):
    """Keywords are the keys of a step of mqtt_user."""

    def connect(self, broker: str = ..., **options: object) -> Asked: ...
    def publish(self, topic: str, payload: object = ..., **options: object) -> Asked: ...
    def subscribe(self, topic: str | list[str], **options: object) -> Asked: ...
    def receive(self, topic: str = ..., **options: object) -> Asked: ...
    def unsubscribe(self, topic: str | list[str], **options: object) -> Asked: ...
    def disconnect(self, **options: object) -> Asked: ...


class Socket(Protocol):
    """Keywords are the keys of a step of socket_user, such as `expect_bytes`, `framing` and `keep`."""

    def tcp(self, payload: str = ..., **options: object) -> Asked: ...
    def udp(self, payload: str = ..., **options: object) -> Asked: ...


class Redis(Protocol):
    """`words`: the command and its arguments; keywords are the other keys of a step of Redis."""

    def command(self, *words: str | float, **options: object) -> Asked: ...


class LoadClient(Protocol):
    """Each call is one hit. Paths are relative to the target; `name` is what the hit is called in reports: default is the task's name.

    Other keywords: `params`, `headers`, `cookies`, `json`, `data`, `auth=(user, password)`, `timeout` in seconds, `verify`,
    `allow_redirects` (or `follow_redirects`). `auth` may be an object as in a step, too, of digest or OAuth 2. `stream` is one as in a
    step: the answer is read as events, each of which is recorded, and its body is all that came until the last one. Other protocols, with
    the same cookies: `client.websocket.send(…)` and its like.
    """

    def get(self, path: str, **options: object) -> Asked: ...
    def post(self, path: str, **options: object) -> Asked: ...
    def put(self, path: str, **options: object) -> Asked: ...
    def patch(self, path: str, **options: object) -> Asked: ...
    def delete(self, path: str, **options: object) -> Asked: ...
    def head(self, path: str, **options: object) -> Asked: ...
    def options(self, path: str, **options: object) -> Asked: ...
    def batch(self, requests: Sequence[Mapping[str, object]]) -> AskedAll: ...
    @property
    def websocket(self) -> WebSocket: ...
    @property
    def grpc(self) -> Grpc: ...
    @property
    def mqtt(self) -> Mqtt: ...
    @property
    def socket(self) -> Socket: ...
    @property
    def redis(self) -> Redis: ...
