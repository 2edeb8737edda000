"""What the native core asks of Python: names and failures of a new kind, and the rare things that are written here already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from loadflow.engine.base.host_port import host_port
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.values import shown
from loadflow.engine.generator.native.fit import CORE_CIPHERS
from loadflow.engine.generator.native.messages import SPEECHES, Got, made_message, speeches_of
from loadflow.engine.generator.native.plan import NativePlan
from loadflow.engine.generator.native.request import assembled
from loadflow.engine.generator.notes import Notes
from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.http.credentials import authorization_of
from loadflow.engine.protocols.http.digest import Challenge, DigestKeys, challenge_in
from loadflow.engine.protocols.http.oauth2 import NotYet
from loadflow.engine.protocols.http.reply import HttpReply
from loadflow.engine.protocols.http.request import authority, place_of
from loadflow.engine.protocols.http.tunnel import Tunnel, credentials_of, name_of
from loadflow.engine.protocols.running.fence import Fence
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

if TYPE_CHECKING:  # imported where hits are traced: few loads have that, and none should start later for it
    from loadflow.engine.generator.tracing import SpanNotes

__all__ = ["Calls"]

HALF = "\U0010fffe"  # what the core writes for half a surrogate pair
FIELDS_OF_THE_CONNECTION = frozenset({"host", "content-length"})  # shown by the other HTTP users only where the script has them

Sent = tuple[str, bytes, bytes]  # URL, head, body
Place = tuple[bool, str, int, int, str | None]  # https, host, port, whom TLS trusts, what it calls the peer


OPENSSL_NAMES = {core: name for name, core in CORE_CIPHERS.items()}


class Calls:
    """One core's questions. What is raised here is the failure of a hit where the core asks for a hit, else the end of the load."""

    def __init__(self, compiled: NativePlan, notes: Notes, plan: Plan, spans: SpanNotes | None = None) -> None:
        self._plan = compiled
        self._spans = spans
        self._notes = notes
        self._max_body_bytes = plan.max_body_bytes
        self._fence = Fence(plan.allowed_hosts)
        self._connections = plan.connections
        self._is_http2 = plan.http_version == 2
        self._speeches = [SPEECHES[name] for name in speeches_of(plan)]
        self._spoken = [SPEECHES.get(step.get("user", plan.protocol)) for step in plan.steps]
        self.series = notes.series
        # the last of each place that a user asks, with his number: who comes after him has his place in the loop
        self._challenges: dict[tuple[int, Place], tuple[int, Challenge]] = {}

    def failed(
        self,
        *,
        series: int,
        user: int,
        end_ns: int,
        outcome: int,
        text: str,
        secrets: Sequence[str],
        request: Sent | None,
        reply: Got | None,
        speech: int | None,
    ) -> tuple[int, bool]:
        """The id of the failure's text, and whether the next failure of this kind is asked for too. `speech`: which of the plan's
        the hit is of, None for HTTP."""

        def sample() -> JsonObject:
            return {
                **({"request": _request_sample(request)} if request is not None else {}),
                **({"response": self._reply_sample(reply, speech)} if reply is not None else {}),
                "error": text,
            }

        held = [json.loads(_with_halves(secret)) for secret in secrets]
        error = self._notes.error(series, user, end_ns, Outcome(outcome), text, sample, held)
        return error, self._notes.wants_more(series, error)

    def span(
        self,
        *,
        trace: tuple[str, str, str, int, str],
        step: int,
        name: str,
        user: int,
        due_ns: int,
        start_ns: int,
        end_ns: int,
        status: int,
        flags: int,
        failure: tuple[int, str] | None,
        secrets: Sequence[str],
        over_cap: int,
    ) -> None:
        """A traced hit has ended."""
        from loadflow.engine.generator.tracing import Trace

        assert self._spans is not None
        self.over_cap(over_cap)
        held = [json.loads(_with_halves(secret)) for secret in secrets]
        failed = (Outcome(failure[0]), failure[1]) if failure is not None else None
        method = self._plan.steps[step].method
        self._spans.ended(Trace(*trace), method, name, user, due_ns, start_ns, end_ns, status, flags, failed, held)

    def agreed(self, version: str, cipher: str) -> None:
        """What TLS agreed on, as rustls calls it: here it is called as OpenSSL does."""
        named = OPENSSL_NAMES.get(cipher, cipher.replace("TLS13_", "TLS_", 1))
        self._notes.tls(f"{version.replace('_', '.')} {named}")

    def revision(self, value: bytes) -> None:
        self._notes.revision(value.decode("latin-1"))

    def over_cap(self, count: int) -> None:
        assert self._spans is not None
        self._spans.over_cap(count)

    def step_name(self, step: int) -> str:
        """What a person calls a step: its method and, where it is the same for every hit, its name."""
        one = self._plan.steps[step]
        return f"{one.method} {one.name or '(a name with placeholders)'}"

    def refused(self, host: str, addresses: Sequence[str]) -> str | None:
        """Why this host, which resolved to `addresses`, may not be loaded; None where it may."""
        return self._fence.refusal(host, addresses)

    def route(self, https: bool, host: str, port: int) -> tuple[str, int, tuple[str, bytes, str, str] | None]:
        """Whom to connect to for a place, and where that is a proxy: its name in messages, what it is asked for a tunnel (b"": it is asked
        for whole URLs), what such begin with, and the line of credentials. Raises ValueError."""
        scheme = "https" if https else "http"
        found = self._connections.route(scheme, host, port)
        proxy = found.proxy
        if proxy is None:
            return found.host, found.port, None
        connect = Tunnel(name_of(proxy), host_port(host, port), credentials_of(proxy)).request if https or self._is_http2 else b""
        return found.host, found.port, (name_of(proxy), connect, f"{scheme}://{authority(scheme, host, port)}", credentials_of(proxy))

    def place(self, url: str) -> tuple[bool, str, int, str, str]:
        """Whether it is https, host, port, target, and the authorization that the URL holds. Raises HitFailure."""
        scheme, host, port, target = place_of(url, None, Outcome.TEMPLATE)
        return scheme == "https", host, port, target, authorization_of(None, url)

    def join(self, base: str, reference: bytes) -> str:
        try:
            text = reference.decode()
        except UnicodeDecodeError:
            text = reference.decode("latin-1")
        try:
            return urljoin(base, text)
        except ValueError as error:
            raise HitFailure(Outcome.REDIRECT, f"a redirect to {shown(text[:100])}, which is not a URL: {error}") from None

    def assemble(self, step: int, user: int, values: str) -> str | None:
        """The request of a step of a rare shape, as JSON; None: its token is not there yet. Raises HitFailure."""
        given = json.loads(_with_halves(values))
        if (spoken := self._spoken[step]) is not None:
            return json.dumps(made_message(spoken, self._plan.steps[step], given, self._plan.tls))
        url = given.pop("request_url")
        try:
            made = assembled(self._plan.steps[step].made_of(given, url, user, waits=False), self._plan.tls)
        except NotYet:
            return None
        return json.dumps({**made, "tls": self._plan.tls.to_json()[made["place"]["tls"]]})

    def digest(
        self, asked: tuple[tuple[int, int], Place, tuple[str, str], str, str, bytes], challenges: Sequence[bytes] | None
    ) -> str | None:
        """What answers a challenge of Digest: the one in these fields of an answer, or an earlier one of the place. Raises HitFailure."""
        (at, user), place, keys, method, target, body = asked
        of, known = self._challenges.get((at, place), (user, None))
        known = known if of == user else None
        if challenges is not None:
            found = challenge_in([field.decode("latin-1") for field in challenges])
            if found is None or (known is not None and found.nonce == known.nonce):
                return None
            known = found
            self._challenges[at, place] = user, found
        return None if known is None else known.answer(DigestKeys(*keys), method, target, body)

    def json(self, body: bytes, content_type: bytes) -> str | None:
        """A body as JSON that every reader takes, None where it is none."""
        try:
            data = self._reply(200, b"", [(b"content-type", content_type)], body).json()
            return json.dumps(_tame(data), ensure_ascii=True)
        except (ValueError, RecursionError, HitFailure):
            return None

    def text(self, body: bytes, content_type: bytes) -> str:
        text = self._reply(200, b"", [(b"content-type", content_type)], body).text()
        return text.encode("utf-8", "replace").decode()

    def _reply(self, status: int, reason: bytes, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> HttpReply:
        return HttpReply(
            status,
            reason.decode("latin-1"),
            _Fields(fields),
            body,
            url="",
            sent_bytes=0,
            received_bytes=0,
            max_body_bytes=self._max_body_bytes,
        )

    def _reply_sample(self, reply: Got, speech: int | None) -> dict[str, object]:
        return (self._reply(*reply) if speech is None else self._speeches[speech].reply_of(*reply)).sample()


class _Fields:
    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]

    def items(self) -> Sequence[tuple[str, str]]:
        return self._fields


def _request_sample(request: Sent) -> dict[str, object]:
    url, head, body = request
    line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = [field.partition(": ")[::2] for field in lines]
    headers = {name: value for name, value in pairs if name.lower() not in FIELDS_OF_THE_CONNECTION}
    return {"method": line.partition(" ")[0], "url": url, "headers": headers, "body": body.decode("utf-8", "backslashreplace")}


def _with_halves(text: str) -> str:
    return text.replace(HALF, "\\ud800")


def _tame(data: Any) -> object:
    """Without what only Python takes for JSON: NaN and the infinities as their words."""
    if isinstance(data, float) and (data != data or data in (float("inf"), float("-inf"))):
        return json.dumps(data)
    if isinstance(data, dict):
        return dict(zip(data, map(_tame, data.values()), strict=True))  # a comprehension would take two of Python's levels for one
    return list(map(_tame, data)) if isinstance(data, list) else data
