"""One virtual user's cookies: the standard library's jar, with the header it gives remembered between changes."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.request import Request

from loadflow.engine.load.http_request import HttpRequest

__all__ = ["Cookies"]

REMEMBERED = 256
MOST_COOKIES = 300  # of one user; RFC 6265 section 6.1 asks for 50 per domain, and a target may set new ones without end


class _Answer:
    """What the jar wants of a response: its header fields."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._message = Message()
        for name, value in fields:
            if name.lower() in ("set-cookie", "set-cookie2"):
                self._message[name] = value

    def info(self) -> Message:
        return self._message


class Cookies:
    """`header_for` gives what to send, `store` takes what came."""

    __slots__ = ("_jar", "_remembered", "_volatile")

    def __init__(self) -> None:
        self._jar = CookieJar(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNoDots))
        self._remembered: dict[tuple[str, str, int, str], str] = {}
        self._volatile = False

    def store(self, request: HttpRequest, fields: Iterable[tuple[str, str]]) -> None:
        """Take the cookies of a response. Cookies that can't be for its host are refused, as browsers do."""
        self._jar.extract_cookies(_Answer(fields), Request(request.url))  # type: ignore[arg-type]  # the jar asks only for info()
        while len(self._jar) > MOST_COOKIES:
            oldest = next(iter(self._jar))
            self._jar.clear(oldest.domain, oldest.path, oldest.name)
        self._remembered.clear()
        self._volatile = any(cookie.expires is not None for cookie in self._jar)

    def header_for(self, request: HttpRequest) -> str:
        """The value of the Cookie field; "" when there is none. The step's own cookies come last and replace others of their name."""
        if not len(self._jar):
            return request.cookies
        key = (request.scheme, request.host, request.port, request.target.partition("?")[0])
        known = self._remembered.get(key)
        if known is None:
            asked = Request(request.url)
            self._jar.add_cookie_header(asked)
            known = asked.get_header("Cookie") or ""
            if not self._volatile and len(self._remembered) < REMEMBERED:
                self._remembered[key] = known
        if not request.cookies or not known:
            return known or request.cookies
        own = {pair.partition("=")[0].strip() for pair in request.cookies.split(";")}
        kept = [pair for pair in known.split("; ") if pair.partition("=")[0] not in own]
        return "; ".join([*kept, request.cookies])
