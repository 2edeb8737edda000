"""An HTTP step, compiled, and the request it gives per hit: one meaning for every HTTP user.

What is the same for all hits (usually all of it but a value or two) is made once: a step without placeholders gives the same
request object every time, with its bytes already laid out.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.base.values import shown, text_of
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.http.aws_signature import signed_fields, signed_target
from loadflow.engine.protocols.http.credentials import authorization_of, aws_keys, digest_keys, kind_of_auth
from loadflow.engine.protocols.http.digest import DigestKeys
from loadflow.engine.protocols.http.events import StreamRule
from loadflow.engine.protocols.http.name import default_name
from loadflow.engine.protocols.http.oauth2 import TokenRequest, Tokens, fetched
from loadflow.engine.protocols.running.fence import Fence
from loadflow.engine.protocols.running.filling import filled, flag, json_text, peer_files, seconds
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import Certificate
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, known_text

if TYPE_CHECKING:  # `requests` and urllib3 are imported where they are used: few steps need them, and they take longer than all the rest
    from urllib3.fields import RequestField

__all__ = [
    "DEFAULT_TIMEOUT_S",
    "FIELD_NAME",
    "FIELD_VALUE",
    "PARTS",
    "USER_AGENT",
    "HttpRequest",
    "HttpStep",
    "Limits",
    "authority",
    "body_of",
    "decoded",
    "default_fields",
    "field_bytes",
    "head_of",
    "is_signed",
    "is_used",
    "place_of",
    "refuse_unsendable",
    "server_name",
]

DEFAULT_TIMEOUT_S = 60.0
UNCODED = {"Accept-Encoding": "identity"}  # of a stream of events: what is coded can't be read as it comes
# RFC 3986: what may stand in a path and query as it is; `%` with two digits is taken as already encoded, any other is a letter
PLAIN_TARGET = re.compile(r"[!#$&'()*+,/:;=?@\[\]~\w.-]*(?:%[0-9A-Fa-f]{2}[!#$&'()*+,/:;=?@\[\]~\w.-]*)*", re.ASCII)
UNPLAIN = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,/:;=?@\[\]~\w.-]+", re.ASCII)
FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")  # RFC 9110 section 5.5: no line breaks, no control characters
FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
HOST = re.compile(r"[\w.~-]+|[0-9A-Fa-f:.]+", re.ASCII)  # a name, or an IPv6 address
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# urlsplit drops line ends and tabs in silence; they are a part of the value and are sent encoded
LONGEST_HOST = 255  # RFC 1035 section 2.3.4
UNSPLITTABLE = re.compile(r"[\x00-\x20\x7f]")
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
USER_AGENT = "loadflow"
DEFAULT_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}

TOKENS = Tokens(fetched)  # of this process

Pairs = list[tuple[str, str]]


def default_fields(plan: Plan) -> dict[str, str]:
    """What every request has that says nothing else. HTTP/2 and HTTP/3 have no field about connections."""
    closes = plan.connections.kept == "per_request" and plan.http_version is None
    return {**DEFAULT_HEADERS, **({"Connection": "close"} if closes else {})}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Everything that goes out, but for the cookies the user's jar adds. `target` is path and query, encoded.

    `head` is the request line and header fields as bytes, each line with its end, without the empty line behind them.
    """

    method: str
    scheme: str
    host: str  # without brackets
    port: int
    target: str
    headers: Pairs
    body: bytes
    cookies: str  # the step's own, as a header value; "" when there are none
    connect_timeout_s: float
    timeout_s: float  # for the whole exchange
    verify: bool | str
    cert: Certificate
    sni: str | None  # what TLS calls the peer; None: as the URL does
    allow_redirects: bool
    closes: bool  # it asks for the connection to end with the answer (RFC 9112 section 9.6)
    head: bytes
    stream: StreamRule | None = None  # its answer is read as events
    digest: DigestKeys | None = None  # what a challenge of Digest is answered with

    @property
    def url(self) -> str:
        return f"{self.scheme}://{authority(self.scheme, self.host, self.port)}{self.target}"

    def with_field(self, name: str, value: str) -> HttpRequest | None:
        """With one header field more; None where it has a field of this name. `value` is ASCII."""
        if any(own.lower() == name for own, _ in self.headers):
            return None
        return replace(self, headers=[*self.headers, (name, value)], head=self.head + f"{name}: {value}\r\n".encode())


