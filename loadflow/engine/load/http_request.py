"""An HTTP step, compiled, and the request it gives per hit: one meaning for every HTTP user.

What is the same for all hits (usually all of it but a value or two) is made once: a step without placeholders gives the same
request object every time, with its bytes already laid out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from requests.utils import requote_uri
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from loadflow.engine.load.protocol import HitFailure
from loadflow.engine.plan.plan import Plan
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiled, Compiler, known_text, text_of

__all__ = ["DEFAULT_TIMEOUT_S", "HttpRequest", "HttpStep", "redirected"]

DEFAULT_TIMEOUT_S = 60.0
# RFC 3986: what may stand in a path and query as it is; `%` because it is taken as already encoded
PLAIN_TARGET = re.compile(r"[!#$%&'()*+,/:;=?@\[\]~\w.-]*", re.ASCII)
FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")  # RFC 9110 section 5.5: no line breaks, no control characters
FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
DEFAULT_HEADERS = {"User-Agent": "loadflow", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}

Pairs = list[tuple[str, str]]


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
    cert: str | tuple[str, str] | None
    allow_redirects: bool
    head: bytes

    @property
    def url(self) -> str:
        return f"{self.scheme}://{authority(self.scheme, self.host, self.port)}{self.target}"


class HttpStep:
    """A compiled step. `name` is None where it has placeholders that differ per hit."""

    def __init__(self, config: Mapping[str, Any], plan: Plan, compiler: Compiler) -> None:
        self.method: str = config["method"]
        self._base = plan.host
        self._url = compiler(config["request_url"])
        self._parts = {key: compiler(config[key]) for key in PARTS if config.get(key) is not None}
        self._name = compiler(config["name"]) if config.get("name") is not None else None
        default_name = _default_name(config["request_url"], plan, compiler)
        self.name: str | None = default_name if self._name is None else text_of(self._name.value) if self._name.is_static else None
        self._fixed: HttpRequest | None = None
        if self._url.is_static and all(part.is_static for part in self._parts.values()):
            # no placeholder anywhere, so what is wrong with it is wrong with every hit: raised before the load starts
            self._fixed = self._build(None)

    def render(self, scope: Scope) -> HttpRequest:
        return self._fixed if self._fixed is not None else self._build(scope)

    def render_name(self, scope: Scope) -> str:
        return self.name if self.name is not None else text_of(_filled(self._name, scope))

    def sample(self, request: HttpRequest) -> dict[str, Any]:
        cookies = [("Cookie", request.cookies)] if request.cookies else []
        headers: dict[str, str] = {}
        for name, value in [*request.headers, *cookies]:
            headers[name] = value
        return {"method": request.method, "url": request.url, "headers": headers, "body": request.body.decode("utf-8", "backslashreplace")}

    def _build(self, scope: Scope | None) -> HttpRequest:
        values = {key: _filled(part, scope) for key, part in self._parts.items()}
        url = _absolute(text_of(_filled(self._url, scope)), self._base)
        scheme, host, port, target = _place(url, values.get("params"))
        body, content_type = _body(values)
        headers = _headers(values, content_type)
        timeout = values.get("timeout")
        connect_s, total_s = (timeout or (None, None)) if isinstance(timeout, list) else (timeout, timeout)
        total_s = _seconds(total_s, DEFAULT_TIMEOUT_S)
        return HttpRequest(
            method=self.method,
            scheme=scheme,
            host=host,
            port=port,
            target=target,
            headers=headers,
            body=body,
            cookies=_cookie_pairs(values.get("cookies")),
            connect_timeout_s=_seconds(connect_s, total_s),
            timeout_s=total_s,
            verify=_verify(values.get("verify", True)),
            cert=_cert(values.get("cert")),
            allow_redirects=_flag(values.get("allow_redirects", True)),
            head=_head(self.method, scheme, host, port, target, headers, body),
        )


PARTS = ("params", "headers", "cookies", "json", "data", "data_base64", "files", "auth", "timeout", "verify", "cert", "allow_redirects")


def authority(scheme: str, host: str, port: int) -> str:
    """Host and port as they stand in a URL or a Host field."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == (443 if scheme == "https" else 80) else f"{shown}:{port}"


def redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """The request that follows a redirect (RFC 9110 section 15.4), as browsers and `requests` do it.

    303, and 301 and 302 after POST, go on with GET and without a body; credentials stay with the host they were meant for.
    Raises HitFailure for a place that can't be asked.
    """
    url = urljoin(request.url, location)
    scheme, host, port, target = _place(url, None)
    headers = list(request.headers)
    method, body = request.method, request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = [(name, value) for name, value in headers if name.lower() not in ("content-type", "content-length", "transfer-encoding")]
    cookies = request.cookies
    if (scheme, host, port) != (request.scheme, request.host, request.port):
        headers = [(name, value) for name, value in headers if name.lower() not in ("authorization", "host")]
        cookies = ""
    head = _head(method, scheme, host, port, target, headers, body)
    return replace(
        request, method=method, scheme=scheme, host=host, port=port, target=target, headers=headers, body=body, cookies=cookies, head=head
    )


def _filled(part: Compiled | None, scope: Scope | None) -> Any:
    if part is None:
        return None
    if part.is_static:
        return part.value
    assert scope is not None
    return part.render(scope)


def _absolute(url: str, base: str | None) -> str:
    if url.startswith(("http://", "https://")):
        return url
    if base is None or "://" in url.split("/", 1)[0]:
        raise HitFailure(Outcome.TEMPLATE, f"{url[:100]!r} is no http or https URL; write one, or set `host`")
    return f"{base.rstrip('/')}/{url.lstrip('/')}"


