"""One virtual user's cookies, by RFC 6265, with the header they give remembered between changes.

The standard library's jar follows Netscape's drafts, and differs from browsers in quoted paths, paths without a slash, domains and
odd ages. `native/src/http/cookies.rs` says the same for the core; a test holds the two together.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from loadflow.engine.protocols.running.seam import UserContext

__all__ = ["MOST_ATTRIBUTE_BYTES", "MOST_COOKIES", "MOST_HOST_COOKIES", "MOST_PAIR_BYTES", "Asking", "Cookies", "Jar", "cookies_of"]

REMEMBERED = 256
MOST_COOKIES = 300  # of one user; a target may set new ones without end
MOST_HOST_COOKIES = 180  # of one domain, as Chrome keeps; RFC 6265 section 6.1 asks for 50
# draft-ietf-httpbis-rfc6265bis sections 5.6 and 5.7: a name and value of more are no cookie, an attribute of more is left out
MOST_PAIR_BYTES = 4096
MOST_ATTRIBUTE_BYTES = 1024
SPACES = " \t"

AGE = re.compile(r"-?[0-9]+")
LONGEST_S = 10**12
IP_ADDRESS = re.compile(r"[0-9.]*|.*:.*", re.DOTALL)
# section 5.1.1
DELIMITERS = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class _Cookie:
    """`host_only`: for no other host below the domain. `expires_s`: since the epoch; None: until the end."""

    name: str
    value: str
    domain: str
    host_only: bool
    path: str
    secure: bool
    expires_s: int | None

    def is_for(self, scheme: str, host: str, path: str, now_s: int) -> bool:
        return (
            (not self.secure or scheme == "https")
            and (self.expires_s is None or self.expires_s > now_s)
            and (host == self.domain if self.host_only else _domain_fits(host, self.domain))
            and _path_fits(path, self.path)
        )


class Jar:
    """The cookies of one user, in the order in which they were created."""

    __slots__ = ("_cookies", "_of_domain")

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}
        self._of_domain: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._cookies)

    @property
    def is_volatile(self) -> bool:
        """Whether what it gives may change with time alone."""
        return any(cookie.expires_s is not None for cookie in self._cookies.values())

    def store(self, field: str, host: str, path: str, now_s: int) -> None:
        """Take one Set-Cookie field of the answer to a request for `path` (section 5.3)."""
        cookie = _read(field, host, path, now_s)
        if cookie is None:
            return
        key = (cookie.name, cookie.domain, cookie.path)
        if cookie.expires_s is not None and cookie.expires_s <= now_s:
            if key in self._cookies:
                self._forget(key)
            return
        if key not in self._cookies:
            self._of_domain[cookie.domain] += 1
        self._cookies[key] = cookie
        if self._of_domain[cookie.domain] > MOST_HOST_COOKIES:
            self._forget(next(one for one in self._cookies if one[1] == cookie.domain))
        if len(self._cookies) > MOST_COOKIES:
            self._forget(next(iter(self._cookies)))

    def _forget(self, key: tuple[str, str, str]) -> None:
        domain = self._cookies.pop(key).domain
        self._of_domain[domain] -= 1
        if not self._of_domain[domain]:
            del self._of_domain[domain]

    def header_for(self, scheme: str, host: str, path: str, own: str, now_s: int) -> str:
        """The value of the Cookie field (section 5.4); "" when there is none.

        The step's own cookies come last and replace others of their name.
        """
        replaced = {pair.partition("=")[0].strip(SPACES) for pair in own.split(";")}
        fitting = [one for one in self._cookies.values() if one.is_for(scheme, host, path, now_s) and one.name not in replaced]
        fitting.sort(key=lambda cookie: -len(cookie.path))
        pairs = [f"{cookie.name}={cookie.value}" for cookie in fitting]
        return "; ".join([*pairs, own] if own else pairs)


class Asking(Protocol):
    """Whom a request asks. `target`: path and query; `cookies`: those that the script itself gives it."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def cookies(self) -> str: ...


def cookies_of(user: UserContext) -> Cookies:
    """The user's, which all of his clients that have cookies share."""
    found: Cookies = user.kept.setdefault("cookies", Cookies())
    return found


