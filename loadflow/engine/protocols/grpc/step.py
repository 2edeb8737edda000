"""A step that makes one gRPC call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Discriminator, Field, Tag

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.grpc.words import RPC_KINDS, key_trouble
from loadflow.engine.protocols.model.assertion import (
    HeaderAssertion,
    JsonPathAssertion,
    TextAssertion,
    TimeAssertion,
    assertion_tag,
    known_type,
)
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.protocols.model.values import CertAndKey, Pair, Scalar
from loadflow.engine.records.statuses import GRPC_STATUSES
from loadflow.engine.script.mistakes import TAG, Fault, shorten
from loadflow.engine.script.part import (
    A_LIST,
    A_NUMBER,
    AN_OBJECT,
    BY_KIND,
    HIGHEST,
    TEXT,
    Choice,
    Flag,
    Int,
    Name,
    Part,
    Positive,
    Templated,
)
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["GrpcStep"]


DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"

Code = Annotated[Int, Field(ge=0, le=len(GRPC_STATUSES) - 1)]
StatusName = Annotated[str, Choice("status of gRPC", GRPC_STATUSES, any_case=True)]
Status = Templated[Annotated[Annotated[Code, A_NUMBER] | Annotated[StatusName, TEXT], BY_KIND]]


class GrpcStatusAssertion(Part):
    """The status is `value`, or one of them, by name or by code."""

    noun: ClassVar[str] = "a status_code assertion"
    type: Annotated[str, Choice("assertion", ("status_code",), any_case=True)]
    value: Templated[
        Annotated[
            Annotated[Code, A_NUMBER] | Annotated[StatusName, TEXT] | Annotated[Annotated[list[Status], Field(min_length=1)], A_LIST],
            BY_KIND,
        ]
    ]


GrpcAssertion = Annotated[
    Annotated[GrpcStatusAssertion, Tag(f"{TAG}status_code")]
    | Annotated[TextAssertion, Tag(f"{TAG}contains")]
    | Annotated[JsonPathAssertion, Tag(f"{TAG}json_path")]
    | Annotated[HeaderAssertion, Tag(f"{TAG}header")]
    | Annotated[TimeAssertion, Tag(f"{TAG}response_time")],
    Discriminator(assertion_tag),
    BeforeValidator(known_type),
]

Dotted = Annotated[Name, Field(pattern=DOTTED)]


class GrpcStep(StepBase):
    """One call: whom, which method, with what. How the method is known: `stub_path`, `proto` or `reflection`."""

    noun: ClassVar[str] = "a step of grpc_user"
    target: Name | None = None
    host: Name | None = None
    stub_path: Dotted | None = None
    request_path: Dotted | None = None
    proto: Annotated[Annotated[Name, TEXT] | Annotated[Annotated[list[Name], Field(min_length=1)], A_LIST], BY_KIND] | None = None
    import_paths: list[Name] | None = None
    reflection: Flag | None = None
    service: Name | None = None
    method: Name
    rpc: Annotated[str, Choice("kind of call", tuple(RPC_KINDS), any_case=True)] | None = None
    payload: Any = None
    metadata: Annotated[Annotated[dict[str, Scalar], AN_OBJECT] | Annotated[list[Pair], A_LIST], BY_KIND] | None = None
    timeout: Templated[Positive] | None = None
    tls: Flag | None = None
    verify: Name | None = None
    cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None
    server_name: Name | None = None
    channels: Annotated[Int, Field(ge=1, le=10_000)] | None = None
    max_messages: Annotated[Int, Field(ge=1, le=HIGHEST)] | None = None
    first_message: Flag | None = None
    assertions: list[GrpcAssertion] | None = None  # type: ignore[assignment]  # narrower: statuses are gRPC's

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        given = {key for key, value in raw.items() if value is not None and value is not False}
        if {"target", "host"} <= given:
            yield Fault(("target",), "says the same as 'host'", "keep one of them")
        yield from _source_faults(given, raw)
        for key in ("verify", "cert", "server_name"):
            if raw.get("tls") is False and key in given:
                yield Fault((key,), "has no meaning without TLS", "remove it, or the line with tls")
        kind = RPC_KINDS.get(str(raw.get("rpc")).lower())
        for key in ("max_messages", "first_message"):
            if kind is not None and not kind[1] and key in given:
                yield Fault((key,), f"has no meaning for rpc {raw['rpc']!r}: one message comes back", "remove it")
        yield from _metadata_faults(raw.get("metadata"))

    def plain(self) -> JsonObject:
        """As `StepBase.plain`, with `target` for its other spelling."""
        return {("target" if key == "host" else key): value for key, value in super().plain().items()}


def _source_faults(given: set[str], raw: dict[str, object]) -> Iterable[Fault]:
    sources = [key for key in ("stub_path", "proto", "reflection") if key in given]
    if not sources:
        yield Fault(("proto",), "is missing", 'say how the method is known: "proto": a file, "reflection": true, or "stub_path": a class')
    elif len(sources) > 1:
        yield Fault((sources[1],), f"can't be used together with {sources[0]!r}", "keep one: both say how the method is known")
    for key, of in (("request_path", "stub_path"), ("import_paths", "proto")):
        if key in given and of not in given:
            yield Fault((key,), f"has no meaning without {of}", "remove it")
    method = raw.get("method")
    if isinstance(method, str) and sources and not has_placeholder(method):
        service, slash, _ = method.lstrip("/").rpartition("/")
        if "stub_path" in given:
            if slash or "service" in given:
                yield Fault(("method" if slash else "service",), "the stub says which service it is", "write only the name of the method")
        elif slash and "service" in given and raw["service"] != service:
            yield Fault(("service",), f"contradicts method {shorten(method)}", "keep one of them")
        elif not slash and "service" not in given:
            yield Fault(("service",), "is missing", 'or write the method whole, like "package.Service/Method"')


def _metadata_faults(metadata: object) -> Iterable[Fault]:
    entries: list[tuple[int | str, object]] = []
    if isinstance(metadata, dict):
        entries = [(key, key) for key in metadata]
    elif isinstance(metadata, list):
        entries = [(index, pair[0]) for index, pair in enumerate(metadata) if isinstance(pair, list) and pair]
    for place, key in entries:
        trouble = key_trouble(key) if isinstance(key, str) and not has_placeholder(key) else None
        if trouble is not None:
            yield Fault(("metadata", place), *trouble)
