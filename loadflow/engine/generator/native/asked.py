"""What a function of a scenario asks of the native core, and is given: requests, which become their answers, and pauses.

A coroutine yields an `Asked`, a list of them, a `Spoken`, or a number of seconds, and is resumed when that is there: with None, or with the
words for the first request that got no whole answer. `native/src/python/functions.rs` is the other side; `Asked`, and the verbs of its
client, are in `native/src/python/asked.rs`, which asks here for what few hits need: `refuse_options`, `refuse_path`, `reply_of`, `Headers`,
`read_json`, `scan_json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from types import coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from loadflow import _native
from loadflow._native import Asked
from loadflow.engine.generator.native.helping import boxed, given, twin_of
from loadflow.engine.generator.native.messages import SPEECHES, Got
from loadflow.engine.protocols.http.reply import HttpReply
from loadflow.engine.protocols.python.answer import ReplyAnswer
from loadflow.engine.protocols.python.headers import Headers
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.seam import Reply
from loadflow.engine.scenario.client import VERBS, RequestFailed
from loadflow.engine.scenario.messages import SPEAKERS, message_of, refuse_attribute, user_of
from loadflow.engine.scenario.requests import as_options, of_batch, url_of
from loadflow.engine.scenario.values import turn

if TYPE_CHECKING:
    from greenlet import greenlet

__all__ = [
    "NOT_BEGUN",
    "Asked",
    "Asking",
    "AskingAtOnce",
    "Headers",
    "Spoken",
    "kept",
    "read_json",
    "refuse_options",
    "refuse_path",
    "reply_of",
    "scan_json",
]

G = TypeVar("G")
T = TypeVar("T")
NOT_BEGUN = "loadflow_not_begun"  # marks an error that is of a request that could not be begun
_SPOKEN_FILLED = ("status", "elapsed_ms", "lines", "body", "ok")
GET, POST, PUT, PATCH, DELETE, HEAD, VERB_OPTIONS = range(len(VERBS))
scan_json = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # of a text from a place on: what is there, and its end


class Spoken(ReplyAnswer):
    """One hit of another protocol, and what came back once the core has filled it in: `body` are bytes, `lines` as of `Asked`."""

    __slots__ = ("_asking", "_reply", "body", "called", "elapsed_ms", "is_due", "lines", "ok", "protocol", "status", "verb")

    def __init__(self, asking: Asking, protocol: str, verb: str, arguments: Sequence[object], options: Mapping[str, object]) -> None:
        try:
            self.called = message_of(protocol, verb, arguments, options)
        except TypeError as error:
            setattr(error, NOT_BEGUN, True)
            raise
        self._asking = asking
        self.protocol = protocol
        self.verb = verb
        self.is_due = True
        self._reply: Reply | None = None
        asking.due += 1

    def __await__(self) -> Generator[Spoken, str | None, Spoken]:
        if self.is_due:
            asking = self._asking
            self.is_due = False
            asking.due -= 1
            asking.last = None
            failure = yield self
            if failure is not None:
                raise RequestFailed(failure)
            asking.last = self
        return self

    def __getattr__(self, name: str) -> NoReturn:
        if name in _SPOKEN_FILLED:
            raise RuntimeError(f"client.{self.protocol}.{self.verb}() has no answer: in an async def, await it")
        raise AttributeError(name)

    @property
    def reply(self) -> Reply:
        """The same as the users of its protocol have it."""
        found = self._reply
        if found is None:
            found = self._reply = SPEECHES[user_of(self.protocol)].reply_of(*kept(self))
        return found


def kept(asked: Asked | Spoken) -> Got:
    """An answer in parts: status, reason, header fields, body."""
    reason, *lines = asked.lines.split(b"\n")
    fields = [(name, value) for name, _, value in (line.partition(b":") for line in lines)]
    if isinstance(asked, Spoken):
        return asked.status, reason, fields, asked.body
    return asked.status_code, reason, fields, asked.raw


def reply_of(status: int, lines: str, body: bytes, max_body_bytes: int) -> HttpReply:
    """An answer as the other HTTP users have it."""
    reason, *fields = lines.split("\n")
    held = _Lines([(name, value) for name, _, value in (field.partition(":") for field in fields)])
    return HttpReply(status, reason, held, body, url="", sent_bytes=0, received_bytes=0, max_body_bytes=max_body_bytes)


class _Lines:
    __slots__ = ("_fields",)

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._fields = fields

    def items(self) -> Sequence[tuple[str, str]]:
        return self._fields


class _Batch(list[Asked]):
    """Requests that are sent at once, then their answers, in their order."""

    is_due = True

    def __init__(self, asking: Asking, requests: Sequence[Asked]) -> None:
        super().__init__(requests)
        self._asking = asking

    def __await__(self) -> Generator[object, str | None, _Batch]:
        if self.is_due and self:
            asking, self.is_due = self._asking, False
            asking.due -= len(self)
            asking.last = None
            for one in self:
                one.is_due = False
            failure = yield self[0] if len(self) == 1 else list(self)
            if failure is not None:
                raise RequestFailed(failure)
            asking.last = self[-1]
        return self


class Asking(_native.Asking):
    """The client of an `async def`: its verbs are the core's, and all other protocols properties."""

    __slots__ = ()

    @coroutine
    def loadflow_nap(self, seconds: float, most: float | None = None) -> Generator[float, None, None]:
        """`sleep`, as `awaiting` writes it."""
        drawing: Any = turn.drawing
        yield drawing.length_s(seconds, seconds if most is None else most)

    def batch(self, requests: Sequence[Mapping[str, object]]) -> _Batch:
        wanted = [_refuse(of_batch, one) for one in requests]
        return _Batch(self, [Asked(self, VERBS.index(verb), path, options or None) for verb, path, options in wanted])

    # functions that are given the client, as `awaiting` writes them
    loadflow_twin = staticmethod(twin_of)
    loadflow_boxed = staticmethod(boxed)
    loadflow_given = staticmethod(given)