class HttpStep:
    """A compiled step. `name` is None where it has placeholders that differ per hit; `fixed` is the request where all hits have the same.

    `clock` gives Unix seconds, for signatures.
    """

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        self.method: str = config["method"]
        self.clock: Callable[[], float] = time.time
        self._base = plan.host
        self.stream = StreamRule.of(config["stream"]) if config.get("stream") is not None else None
        self.defaults = {**default_fields(plan), **(UNCODED if self.stream is not None else {})}
        self._url = compiler(config["request_url"])
        self._parts = {key: compiler(config[key]) for key in PARTS if is_used(key, config)}
        self._name = compiler(config["name"]) if config.get("name") is not None else None
        self.place = _place(config["request_url"], plan, compiler)
        self.name: str | None = default_name(config, plan, compiler)
        if self._name is not None:
            self.name = text_of(self._name.value) if self._name.is_static else None
        self.fixed: HttpRequest | None = None
        self._fetches = False  # tokens, not before a load
        self._fence = Fence(plan.allowed_hosts)
        if self._url.is_static and all(part.is_static for part in self._parts.values()):
            # no placeholder anywhere, so what is wrong with it is wrong with every hit: raised before the load starts
            made = self._build(None)
            self.fixed = None if is_signed(config) else made
        self._fetches = True

    def render(self, scope: Scope) -> HttpRequest:
        return self.fixed if self.fixed is not None else self._build(scope)

    def render_name(self, scope: Scope) -> str:
        return self.name if self.name is not None else text_of(filled(self._name, scope))

    def sample(self, request: HttpRequest) -> dict[str, object]:
        cookies = [("Cookie", request.cookies)] if request.cookies else []
        headers: dict[str, str] = {}
        for name, value in [*request.headers, *cookies]:
            headers[name] = value
        return {"method": request.method, "url": request.url, "headers": headers, "body": request.body.decode("utf-8", "backslashreplace")}

    def _build(self, scope: Scope | None) -> HttpRequest:
        url = filled(self._url, scope)  # in the order in which the native core fills them in: a seeded user's draws have one order
        user = None if scope is None else scope.user
        return self.made_of({key: filled(part, scope) for key, part in self._parts.items()}, url, user)

    def made_of(self, values: StepValues, url: Any, user: int | None = None, *, waits: bool = True) -> HttpRequest:
        """The request of these values, by the keys of a step. Raises HitFailure where they make none, and unless it `waits` for a token,
        NotYet where that is not there."""
        try:
            return self._assemble(values, _absolute(text_of(url), self._base), user, waits=waits)
        except UnicodeError as error:
            raise HitFailure(Outcome.TEMPLATE, f"a value holds a character that can't be sent: {error}") from None
        except (TypeError, ValueError, LookupError, AttributeError) as error:  # a variable of the wrong kind, e.g. a number as `params`
            raise HitFailure(Outcome.TEMPLATE, f"the values of this hit make no request: {error}") from None

    def _assemble(self, values: StepValues, url: str, user: int | None, *, waits: bool) -> HttpRequest:
        scheme, host, port, target = place_of(url, values.get("params"), Outcome.TEMPLATE)
        body, content_type = body_of(values)
        authorization = self._authorization(values.get("auth"), url, user, waits=waits)
        stream, defaults = self.stream, self.defaults
        if stream is None and values.get("stream") is not None:  # of a function of Python, which says it for each request
            stream, defaults = StreamRule.of(values["stream"]), {**defaults, **UNCODED}
        headers, own_cookies = _headers(values, defaults, content_type, authorization)
        limits = Limits.of(values)
        if (keys := aws_keys(values.get("auth"))) is not None:
            target = signed_target(target)
            own_host = next((value for name, value in headers if name.lower() == "host"), authority(scheme, host, port))
            headers += signed_fields(self.method, own_host, target, headers, body, keys, self.clock())
            for name, value in headers:
                refuse_unsendable(name, value)
        return HttpRequest(
            method=self.method,
            scheme=scheme,
            host=host,
            port=port,
            target=target,
            headers=headers,
            body=body,
            cookies="; ".join(part for part in (own_cookies, _cookie_pairs(values.get("cookies"))) if part),
            connect_timeout_s=limits.connect_s,
            timeout_s=limits.total_s,
            verify=limits.verify,
            cert=limits.cert,
            sni=limits.sni,
            allow_redirects=limits.follow,
            closes=asks_to_close(headers),
            head=head_of(self.method, scheme, host, port, target, headers, body),
            stream=stream,
            digest=digest_keys(values.get("auth")),
        )

    def _authorization(self, auth: Mapping[str, object] | None, url: str, user: int | None, *, waits: bool) -> str:
        if kind_of_auth(auth) != "oauth2" or auth is None:
            return authorization_of(auth, url)
        if not self._fetches:
            return ""
        asked = TokenRequest.of(auth, user)
        parts = urlsplit(asked.token_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HitFailure(Outcome.TEMPLATE, f"auth: the token_url {shown(asked.token_url[:100])} is not an http or https URL")
        if (refusal := self._fence.refusal(parts.hostname, ())) is not None:
            raise HitFailure(Outcome.FORBIDDEN, refusal)
        return f"Bearer {TOKENS.token(asked) if waits else TOKENS.token_now(asked)}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a request may take, whom its TLS trusts, what it shows, what it calls the peer, whether it follows redirects."""

    connect_s: float
    total_s: float
    verify: bool | str
    cert: Certificate
    sni: str | None
    follow: bool

    @classmethod
    def of(cls, values: StepValues) -> Limits:
        """From the keys of a step, filled in. Raises HitFailure for what can't be used."""
        timeout = values.get("timeout")
        connect_s, total_s = timeout if isinstance(timeout, list) else (timeout, timeout)
        total_s = seconds(total_s, DEFAULT_TIMEOUT_S)
        verify, cert = peer_files(values)
        sni = None if values.get("sni") is None else server_name(text_of(values["sni"]))
        return cls(seconds(connect_s, total_s), total_s, verify, cert, sni, flag(values.get("allow_redirects", True)))


def server_name(text: str) -> str:
    """A host name as TLS sends it. Raises HitFailure."""
    try:
        return _host(text.strip("[]").lower())
    except ValueError as error:
        raise HitFailure(Outcome.TEMPLATE, f"sni: {error}") from None


# in the order in which they are filled in
PARTS = (
    *("params", "json", "data", "data_base64", "files", "auth", "headers", "cookies"),
    *("timeout", "verify", "cert", "cert_password", "sni", "allow_redirects"),
)


def is_used(key: str, config: StepJson) -> bool:
    """Whether a step has this part; credentials give way to its own Authorization field."""
    if config.get(key) is None:
        return False
    return key != "auth" or all(name.lower() != "authorization" or value is None for name, value in (config.get("headers") or {}).items())


def authority(scheme: str, host: str, port: int) -> str:
    """Host and port as they stand in a URL or a Host field."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == (443 if scheme == "https" else 80) else f"{shown}:{port}"


def _absolute(url: str, base: str | None) -> str:
    scheme = SCHEME.match(url)
    if scheme is not None and scheme.group().lower() in ("http://", "https://"):
        return url
    if base is None or scheme is not None:
        raise HitFailure(Outcome.TEMPLATE, f"{shown(url[:100])} is not an http or https URL; write one, or set `host`")
    return f"{base.rstrip('/')}/{url.lstrip('/')}"


def place_of(url: str, params: object, outcome: Outcome) -> tuple[str, str, int, str]:
    """Scheme, host, port and encoded target of an absolute URL, with `params` added to its query.

    Raises HitFailure, of kind `outcome`, for what can't be asked over HTTP.
    """
    url = url.strip()
    if UNSPLITTABLE.search(url):
        url = UNSPLITTABLE.sub(lambda match: quote(match.group()), url)
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError as error:  # UnicodeError, of a name that IDNA can't write, is one
        raise HitFailure(outcome, f"{shown(url[:100])} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise HitFailure(outcome, f"{shown(url[:100])} can't be asked over HTTP")
    target = parts.path or "/"
    query = parts.query
    if params:
        added = urlencode(_pairs(params))
        query = f"{query}&{added}" if query else added
    if query:
        target = f"{target}?{query}"
    if not PLAIN_TARGET.fullmatch(target):
        target = UNPLAIN.sub(lambda match: quote(match.group(), safe=""), target)
    return parts.scheme, host, (443 if parts.scheme == "https" else 80) if port is None else port, target


@lru_cache(maxsize=1024)
def _host(host: str) -> str:
    """The host name in the form for DNS. Raises ValueError if it is not a host name."""
    if len(host) > LONGEST_HOST:  # before IDNA looks at it, which takes quadratic time
        raise ValueError(f"a host name of more than {LONGEST_HOST} characters")
    if ":" not in host:
        host = host.encode("idna").decode()  # also refuses labels that are empty or too long
    if not HOST.fullmatch(host):
        raise ValueError(f"{shown(host)} is not a host name" if host else "the host is missing")
    return host


def _pairs(fields: Any) -> Pairs:
    """Fields as pairs of text; a list gives its name once per item, null gives none."""
    items: Iterable[tuple[object, object]] = fields.items() if isinstance(fields, Mapping) else ((pair[0], pair[1]) for pair in fields)
    result: Pairs = []
    for name, value in items:
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                result.append((str(name), text_of(one)))
    return result


def body_of(values: Mapping[str, object]) -> tuple[bytes, str]:
    """The body and its content type, "" where the script has to say it itself."""
    if "json" in values:
        return json_text(values["json"]).encode(), "application/json"
    if "files" in values:
        from urllib3.fields import RequestField
        from urllib3.filepost import encode_multipart_formdata

        fields = [RequestField(name, value.encode()) for name, value in _pairs(values.get("data") or {})]
        for field in fields:
            field.make_multipart()
        return encode_multipart_formdata([*fields, *_uploads(values["files"])])
    if "data_base64" in values:
        return decoded(values["data_base64"]), ""
    data = values.get("data")
    if isinstance(data, str):
        return data.encode(), ""
    if data is not None:
        return urlencode(_pairs(data)).encode(), "application/x-www-form-urlencoded"
    return b"", ""


def decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text_of(text), validate=True)
    except ValueError:
        raise HitFailure(Outcome.TEMPLATE, "data_base64 is not Base64 once it is filled in") from None


def _uploads(files: Any) -> list[RequestField]:
    from urllib3.fields import RequestField

    entries: Sequence[tuple[str, Any]] = list(files.items()) if isinstance(files, Mapping) else [(entry["field"], entry) for entry in files]
    result = []
    for field, entry in entries:
        entry = {"path": entry} if isinstance(entry, str) else entry
        content, filename = _upload_content(entry)
        part = RequestField(field, content, filename=entry.get("filename") or filename)
        part.make_multipart(content_type=entry.get("content_type") or "application/octet-stream")
        result.append(part)
    return result


def _upload_content(entry: StepValues) -> tuple[bytes, str]:
    if entry.get("path") is not None:
        path = Path(entry["path"])
        try:
            return read_regular(path), path.name
        except OSError as error:
            raise HitFailure(Outcome.TEMPLATE, f"the file {path} can't be read: {error.strerror}") from None
    if entry.get("content_base64") is not None:
        try:
            return base64.b64decode(text_of(entry["content_base64"]), validate=True), "file"
        except ValueError as error:
            raise HitFailure(Outcome.TEMPLATE, f"content_base64 is not Base64: {error}") from None
    return text_of(entry["content"]).encode(), "file"


def _headers(values: StepValues, defaults: Mapping[str, str], content_type: str, authorization: str) -> tuple[Pairs, str]:
    """The default fields, then the script's, which replace defaults of the same name; and the script's own Cookie field.

    It is apart because a request has one Cookie field, which the user's jar has a part in (RFC 6265 section 5.4).
    """
    headers = dict(defaults)
    if content_type:
        headers["Content-Type"] = content_type
    if authorization:
        headers["Authorization"] = authorization
    own = {name: text_of(value) for name, value in (values.get("headers") or {}).items() if value is not None}
    replaced = {name.lower() for name in own}
    fields = [(name, value) for name, value in headers.items() if name.lower() not in replaced] + list(own.items())
    for name, value in fields:
        refuse_unsendable(name, value)
    if "cookie" not in replaced:
        return fields, ""
    cookies = "; ".join(value.strip(" ;") for name, value in fields if name.lower() == "cookie")
    return [(name, value) for name, value in fields if name.lower() != "cookie"], cookies


def refuse_unsendable(name: str, value: str) -> None:
    """Raises HitFailure for a header field that RFC 9110 section 5 does not allow."""
    if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
        raise HitFailure(Outcome.TEMPLATE, f"the header {shown(name[:50])} holds a line break or another character that can't be sent")


def is_signed(config: StepJson) -> bool:
    """Whether each request of a step is signed by itself: a signature holds the time, a token ends."""
    return is_used("auth", config) and kind_of_auth(config["auth"]) in ("aws", "oauth2")


def _cookie_pairs(cookies: Any) -> str:
    if not cookies:
        return ""
    text = "; ".join(f"{name}={text_of(value)}" for name, value in cookies.items() if value is not None)
    if not FIELD_VALUE.fullmatch(text):
        raise HitFailure(Outcome.TEMPLATE, "a cookie holds a line break or another character that can't be sent")
    return text


def asks_to_close(headers: Pairs) -> bool:
    lists = (value for name, value in headers if name.lower() == "connection")
    return any(option.strip(" \t").lower() == "close" for value in lists for option in value.split(","))


def head_of(method: str, scheme: str, host: str, port: int, target: str, headers: Pairs, body: bytes) -> bytes:
    """The request line and header fields as bytes, each line with its end."""
    lines = [f"{method} {target} HTTP/1.1"]
    names = {name.lower() for name, _ in headers}
    if "host" not in names:
        lines.append(f"Host: {authority(scheme, host, port)}")
    lines.extend(f"{name}: {value}" for name, value in headers)
    if (body or method in BODY_METHODS) and "content-length" not in names:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines) + "\r\n"
    return text.encode("latin-1") if text.isascii() else b"".join(field_bytes(line) + b"\r\n" for line in lines)


def field_bytes(text: str) -> bytes:
    """As it crosses the wire: Latin-1 as far as that goes, else UTF-8 (RFC 9110 section 5.5 leaves both to the two ends)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _place(url: str, plan: Plan, compiler: Compiler) -> str:
    text = known_text(url, compiler)
    return text if "://" in text else f"{plan.host or ''}{text}"
