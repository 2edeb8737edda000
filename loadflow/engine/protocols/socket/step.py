"""`socket_user`: a step that sends bytes over TCP or UDP and reads what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from loadflow.engine.base.host_port import host_and_port
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.model.message_step import MessageStep
from loadflow.engine.protocols.model.user_type import Form, HostTrouble, UserType
from loadflow.engine.protocols.model.values import CertAndKey
from loadflow.engine.protocols.socket.words import HEX, bytes_of
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import A_FLAG, A_LIST, BY_KIND, HIGHEST, TEXT, Choice, Flag, Int, Name, Part, Positive, Templated, Text
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["SOCKET_USER", "Framing", "SocketStep"]


def _sendable(text: str) -> str:
    if not has_placeholder(text):
        try:
            bytes_of(text)
        except ValueError as error:
            raise wrong(f"can't be sent: {error}", "after hex: stand pairs of hexadecimal digits, for example hex:01 ff") from None
    return text


def _place(text: str) -> str:
    if not has_placeholder(text) and host_and_port(text) is None:
        raise wrong("is not a host:port", 'for example "127.0.0.1:9000", "[::1]:9000" or "echo.example:7"')
    return text


Bytes = Annotated[Text, AfterValidator(_sendable)]
Place = Annotated[Name, AfterValidator(_place)]


class Framing(Part):
    """Where one message ends: at a delimiter, or after the length that stands before it. Both are added to what is sent, too."""

    noun: ClassVar[str] = "framing"
    delimiter: Annotated[Bytes, Field(min_length=1)] | None = None
    length_bytes: Annotated[Int, Field(ge=1, le=8)] | None = None
    byte_order: Annotated[str, Choice("byte order", ("big", "little"), any_case=True)] = "big"

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if (raw.get("delimiter") is None) == (raw.get("length_bytes") is None):
            yield Fault((), "has exactly one of delimiter and length_bytes", 'for example {"delimiter": "\\n"}')
        if raw.get("delimiter") == HEX:
            yield Fault(("delimiter",), "is empty", "write its bytes behind hex:")
        if raw.get("byte_order") is not None and raw.get("length_bytes") is None:
            yield Fault(("byte_order",), "has no meaning without length_bytes", "remove it")


class SocketStep(MessageStep):
    """One exchange: connect, send, read as much as was asked for. `keep` keeps the connection for the user's next step."""

    noun: ClassVar[str] = "a step of socket_user"
    protocol: Annotated[str, Choice("socket protocol", ("tcp", "udp"), any_case=True)] = "tcp"
    target: Place | None = None
    host: Place | None = None
    payload: Bytes | None = None
    expect_bytes: Templated[Annotated[Int, Field(ge=0, le=HIGHEST)]] | None = None
    expect_substring: Name | None = None
    framing: Framing | None = None
    timeout: Templated[Positive] | None = None
    keep: Flag | None = None
    tls: Flag | None = None
    verify: Annotated[Annotated[Flag, A_FLAG] | Annotated[Name, TEXT], BY_KIND] | None = None
    cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        yield from super().conflicts(raw)
        given = {key for key, value in raw.items() if value is not None}
        if {"target", "host"} <= given:
            yield Fault(("host",), "says the same as 'target'", "keep one of them")
        if "framing" in given and raw.get("expect_bytes"):
            yield Fault(("expect_bytes",), "can't be combined with framing, which says where the answer ends", "remove one of them")
        if str(raw.get("protocol")).lower() == "udp":
            for key in ("framing", "tls"):
                if raw.get(key):
                    yield Fault((key,), "has no meaning for udp, where each datagram is a message", "remove it, or use tcp")
        if not raw.get("tls"):
            for key in sorted(given & {"verify", "cert"}):
                yield Fault((key,), "has no meaning without tls", 'add "tls": true, or remove it')

    def plain(self) -> JsonObject:
        """As `StepBase.plain`, with `protocol` always and `target` for its other spelling."""
        return {"protocol": self.protocol, **{"target" if key == "host" else key: value for key, value in super().plain().items()}}


def _host(host: str) -> HostTrouble | None:
    return None if host_and_port(host) else ("is not a host:port", 'for example "127.0.0.1:9000"')


def _faults(step: StepJson, hosted: bool) -> Iterable[Fault]:
    asks = step.get("assertions") or step.get("extract")
    if asks and not (step.get("expect_bytes") or step.get("expect_substring") or step.get("framing")):
        key = "assertions" if step.get("assertions") else "extract"
        yield Fault((key,), "looks at an answer, and nothing is read", "add expect_bytes, expect_substring or framing")


SOCKET_USER = UserType(
    "socket_user",
    Form(SocketStep),
    "loadflow.engine.protocols.socket.request:SocketStep",
    "loadflow.engine.protocols.socket.client:SOCKET",
    _host,
    _faults,
    whom=("target", "host"),
)
