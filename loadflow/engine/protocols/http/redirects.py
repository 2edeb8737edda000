"""Following redirects (RFC 9110 section 15.4): the same for every HTTP user."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urljoin

from loadflow.engine.base.values import shown
from loadflow.engine.protocols.http.reply import HttpReply
from loadflow.engine.protocols.http.request import HttpRequest, head_of, place_of
from loadflow.engine.protocols.running.seam import HitFailure, Traffic
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.timings import HitTimings

__all__ = ["follow", "redirected"]

MAX_REDIRECTS = 30
REDIRECTS = frozenset({301, 302, 303, 307, 308})
OF_THE_BODY = frozenset({"content-type", "content-length", "transfer-encoding"})
OF_THE_HOST = frozenset({"authorization", "proxy-authorization", "cookie", "host"})


def follow(request: HttpRequest, traffic: Traffic, exchange: Callable[[HttpRequest], HttpReply]) -> HttpReply:
    """The last answer, within the request's time. `traffic`: what `exchange` counts, the sizes and times of all answers together.

    Raises HitFailure when that has passed, past 30 redirects, or to what can't be asked.
    """
    traffic.sent_bytes = traffic.received_bytes = 0
    traffic.timings, traffic.lacks = HitTimings(), None
    with within(request.timeout_s, lambda: f"no whole answer within {request.timeout_s:g} s"):
        reply = _follow(request, exchange)
    reply.sent_bytes, reply.received_bytes = traffic.sent_bytes, traffic.received_bytes
    return reply


def _follow(request: HttpRequest, exchange: Callable[[HttpRequest], HttpReply]) -> HttpReply:
    reply = exchange(request)
    if not request.allow_redirects or reply.status not in REDIRECTS:
        return reply
    followed = 0
    while reply.status in REDIRECTS and (location := reply.header("location")):
        if followed == MAX_REDIRECTS:
            raise HitFailure(Outcome.REDIRECT, f"more than {MAX_REDIRECTS} redirects", reply)
        followed += 1
        try:
            request = redirected(request, reply.status, location)
        except HitFailure as failure:
            raise HitFailure(failure.outcome, str(failure), reply) from None
        reply = exchange(request)
    return reply


def redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """The request that follows a redirect, as browsers do it.

    303, and 301 and 302 after POST, go on with GET and without a body; credentials stay with the host they were meant for.
    Raises HitFailure for a place that can't be asked.
    """
    with contextlib.suppress(UnicodeError):  # header fields are read as Latin-1, and most servers mean UTF-8
        location = location.encode("latin-1").decode()
    try:
        url = urljoin(request.url, location)
    except ValueError as error:
        raise HitFailure(Outcome.REDIRECT, f"a redirect to {shown(location[:100])}, which is not a URL: {error}") from None
    scheme, host, port, target = place_of(url, None, Outcome.REDIRECT)
    headers = list(request.headers)
    method, body = request.method, request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = [(name, value) for name, value in headers if name.lower() not in OF_THE_BODY]
    cookies, sni, digest = request.cookies, request.sni, request.digest
    if (scheme, host, port) != (request.scheme, request.host, request.port):
        headers = [(name, value) for name, value in headers if name.lower() not in OF_THE_HOST]
        cookies, sni, digest = "", None, None
    head = head_of(method, scheme, host, port, target, headers, body)
    moved = replace(request, scheme=scheme, host=host, port=port, target=target, sni=sni, digest=digest)
    return replace(moved, method=method, headers=headers, body=body, cookies=cookies, head=head)