def _speaks(protocol: str) -> property:
    return property(lambda asking: _Speaker(asking, protocol, None))


for _protocol in SPEAKERS:  # an attribute that is looked up by __getattr__ makes all others slower, the verbs too
    setattr(Asking, _protocol, _speaks(_protocol))


class AskingAtOnce:
    """The client of a `def`, which waits where it asks: `hub` is the loop's own greenlet, which is given what it waits for."""

    __slots__ = ("_asking", "hub")

    def __init__(self, asking: Asking, hub: greenlet) -> None:
        self._asking = asking
        self.hub = hub

    def _ask(self, verb: int, path: object, options: dict[str, object]) -> Asked:
        asking = self._asking
        asked = Asked(asking, verb, path, options or None)
        asked.is_due = False
        asking.due -= 1
        asking.last = None
        failure = self.hub.switch(asked)
        if failure is not None:
            raise RequestFailed(failure)
        asking.last = asked
        return asked

    def get(self, path: str, **options: object) -> Asked:
        return self._ask(GET, path, options)

    def post(self, path: str, **options: object) -> Asked:
        return self._ask(POST, path, options)

    def put(self, path: str, **options: object) -> Asked:
        return self._ask(PUT, path, options)

    def patch(self, path: str, **options: object) -> Asked:
        return self._ask(PATCH, path, options)

    def delete(self, path: str, **options: object) -> Asked:
        return self._ask(DELETE, path, options)

    def head(self, path: str, **options: object) -> Asked:
        return self._ask(HEAD, path, options)

    def options(self, path: str, **options: object) -> Asked:
        return self._ask(VERB_OPTIONS, path, options)

    def batch(self, requests: Sequence[Mapping[str, object]]) -> _Batch:
        made = self._asking.batch(requests)
        waits = made.__await__()
        try:
            wanted = next(waits)
            waits.send(self.hub.switch(wanted))
        except StopIteration:
            pass
        return made

    def __getattr__(self, name: str) -> _Speaker:
        if name not in SPEAKERS:
            refuse_attribute(name)
        return _Speaker(self._asking, name, self.hub)


class _Speaker:
    """`client.websocket` and its like; `hub`: as of `AskingAtOnce`, None in an `async def`."""

    __slots__ = ("_asking", "_hub", "_protocol")

    def __init__(self, asking: Asking, protocol: str, hub: greenlet) -> None:
        self._asking = asking
        self._protocol = protocol
        self._hub = hub

    def __getattr__(self, verb: str) -> Callable[..., Spoken]:
        return lambda *arguments, **options: self._speak(verb, arguments, options)

    def _speak(self, verb: str, arguments: Sequence[object], options: Mapping[str, object]) -> Spoken:
        asking, hub = self._asking, self._hub
        if user_of(self._protocol) not in asking.speakers:
            refuse_attribute(self._protocol)
        spoken = Spoken(asking, self._protocol, verb, arguments, options)
        if hub is None:
            return spoken
        waits = spoken.__await__()
        with suppress(StopIteration):
            waits.send(hub.switch(next(waits)))
        return spoken


def refuse_options(options: Mapping[str, object]) -> None:
    """Raises TypeError for what a request does not take."""
    _refuse(as_options, options)


def refuse_path(path: object) -> None:
    _refuse(url_of, path)


def _refuse(check: Callable[[G], T], given: G) -> T:
    """What `check` gives; its TypeError is marked as one of a request that could not be begun."""
    try:
        return check(given)
    except TypeError as error:
        setattr(error, NOT_BEGUN, True)
        raise
