"""`http_user`: the `requests` library, one adapter per virtual user; the same prepared requests as `fast_http_user` sends.

Redirects, cookies and reading are ours, so that they mean the same for both; connections and TLS are those of `requests`.
"""

from __future__ import annotations

import requests
import requests.adapters
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict

from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.http.answer_reader import AnswerReader
from loadflow.engine.protocols.http.classic_errors import CLASSIC_ERRORS, as_failure
from loadflow.engine.protocols.http.cookies import Cookies
from loadflow.engine.protocols.http.redirects import follow
from loadflow.engine.protocols.http.reply import HttpReply, reply_of, status_failure
from loadflow.engine.protocols.http.request import BODY_METHODS, HttpRequest, HttpStep, field_bytes
from loadflow.engine.protocols.http.strict import Exchange, StrictAdapter
from loadflow.engine.protocols.running.seam import Traffic, UserProtocol
from loadflow.engine.records.outcome import Outcome

__all__ = ["HTTP", "HttpClient"]


class HttpClient:
    """One virtual user's connections and cookies."""

    def __init__(self, plan: Plan) -> None:
        self.traffic = Traffic()
        self._max_body_bytes = plan.max_body_bytes
        self._cookies = Cookies()
        # no session above it: that one reads the machine's proxies and netrc, and has redirects and cookies of its own
        self._adapter = StrictAdapter(max_retries=0)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def perform(self, request: HttpRequest) -> HttpReply:
        """Raises HitFailure for whatever went wrong."""
        return follow(request, self.traffic, self._exchange)

    def close(self) -> None:
        self._adapter.close()

    def _exchange(self, request: HttpRequest) -> HttpReply:
        try:
            return self._ask(request)
        except CLASSIC_ERRORS as error:
            raise as_failure(error, request) from None

    def _ask(self, request: HttpRequest) -> HttpReply:
        reader = AnswerReader(request.method, self._max_body_bytes)
        self._adapter.send_exactly(
            Exchange(request.target, request.closes, reader, self.traffic),
            _prepared(request, self._cookies.header_for(request)),
            timeout=(request.connect_timeout_s, request.timeout_s),
            verify=request.verify,
            cert=request.cert,
        )
        self._cookies.store(request, reader.fields)
        return reply_of(reader, request, self._max_body_bytes)


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


HTTP = UserProtocol(
    user="http_user",
    prepare=HttpStep,
    new_client=lambda user: HttpClient(user.plan),
    errors=((OSError, Outcome.CONNECT),),
    fails=status_failure,
    traffic=lambda client: client.traffic,
)
