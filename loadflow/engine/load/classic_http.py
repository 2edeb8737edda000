"""`http_user`: the `requests` library, one session per virtual user; the same prepared requests as `fast_http_user` sends."""

from __future__ import annotations

import http.client

import gevent
import requests
import requests.adapters
import requests.exceptions
import urllib3
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict

from loadflow.engine.load.http_reply import HttpReply, status_failure
from loadflow.engine.load.http_request import HttpRequest, HttpStep
from loadflow.engine.load.protocol import HitFailure, UserProtocol
from loadflow.engine.plan.plan import Plan
from loadflow.engine.records.outcome import Outcome

__all__ = ["HTTP", "HttpClient"]

BLOCK_BYTES = 65_536


class HttpClient:
    """One virtual user's session: its connections and cookies."""

    def __init__(self, plan: Plan) -> None:
        self._max_body_bytes = plan.max_body_bytes
        self._session = requests.Session()
        self._session.trust_env = False  # proxies and netrc of the machine would change what is tested
        self._session.headers.clear()
        adapter = requests.adapters.HTTPAdapter(max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def perform(self, request: HttpRequest) -> HttpReply:
        timer = gevent.Timeout.start_new(request.timeout_s)
        try:
            return self._perform(request)
        except gevent.Timeout as fired:
            if fired is not timer:
                raise
            raise HitFailure(Outcome.TIMEOUT, f"no whole answer within {request.timeout_s:g} s") from None
        finally:
            timer.close()

    def close(self) -> None:
        self._session.close()

    def _perform(self, request: HttpRequest) -> HttpReply:
        response = self._session.send(
            self._prepared(request),
            stream=True,
            timeout=(request.connect_timeout_s, request.timeout_s),
            verify=request.verify,
            cert=request.cert,
            allow_redirects=request.allow_redirects,
        )
        try:
            body = bytearray()
            for block in response.raw.stream(BLOCK_BYTES, decode_content=False):
                body += block
                if len(body) > self._max_body_bytes:
                    break
            reply = self._reply(request, response, body)
            if len(body) > self._max_body_bytes:
                raise HitFailure(Outcome.TOO_LARGE, f"the body is over max_body_bytes ({self._max_body_bytes:,})", reply)
            return reply
        finally:
            response.close() if len(body) > self._max_body_bytes else response.raw.release_conn()

    def _prepared(self, request: HttpRequest) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        prepared.headers = CaseInsensitiveDict(request.headers)
        prepared.body = request.body or None
        prepared.hooks = requests.hooks.default_hooks()
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            prepared.headers.setdefault("Content-Length", str(len(request.body)))
        jar = requests.cookies.RequestsCookieJar()
        jar.update(self._session.cookies)
        prepared._cookies = jar  # type: ignore[attr-defined]  # where requests looks for them after a redirect
        known = requests.cookies.get_cookie_header(jar, prepared)  # type: ignore[no-untyped-call]
        cookies = "; ".join(part for part in (known, request.cookies) if part)
        if cookies:
            prepared.headers["Cookie"] = cookies
        return prepared

    def _reply(self, request: HttpRequest, response: requests.Response, body: bytearray) -> HttpReply:
        hops = [*response.history, response]
        sent = sum(len(request.head) + 2 + len(hop.request.body or b"") for hop in hops)
        received = len(body) + sum(_head_bytes(hop) + (len(hop.content) if hop is not response else 0) for hop in hops)
        reply = HttpReply(
            response.status_code,
            response.reason or "",
            response.raw.headers,
            body,
            url=response.url,
            sent_bytes=sent,
            received_bytes=received,
            max_body_bytes=self._max_body_bytes,
        )
        reply.redirects = len(response.history)
        return reply


def _head_bytes(response: requests.Response) -> int:
    """Status line and header fields as they were on the wire, but for unusual spacing."""
    return len(f"HTTP/1.1 {response.status_code} {response.reason}\r\n\r\n") + sum(
        len(name) + len(value) + 4 for name, value in response.raw.headers.items()
    )


def _outcome_by_cause(error: BaseException) -> Outcome | None:
    """`requests` wraps most of what can happen in ConnectionError; what it wraps says which it was."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        for kind, outcome in CAUSES:
            if isinstance(one, kind):
                return outcome
        pending += [
            one.__cause__,
            one.__context__,
            getattr(one, "reason", None),
            *(arg for arg in one.args if isinstance(arg, BaseException)),
        ]
    return None


CAUSES: tuple[tuple[type[BaseException], Outcome], ...] = (
    (urllib3.exceptions.NameResolutionError, Outcome.DNS),
    (urllib3.exceptions.SSLError, Outcome.TLS),
    (requests.exceptions.SSLError, Outcome.TLS),
    (requests.exceptions.TooManyRedirects, Outcome.REDIRECT),
    (requests.exceptions.InvalidSchema, Outcome.REDIRECT),
    (requests.exceptions.InvalidURL, Outcome.REDIRECT),
    (urllib3.exceptions.NewConnectionError, Outcome.CONNECT),
    (urllib3.exceptions.ConnectTimeoutError, Outcome.TIMEOUT),
    (requests.exceptions.Timeout, Outcome.TIMEOUT),
    (urllib3.exceptions.IncompleteRead, Outcome.CLOSED),
    (ConnectionResetError, Outcome.CLOSED),
    (BrokenPipeError, Outcome.CLOSED),
    (http.client.HTTPException, Outcome.PROTOCOL),
    (urllib3.exceptions.TimeoutError, Outcome.TIMEOUT),
)


class _HttpProtocol(UserProtocol):
    """Looks behind the wrappers before it asks the table."""

    def outcome_of(self, error: BaseException) -> Outcome:
        return _outcome_by_cause(error) or super().outcome_of(error)


HTTP = _HttpProtocol(
    user="http_user",
    prepare=HttpStep,
    new_client=HttpClient,
    errors=(
        (requests.exceptions.ContentDecodingError, Outcome.PROTOCOL),
        (urllib3.exceptions.ProtocolError, Outcome.PROTOCOL),
        (requests.exceptions.ConnectionError, Outcome.CLOSED),
        (requests.exceptions.RequestException, Outcome.PROTOCOL),
        (UnicodeError, Outcome.DNS),
        (OSError, Outcome.CONNECT),
    ),
    fails=status_failure,
)
