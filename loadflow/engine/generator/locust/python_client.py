"""What a function of a scenario is given on Locust: the client, and the answers of what it asks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol

from loadflow.engine.protocols.python.answer import ReplyAnswer
from loadflow.engine.scenario.messages import SPEAKERS, refuse_attribute

__all__ = ["Answer", "Answers", "Asks", "Client", "Got"]


class Got(Protocol):
    """A hit that has its answer. Times in nanoseconds."""

    start_ns: int
    end_ns: int
    failure: Any
    reply: Any

    @property
    def is_http(self) -> bool: ...


class Asks(Protocol):
    """Makes the hits of a call, as `PythonStep` does."""

    def ask(self, verb: str, path: object, options: Mapping[str, object]) -> Answer: ...
    def ask_all(self, requests: Sequence[Mapping[str, object]]) -> list[Answer]: ...
    def speak(self, protocol: str, verb: str, arguments: Sequence[object], options: Mapping[str, object]) -> Answer: ...


class Client:
    """What a function is given."""

    __slots__ = ("_work",)

    def __init__(self, work: Asks) -> None:
        self._work = work

    def get(self, path: str, **options: object) -> Answer:
        return self._work.ask("get", path, options)

    def post(self, path: str, **options: object) -> Answer:
        return self._work.ask("post", path, options)

    def put(self, path: str, **options: object) -> Answer:
        return self._work.ask("put", path, options)

    def patch(self, path: str, **options: object) -> Answer:
        return self._work.ask("patch", path, options)

    def delete(self, path: str, **options: object) -> Answer:
        return self._work.ask("delete", path, options)

    def head(self, path: str, **options: object) -> Answer:
        return self._work.ask("head", path, options)

    def options(self, path: str, **options: object) -> Answer:
        return self._work.ask("options", path, options)

    def batch(self, requests: Sequence[Mapping[str, object]]) -> Answers:
        return Answers(self._work.ask_all(requests))

    def __getattr__(self, name: str) -> _Speaker:
        if name not in SPEAKERS:
            refuse_attribute(name)
        return _Speaker(self._work, name)


class _Speaker:
    """`client.websocket` and its like."""

    def __init__(self, work: Asks, protocol: str) -> None:
        self._work = work
        self._protocol = protocol

    def __getattr__(self, verb: str) -> Callable[..., Answer]:
        return lambda *arguments, **options: self._work.speak(self._protocol, verb, arguments, options)


class _Awaited:
    """There already when it is awaited."""

    def __await__(self) -> Generator[object, None, object]:
        yield from ()
        return self


class Answers(list, _Awaited):  # type: ignore[type-arg]  # of Answer
    """Answers in the order of their requests."""


class Answer(ReplyAnswer, _Awaited):
    """What came back."""

    __slots__ = ("_hit",)

    def __init__(self, hit: Got) -> None:
        self._hit = hit

    @property
    def reply(self) -> Any:
        return self._hit.reply

    @property
    def ok(self) -> bool:
        return self.status_code < 400 if self._hit.is_http else self._hit.failure is None

    @property
    def elapsed_ms(self) -> float:
        return (self._hit.end_ns - self._hit.start_ns) / 1e6