class Cookies:
    """`header_for` gives what to send, `store` takes what came."""

    __slots__ = ("_clock", "_jar", "_remembered", "_volatile")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._jar = Jar()
        self._remembered: dict[tuple[str, str, str, str], str] = {}
        self._volatile = False

    def store(self, request: Asking, fields: Iterable[tuple[str, str]]) -> None:
        """Take the cookies of a response. Cookies that can't be for its host are refused, as browsers do."""
        path = request.target.partition("?")[0]
        for name, value in fields:
            if name.lower() == "set-cookie":
                self._jar.store(value, request.host, path, int(self._clock()))
        self._remembered.clear()
        self._volatile = self._jar.is_volatile

    def header_for(self, request: Asking) -> str:
        """The value of the Cookie field; "" when there is none."""
        if not len(self._jar):
            return request.cookies
        key = (request.scheme, request.host, request.target.partition("?")[0], request.cookies)
        known = self._remembered.get(key)
        if known is None:
            known = self._jar.header_for(*key, int(self._clock()))
            if not self._volatile and len(self._remembered) < REMEMBERED:
                self._remembered[key] = known
        return known


def _domain_fits(host: str, domain: str) -> bool:
    """Section 5.1.3."""
    return host == domain or (host.endswith(f".{domain}") and IP_ADDRESS.fullmatch(host) is None)


def _path_fits(path: str, wanted: str) -> bool:
    """Section 5.1.4."""
    return path.startswith(wanted) and (wanted.endswith("/") or path[len(wanted) : len(wanted) + 1] in ("", "/"))


def _default_path(path: str) -> str:
    """Section 5.1.4."""
    at = path.rfind("/")
    return path[:at] if at > 0 and path.startswith("/") else "/"


def _read(field: str, host: str, path: str, now_s: int) -> _Cookie | None:
    """Section 5.2, and what section 5.3 refuses."""
    pair, *attributes = field.split(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(SPACES), value.strip(SPACES)
    if not equals or not name or len(name) + len(value) > MOST_PAIR_BYTES:
        return None
    secure, domain, its_path = False, "", _default_path(path)
    expires_s: int | None = None
    lives_s: int | None = None
    for attribute in attributes:
        key, _, given = (part.strip(SPACES) for part in attribute.partition("="))
        if len(given) > MOST_ATTRIBUTE_BYTES:
            continue
        match key.lower():
            case "secure":
                secure = True
            case "path":
                its_path = given if given.startswith("/") else _default_path(path)
            case "domain" if given:
                domain = given.removeprefix(".").lower()
            case "expires":
                expires_s = expires_s if (found := _cookie_date(given)) is None else found
            case "max-age" if AGE.fullmatch(given):  # section 5.2.2
                lives_s = -1 if given.startswith("-") else _seconds(given)
    if lives_s is not None:
        expires_s = now_s + lives_s
    host_only = not domain or (domain == host and "." not in domain)
    if domain and domain != host and ("." not in domain or not _domain_fits(host, domain)):
        return None  # another's domain, or a whole top-level one
    return _Cookie(name, value, domain or host, host_only, its_path, secure, expires_s)


def _seconds(digits: str) -> int:
    digits = digits.lstrip("0")
    return LONGEST_S if len(digits) > 18 else min(int(digits or "0"), LONGEST_S)


def _cookie_date(text: str) -> int | None:
    """Section 5.1.1: seconds since the epoch."""
    clock: re.Match[str] | None = None
    day = month = year = None
    for word in DELIMITERS.split(text):
        if clock is None and (found := CLOCK.match(word)):
            clock = found
        elif day is None and (found := DAY.match(word)):
            day = int(found.group(1))
        elif month is None and word[:3].lower() in MONTHS:
            month = MONTHS.index(word[:3].lower()) + 1
        elif year is None and (found := YEAR.match(word)):
            year = int(found.group(1))
    if clock is None or day is None or month is None or year is None:
        return None
    year += 2000 if year < 70 else 1900 if year < 100 else 0
    try:
        date = datetime(year, month, day, int(clock[1]), int(clock[2]), int(clock[3]), tzinfo=UTC)
        return int(date.timestamp()) if year >= 1601 else None
    except ValueError:  # there is no such date
        return None
