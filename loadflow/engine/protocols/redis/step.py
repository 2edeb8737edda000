"""A step that sends Redis one command and waits for its reply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from loadflow.engine.base.extras import is_there, way_to_install
from loadflow.engine.base.host_port import host_and_port
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.model.message_step import MessageStep
from loadflow.engine.protocols.model.user_type import Form, HostTrouble, UserType
from loadflow.engine.protocols.model.values import CertAndKey, WrittenNumber
from loadflow.engine.protocols.redis.words import command_trouble
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import A_FLAG, A_LIST, A_NUMBER, BY_KIND, TEXT, Flag, Int, Name, Positive, Templated, Text
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["REDIS_USER", "RedisStep"]

EXAMPLE = 'for example "127.0.0.1:6379"'


def _server(text: str) -> str:
    if not has_placeholder(text) and (trouble := _host(text)):
        raise wrong(*trouble)
    return text


def _command(words: list[object]) -> list[object]:
    if not isinstance(words[0], str) or not words[0].strip() or has_placeholder(words[0]) or " " in words[0]:
        raise wrong("does not begin with the name of a command", 'one word, then its arguments: ["SET", "user:1", "ann"]')
    if trouble := command_trouble(words):
        raise wrong(*trouble)
    return words


Word = Annotated[Annotated[Text, TEXT] | Annotated[WrittenNumber, A_NUMBER], BY_KIND]


class RedisStep(MessageStep):
    """`command` is the command's name and its arguments. A user keeps one connection for each server, database and user name."""

    noun: ClassVar[str] = "a step of redis_user"
    command: Annotated[list[Word], Field(min_length=1), AfterValidator(_command)]
    server: Annotated[Name, AfterValidator(_server)] | None = None
    database: Templated[Annotated[Int, Field(ge=0, le=1_000_000)]] | None = None
    username: Name | None = None
    password: Name | None = None
    timeout: Templated[Positive] | None = None
    tls: Flag | None = None
    verify: Annotated[Annotated[Flag, A_FLAG] | Annotated[Name, TEXT], BY_KIND] | None = None
    cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        yield from super().conflicts(raw)
        given = {key for key, value in raw.items() if value is not None}
        if "username" in given and "password" not in given:
            yield Fault(("username",), "has no meaning without password", "add the password, or remove it")
        if not raw.get("tls"):
            for key in sorted(given & {"verify", "cert"}):
                yield Fault((key,), "has no meaning without tls", 'add "tls": true, or remove it')


def _host(host: str) -> HostTrouble | None:
    return None if host_and_port(host) else ("is not a host:port", EXAMPLE)


def _faults(step: StepJson, hosted: bool) -> Iterable[Fault]:
    if not is_there("redis"):
        yield Fault((), "redis_user needs the package redis, which is not installed", way_to_install("redis"))


REDIS_USER = UserType(
    "redis_user",
    Form(RedisStep),
    "loadflow.engine.protocols.redis.request:RedisStep",
    "loadflow.engine.protocols.redis.client:REDIS",
    _host,
    _faults,
    whom=("server",),
)
