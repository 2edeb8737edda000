"""A way through a proxy (RFC 9110 section 9.3.6): what is asked, and what its answers mean. `native/src/http/proxy.rs` says the same."""

from __future__ import annotations

from loadflow.engine.plan.proxies import Proxy
from loadflow.engine.protocols.http.answer_reader import AnswerReader
from loadflow.engine.protocols.http.request import USER_AGENT, HttpRequest, authority
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["Tunnel", "credentials_of", "name_of", "no_credentials", "whole_url_head"]


def name_of(proxy: Proxy) -> str:
    """What messages call it. All that fails at a proxy says so: else it would look like a fault of the target."""
    return f"the proxy {proxy}"


def credentials_of(proxy: Proxy) -> str:
    """The header field that lets us in, with its end; "" where there is none."""
    return f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""


def whole_url_head(request: HttpRequest, proxy: Proxy) -> bytes:
    """As a proxy is asked that makes no tunnel (RFC 9112 section 3.2.2): the whole URL in the request line, and our credentials."""
    line, _, fields = request.head.partition(b"\r\n")
    method, _, rest = line.partition(b" ")
    origin = f"{request.scheme}://{authority(request.scheme, request.host, request.port)}"
    return b"".join((method, b" ", origin.encode(), rest, b"\r\n", credentials_of(proxy).encode(), fields))


def no_credentials(name: str, reason: str) -> HitFailure:
    """Its answer was 407."""
    hint = "write user and password before its host, as USER:PASSWORD@HOST"
    return HitFailure(Outcome.CONNECT, f"{name}: {f'407 {reason}'.rstrip()}; {hint}")


class Tunnel:
    """`request` is what a proxy is sent for a tunnel to a place, `host:port`; `feed` reads its answer. `name` and `credentials`: as
    `name_of` and `credentials_of` give them."""

    def __init__(self, name: str, place: str, credentials: str) -> None:
        self.request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {USER_AGENT}\r\n{credentials}\r\n".encode()
        self._name = name
        self._reader = AnswerReader("HEAD", 0)  # an answer without a body: whatever its header fields say, the tunnel begins behind them

    def feed(self, block: bytes) -> bytes | None:
        """None: more is needed; else the tunnel is there, and these are its first bytes. b"" is the end of what the proxy says.
        Raises HitFailure where there is no tunnel."""
        try:
            if not block:
                self._reader.ended()
            elif not self._reader.feed(block):
                return None
        except HitFailure as failure:
            raise HitFailure(Outcome.CONNECT, f"{self._name}: {failure}") from None
        status, reason = self._reader.status, self._reader.reason
        if status == 407:
            raise no_credentials(self._name, reason)
        if status >= 300:
            raise HitFailure(Outcome.CONNECT, f"{self._name}: {status} {reason}".rstrip())
        return self._reader.behind
