"""A step that sends one HTTP request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic.config import JsonDict

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.http.method import AnyMethod
from loadflow.engine.protocols.model.assertion import JsonPath
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.protocols.model.values import Base64, CertAndKey, Pair, Scalar, WrittenNumber
from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, kind_of, wrong
from loadflow.engine.script.part import (
    A_FLAG,
    A_LIST,
    A_NUMBER,
    AN_OBJECT,
    BY_KIND,
    HIGHEST,
    NULL,
    TEXT,
    Choice,
    Flag,
    Int,
    Name,
    Part,
    Positive,
    Templated,
    Text,
)

__all__ = ["HttpStep", "MappedHttpStep", "Method"]

Method = Annotated[str, AnyMethod()]


Scalars = Annotated[
    Annotated[Text, TEXT]
    | Annotated[WrittenNumber, A_NUMBER]
    | Annotated[Flag, A_FLAG]
    | Annotated[None, NULL]
    | Annotated[list[Scalar], A_LIST],
    BY_KIND,
]
Fields = Annotated[Annotated[dict[str, Scalars], AN_OBJECT] | Annotated[list[Pair], A_LIST], BY_KIND]
Body = Annotated[
    Annotated[dict[str, Scalars], AN_OBJECT] | Annotated[list[Pair], A_LIST] | Annotated[Text, TEXT],
    BY_KIND,
]


ConnectRead = Annotated[list[Templated[Positive] | None], Field(min_length=2, max_length=2)]


class Upload(Part):
    """One file of a multipart form: its bytes come from a path, from text, or from base64."""

    noun: ClassVar[str] = "a file"
    path: Name | None = None
    content: Text | None = None
    content_base64: Text | None = None
    filename: Name | None = None
    content_type: Name | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        given = [key for key in ("path", "content", "content_base64") if raw.get(key) is not None]
        if len(given) != 1:
            yield Fault((), f"a file has exactly one of path, content, content_base64, not {' and '.join(given) or 'none'}")


class NamedUpload(Upload):
    """A file of a list, which says its form field itself, so that one field can hold several files."""

    field: Name


OneFile = Annotated[Annotated[Name, TEXT] | Annotated[Upload, AN_OBJECT], BY_KIND]
Files = Annotated[Annotated[dict[str, OneFile], AN_OBJECT] | Annotated[list[NamedUpload], A_LIST], BY_KIND]


class BasicAuth(Part):
    """RFC 7617."""

    noun: ClassVar[str] = "basic auth"
    type: Annotated[str, Choice("auth type", ("basic",), any_case=True)]
    username: Text
    password: Text


class BearerAuth(Part):
    """RFC 6750."""

    noun: ClassVar[str] = "bearer auth"
    type: Annotated[str, Choice("auth type", ("bearer",), any_case=True)]
    token: Name


class AwsAuth(Part):
    """AWS Signature Version 4."""

    noun: ClassVar[str] = "aws auth"
    type: Annotated[str, Choice("auth type", ("aws",), any_case=True)]
    access_key: Name
    secret_key: Name
    region: Name
    service: Name
    session_token: Name | None = None


class DigestAuth(Part):
    """RFC 7616."""

    noun: ClassVar[str] = "digest auth"
    type: Annotated[str, Choice("auth type", ("digest",), any_case=True)]
    username: Text
    password: Text


class OAuth2Auth(Part):
    """Tokens by client credentials (RFC 6749 section 4.4)."""

    noun: ClassVar[str] = "oauth2 auth"
    type: Annotated[str, Choice("auth type", ("oauth2",), any_case=True)]
    token_url: Name
    client_id: Name
    client_secret: Name
    scope: Name | None = None
    audience: Name | None = None
    client_auth: Annotated[str, Choice("client_auth", ("basic", "body"))] | None = None
    per: Annotated[str, Choice("per", ("load", "user"))] | None = None


AUTH_TYPES = ("basic", "bearer", "digest", "oauth2", "aws")
_AUTH_TYPE = Choice("auth type", AUTH_TYPES, any_case=True)


def _known_auth(value: object) -> object:
    if not isinstance(value, dict):
        raise wrong(f"must be an object, not {kind_of(value)}", 'for example {"type": "bearer", "token": "${env.TOKEN}"}')
    if "type" not in value:
        raise wrong("is missing", f"allowed: {', '.join(AUTH_TYPES)}", "type")
    try:
        _AUTH_TYPE.read(value["type"])
    except ValidationError as error:
        raise bundle(Fault(("type", *fault.loc), fault.message, fault.hint) for fault in faults_of(error)) from None
    return value


def _auth_tag(value: object) -> str:
    return TAG + str(value.get("type") if isinstance(value, dict) else getattr(value, "type", "")).lower()


Auth = Annotated[
    Annotated[BasicAuth, Tag(f"{TAG}basic")]
    | Annotated[BearerAuth, Tag(f"{TAG}bearer")]
    | Annotated[AwsAuth, Tag(f"{TAG}aws")]
    | Annotated[DigestAuth, Tag(f"{TAG}digest")]
    | Annotated[OAuth2Auth, Tag(f"{TAG}oauth2")],
    Discriminator(_auth_tag),
    BeforeValidator(_known_auth),
]


_SYNONYMS = (("url", "request_url"), ("client_cert", "cert"))  # the second is the one we use

# A request has one body; only `data` and `files` go together.
_ONE_BODY = (("json", "data"), ("json", "files"), *(("data_base64", key) for key in ("json", "data", "files")))


def _given(*keys: str) -> JsonDict:
    """The schema of an object in which all `keys` are there and not null."""
    return {"required": [*keys], "properties": {key: {"not": {"type": "null"}} for key in keys}}


class Stream(Part):
    """The answer is read as events while it comes."""

    noun: ClassVar[str] = "a stream"
    until: Annotated[Name, Field(description="The data, or the name, of the event that ends it")] | None = None
    max_events: Annotated[Int, Field(ge=1, le=HIGHEST, description="It ends after so many")] | None = None
    format: Annotated[
        Annotated[str, Choice("format", ("sse", "lines"))] | None,
        Field(description="Server-Sent Events, or one in each line; default: by the answer's Content-Type"),
    ] = None
    tokens: Annotated[JsonPath, Field(description="Where the tokens of an event are: a text is one, a number is so many")] | None = None


class MappedHttpStep(StepBase):
    """A step whose method may come from the key that holds it, as in `{"get": {…}}`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [_given("request_url"), _given("url")],
            "not": {"anyOf": [_given(*pair) for pair in (*_SYNONYMS, *_ONE_BODY)]},
        }
    )

    noun: ClassVar[str] = "an HTTP step"
    method: Method | None = None
    request_url: Name | None = None
    url: Name | None = None
    params: Fields | None = None
    headers: dict[str, Scalar] | None = None
    cookies: dict[str, Scalar] | None = None
    json_body: object = Field(None, alias="json")
    data: Body | None = None
    data_base64: Base64 | None = None
    files: Files | None = None
    auth: Auth | None = None
    timeout: Templated[Annotated[Annotated[Positive, A_NUMBER] | Annotated[ConnectRead, A_LIST], BY_KIND]] | None = None
    verify: Annotated[Annotated[Flag, A_FLAG] | Annotated[Name, TEXT], BY_KIND] | None = None
    cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None
    client_cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None
    cert_password: Text | None = None
    sni: Name | None = None
    allow_redirects: Templated[Flag] | None = None
    stream: Stream | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        given = {key for key, value in raw.items() if value is not None}
        if not given & {"request_url", "url"}:
            yield Fault(("request_url",), "is missing", "every HTTP step needs the URL it asks for")
        for key, other in _SYNONYMS:
            if {key, other} <= given:
                yield Fault((key,), f"says the same as {other!r}", "keep one of them")
        for one, other in _ONE_BODY:
            if {one, other} <= given:
                yield Fault((other,), f"can't be sent together with {one!r}: a request has one body", "keep one of them")
        if "cert_password" in given and not given & {"cert", "client_cert"}:
            yield Fault(("cert_password",), "is for a client certificate, and there is none", "write cert, or remove it")
        if "files" in given and isinstance(raw.get("data"), str):
            yield Fault(("data",), "must be fields, not text, when files are sent too", "write an object or a list of pairs")

    def plain(self) -> JsonObject:
        """As `StepBase.plain`, with `request_url` and `cert` for their other spellings."""
        renamed = dict(_SYNONYMS)
        return {renamed.get(key, key): value for key, value in super().plain().items()}


class HttpStep(MappedHttpStep):
    """A step that names its method."""

    method: Method
