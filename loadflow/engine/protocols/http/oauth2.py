"""Tokens by OAuth 2 client credentials (RFC 6749 section 4.4): fetched when the first request needs one, again before one ends."""

from __future__ import annotations

import base64
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode, urlsplit

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.base.values import text_of
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["NotYet", "TokenRequest", "Tokens", "fetched"]

FETCH_S = 30.0
AGAIN_S = 1.0  # after a failure
DEFAULT_LIFE_S = 300.0  # of a token of which the server does not say it
POLL_S = 0.2  # until one that waits for a token beside the load has looked for it; the core looks every 50 ms
EARLY = 0.2  # of its life: then the next one is fetched, beside the load
MOST_ANSWER_BYTES = 1_000_000
MOST_FETCHERS = 16  # that fetch at once, beside a load that does not wait for them


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """`user` None: one token for all users of a process."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str | None = None
    audience: str | None = None
    in_body: bool = False
    user: int | None = None

    @property
    def place(self) -> str:
        """Whom it is asked of; the whole URL is masked in texts, as what is called a token is a secret."""
        return urlsplit(self.token_url).netloc.rpartition("@")[2]

    @classmethod
    def of(cls, auth: JsonMapping, user: int | None) -> TokenRequest:
        def text(key: str) -> str | None:
            return None if auth.get(key) is None else text_of(auth[key])

        return cls(
            token_url=text_of(auth["token_url"]),
            client_id=text_of(auth["client_id"]),
            client_secret=text_of(auth["client_secret"]),
            scope=text("scope"),
            audience=text("audience"),
            in_body=auth.get("client_auth") == "body",
            user=user if auth.get("per") == "user" else None,
        )


# the token, and for how many seconds it is good; None: the server does not say
Fetch = Callable[[TokenRequest], tuple[str, float | None]]


class NotYet(Exception):
    """The token is on its way."""


@dataclass(slots=True)
class _Held:
    token: str = ""
    ends_s: float = 0.0
    renew_s: float = 0.0
    failure: str = ""
    again_s: float = 0.0
    is_renewing: bool = False


class Tokens:
    """Of one process. `clock` gives seconds that only grow; `beside` runs work that nobody waits for."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        clock: Callable[[], float] = time.monotonic,
        beside: Callable[[Callable[[], None]], None] = lambda work: threading.Thread(target=work, daemon=True).start(),
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._beside = beside
        self._held: dict[TokenRequest, _Held] = {}
        self._lock = threading.Lock()
        self._queue = threading.Lock()  # nobody waits while he holds it
        self._wanted: deque[tuple[TokenRequest, _Held]] = deque()
        self._fetchers = 0

    def token(self, asked: TokenRequest) -> str:
        """Waits only where there is none. Raises HitFailure where none can be had."""
        held = self._held.setdefault(asked, _Held())
        now_s = self._clock()
        if now_s >= held.ends_s:
            with self._lock:  # one asks, the others wait for what it gets
                if self._clock() >= held.ends_s:
                    self._ask(asked, held)
        elif now_s >= held.renew_s and not held.is_renewing and now_s >= held.again_s:
            held.is_renewing = True
            self._beside(lambda: self._renew(asked, held))
        if self._clock() >= held.ends_s:
            raise HitFailure(Outcome.TEMPLATE, held.failure)
        return held.token

    def token_now(self, asked: TokenRequest) -> str:
        """Never waits: where there is none it is fetched beside the load. Raises NotYet then, and HitFailure where none can be had."""
        held = self._held.setdefault(asked, _Held())
        now_s = self._clock()
        has_token = now_s < held.ends_s
        if now_s >= (held.renew_s if has_token else held.ends_s) and now_s >= held.again_s:
            self._want(asked, held)
        if has_token:
            return held.token
        if now_s < held.again_s:
            raise HitFailure(Outcome.TEMPLATE, held.failure)
        raise NotYet

    def _want(self, asked: TokenRequest, held: _Held) -> None:
        with self._queue:
            if held.is_renewing:
                return
            held.is_renewing = True
            self._wanted.append((asked, held))
            if self._fetchers == MOST_FETCHERS:
                return
            self._fetchers += 1
        self._beside(self._fetch_wanted)

    def _fetch_wanted(self) -> None:
        """Until nothing more is wanted."""
        while True:
            with self._queue:
                if not self._wanted:
                    self._fetchers -= 1
                    return
                asked, held = self._wanted.popleft()
            self._renew(asked, held)

    def _renew(self, asked: TokenRequest, held: _Held) -> None:
        try:
            self._ask(asked, held)
        finally:
            held.is_renewing = False

    def _ask(self, asked: TokenRequest, held: _Held) -> None:
        if self._clock() < held.again_s:
            return
        begun_s = self._clock()
        try:
            token, life_s = self._fetch(asked)
        except (OSError, ValueError) as error:
            held.failure = f"auth: no token from {asked.place}: {error}"
            held.again_s = self._clock() + AGAIN_S
            return
        life_s = DEFAULT_LIFE_S if life_s is None else life_s
        held.token, held.failure = token, f"auth: the token from {asked.place} ended at once"
        held.ends_s, held.renew_s = begun_s + life_s, begun_s + life_s * (1 - EARLY)
        if held.ends_s <= self._clock() + POLL_S:
            held.again_s = self._clock() + AGAIN_S  # those that look for it later would find none either


def fetched(asked: TokenRequest) -> tuple[str, float | None]:
    """Raises OSError, or ValueError with what is wrong with the answer; neither holds the secret."""
    import urllib.error  # they bring ssl, which an engine without tokens does not need
    import urllib.request

    form = {"grant_type": "client_credentials"}
    form |= {key: value for key, value in (("scope", asked.scope), ("audience", asked.audience)) if value is not None}
    headers = {"Accept": "application/json", "User-Agent": "loadflow"}
    if asked.in_body:
        form |= {"client_id": asked.client_id, "client_secret": asked.client_secret}
    else:
        pair = f"{quote_plus(asked.client_id)}:{quote_plus(asked.client_secret)}"  # section 2.3.1
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    request = urllib.request.Request(asked.token_url, urlencode(form).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=FETCH_S) as answer:
            data = answer.read(MOST_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        raise ValueError(f"status {error.code}{_word(error.read(MOST_ANSWER_BYTES))}") from None
    found = _object(data)
    token, life_s = found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not token:
        raise ValueError("the answer has no access_token")
    if isinstance(life_s, str) and life_s.isdigit():
        life_s = int(life_s)
    return token, float(life_s) if isinstance(life_s, int | float) and not isinstance(life_s, bool) else None


def _object(data: bytes) -> JsonObject:
    try:
        found = read_json(data)
    except ValueError:
        raise ValueError("the answer is not JSON") from None
    return found if isinstance(found, dict) else {}


def _word(data: bytes) -> str:
    """The error that section 5.2 names; "" where there is none."""
    try:
        error = _object(data).get("error")
    except ValueError:
        return ""
    return f", {error[:60]}" if isinstance(error, str) else ""
