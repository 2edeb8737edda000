"""`http_user`: the `requests` library, one adapter per virtual user; the same prepared requests as `fast_http_user` sends.

Redirects and cookies are ours, so that they mean the same for both; connections, TLS and reading are those of `requests`.
"""

from __future__ import annotations

import requests
import requests.adapters
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict

from loadflow.engine.load.classic_errors import CLASSIC_ERRORS, as_failure
from loadflow.engine.load.cookies import Cookies
from loadflow.engine.load.http_reply import HttpReply, status_failure
from loadflow.engine.load.http_request import BODY_METHODS, HttpRequest, HttpStep, field_bytes
from loadflow.engine.load.protocol import HitFailure, UserProtocol
from loadflow.engine.load.redirects import follow
from loadflow.engine.load.strict_http import StrictAdapter
from loadflow.engine.plan.plan import Plan
from loadflow.engine.records.outcome import Outcome

__all__ = ["HTTP", "HttpClient"]

BLOCK_BYTES = 65_536


class HttpClient:
    """One virtual user's connections and cookies."""

    def __init__(self, plan: Plan) -> None:
        self._max_body_bytes = plan.max_body_bytes
        self._cookies = Cookies()
        # no session above it: that one reads the machine's proxies and netrc, and has redirects and cookies of its own
        self._adapter = StrictAdapter(max_retries=0)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def perform(self, request: HttpRequest) -> HttpReply:
        """Raises HitFailure for whatever went wrong."""
        return follow(request, self._exchange)

    def close(self) -> None:
        self._adapter.close()

    def _exchange(self, request: HttpRequest) -> HttpReply:
        try:
            return self._ask(request)
        except CLASSIC_ERRORS as error:
            raise as_failure(error, request) from None

    def _ask(self, request: HttpRequest) -> HttpReply:
        cookies = self._cookies.header_for(request)
        response = self._adapter.send_exactly(
            request.target,
            _prepared(request, cookies),
            stream=True,
            timeout=(request.connect_timeout_s, request.timeout_s),
            verify=request.verify,
            cert=request.cert,
        )
        body = bytearray()
        try:
            for block in response.raw.stream(BLOCK_BYTES, decode_content=False):
                body += block
                if len(body) > self._max_body_bytes:
                    break
        finally:
            response.close() if len(body) > self._max_body_bytes else response.raw.release_conn()
        fields = response.raw.headers
        if "set-cookie" in fields:
            self._cookies.store(request, fields.items())
        reply = HttpReply(
            response.status_code,
            response.reason or "",
            fields,
            body,
            url=request.url,
            sent_bytes=len(request.head) + 2 + len(request.body) + (len(field_bytes(cookies)) + len("Cookie: \r\n") if cookies else 0),
            received_bytes=_head_bytes(response) + len(body),
            max_body_bytes=self._max_body_bytes,
        )
        if len(body) > self._max_body_bytes:
            raise HitFailure(Outcome.TOO_LARGE, f"the body is over max_body_bytes ({self._max_body_bytes:,})", reply)
        return reply


def _prepared(request: HttpRequest, cookies: str) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = request.method
    prepared.url = request.url
    # as bytes: http.client writes text as Latin-1 or not at all
    headers: CaseInsensitiveDict[str | bytes] = CaseInsensitiveDict((name, field_bytes(value)) for name, value in request.headers)
    prepared.headers = headers  # type: ignore[assignment]
    prepared.body = request.body or None
    prepared.hooks = requests.hooks.default_hooks()
    if request.body or request.method in BODY_METHODS:
        headers.setdefault("Content-Length", str(len(request.body)))
    if cookies:
        headers["Cookie"] = field_bytes(cookies)
    return prepared


def _head_bytes(response: requests.Response) -> int:
    """Status line and header fields as they were on the wire, but for unusual spacing."""
    return len(f"HTTP/1.1 {response.status_code} {response.reason}\r\n\r\n") + sum(
        len(name) + len(value) + 4 for name, value in response.raw.headers.items()
    )


HTTP = UserProtocol(
    user="http_user",
    prepare=HttpStep,
    new_client=lambda user: HttpClient(user.plan),
    errors=((OSError, Outcome.CONNECT),),
    fails=status_failure,
)