def _place(url: str, params: Any) -> tuple[str, str, int, str]:
    """Scheme, host, port and encoded target of an absolute URL, with `params` added to its query."""
    try:
        parts: SplitResult = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise HitFailure(Outcome.TEMPLATE, f"{url[:100]!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise HitFailure(Outcome.REDIRECT, f"{url[:100]!r} can't be asked over HTTP")
    target = parts.path or "/"
    query = parts.query
    if params:
        added = urlencode(_pairs(params))
        query = f"{query}&{added}" if query else added
    if query:
        target = f"{target}?{query}"
    if not PLAIN_TARGET.fullmatch(target):
        target = requote_uri(target)
    if not host.isascii():
        host = host.encode("idna").decode()
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target


def _pairs(fields: Any) -> Pairs:
    """Fields as pairs of text; a list gives its name once per item, null gives none."""
    items: Iterable[tuple[Any, Any]] = fields.items() if isinstance(fields, Mapping) else ((pair[0], pair[1]) for pair in fields)
    result: Pairs = []
    for name, value in items:
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                result.append((str(name), text_of(one)))
    return result


def _body(values: Mapping[str, Any]) -> tuple[bytes, str]:
    """The body and its content type, "" where the script has to say it itself."""
    if "json" in values:
        return json.dumps(values["json"], ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
    if "files" in values:
        fields = [RequestField(name, value.encode()) for name, value in _pairs(values.get("data") or {})]
        for field in fields:
            field.make_multipart()
        return encode_multipart_formdata([*fields, *_uploads(values["files"])])
    if "data_base64" in values:
        return _decoded(values["data_base64"]), ""
    data = values.get("data")
    if isinstance(data, str):
        return data.encode(), ""
    if data is not None:
        return urlencode(_pairs(data)).encode(), "application/x-www-form-urlencoded"
    return b"", ""


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text_of(text), validate=True)
    except ValueError:
        raise HitFailure(Outcome.TEMPLATE, "data_base64 is no Base64 once it is filled in") from None


def _uploads(files: Any) -> list[RequestField]:
    entries: Sequence[tuple[str, Any]] = list(files.items()) if isinstance(files, Mapping) else [(entry["field"], entry) for entry in files]
    result = []
    for field, entry in entries:
        entry = {"path": entry} if isinstance(entry, str) else entry
        content, filename = _upload_content(entry)
        part = RequestField(field, content, filename=entry.get("filename") or filename)
        part.make_multipart(content_type=entry.get("content_type") or "application/octet-stream")
        result.append(part)
    return result


def _upload_content(entry: Mapping[str, Any]) -> tuple[bytes, str]:
    if entry.get("path"):
        path = Path(entry["path"])
        try:
            return path.read_bytes(), path.name
        except OSError as error:
            raise HitFailure(Outcome.TEMPLATE, f"the file {path} can't be read: {error.strerror}") from None
    if entry.get("content_base64"):
        return base64.b64decode(entry["content_base64"]), "file"
    return text_of(entry["content"]).encode(), "file"


def _headers(values: Mapping[str, Any], content_type: str) -> Pairs:
    """The default fields, then the script's, which replace defaults of the same name."""
    headers = dict(DEFAULT_HEADERS)
    if content_type:
        headers["Content-Type"] = content_type
    auth = values.get("auth")
    if auth is not None:
        headers["Authorization"] = _authorization(auth)
    own = {name: text_of(value) for name, value in (values.get("headers") or {}).items() if value is not None}
    replaced = {name.lower() for name in own}
    fields = [(name, value) for name, value in headers.items() if name.lower() not in replaced] + list(own.items())
    for name, value in fields:
        if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            raise HitFailure(Outcome.TEMPLATE, f"the header {name[:50]!r} holds a line break or another character that can't be sent")
    return fields


def _authorization(auth: Mapping[str, Any]) -> str:
    if str(auth["type"]).lower() == "bearer":
        return f"Bearer {text_of(auth['token'])}"
    pair = f"{text_of(auth['username'])}:{text_of(auth['password'])}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _cookie_pairs(cookies: Any) -> str:
    if not cookies:
        return ""
    text = "; ".join(f"{name}={text_of(value)}" for name, value in cookies.items() if value is not None)
    if not FIELD_VALUE.fullmatch(text):
        raise HitFailure(Outcome.TEMPLATE, "a cookie holds a line break or another character that can't be sent")
    return text


def _head(method: str, scheme: str, host: str, port: int, target: str, headers: Pairs, body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    names = {name.lower() for name, _ in headers}
    if "host" not in names:
        lines.append(f"Host: {authority(scheme, host, port)}")
    lines.extend(f"{name}: {value}" for name, value in headers)
    if (body or method in BODY_METHODS) and "content-length" not in names:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines) + "\r\n"
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _verify(value: Any) -> bool | str:
    return value if isinstance(value, bool) else _flag(value) if str(value).lower() in ("true", "false") else str(value)


def _cert(value: Any) -> str | tuple[str, str] | None:
    return (str(value[0]), str(value[1])) if isinstance(value, list) else None if value is None else str(value)


def _flag(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1", "yes")


def _seconds(value: Any, default: float) -> float:
    try:
        return default if value is None else max(0.001, float(value))
    except (TypeError, ValueError):
        raise HitFailure(Outcome.TEMPLATE, f"timeout {value!r} is no number of seconds") from None


def _default_name(url: str, plan: Plan, compiler: Compiler) -> str:
    """The path as the script writes it, what is known filled in, without the query: few names, and readable.

    The host stands before it only where a plan asks several.
    """
    text = known_text(url, compiler)
    base = plan.host or next((str(step["request_url"]) for step in plan.steps), "")
    base = known_text(base, compiler)
    origin = re.match(r"https?://[^/?#]*", text)
    own_origin = re.match(r"https?://[^/?#]*", base)
    path = re.split(r"[?#]", text[origin.end() :] if origin else text, maxsplit=1)[0] or "/"
    if origin and own_origin and origin.group() != own_origin.group():
        return f"{origin.group().split('://', 1)[1]}{path}"
    return path
