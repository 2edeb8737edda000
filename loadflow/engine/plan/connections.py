"""How HTTP users connect: by a proxy or not, to which address, from which, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from loadflow.engine.base.host_port import host_and_port
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.plan.proxies import WRITTEN, NamedProxy, Proxy, bypasses, port_of, secrets_in
from loadflow.engine.plan.target import host_of

__all__ = ["Connections", "Kept", "Route", "TlsTerms", "proxy_shown"]

Kept = Literal["keep", "per_pass", "per_request"]


@dataclass(frozen=True, slots=True)
class Route:
    """Whom a connection is made to; `proxy`: it is one, and says there whom to ask."""

    host: str
    port: int
    proxy: Proxy | None = None


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """What TLS offers: `versions` is empty for all of both engines; `ciphers` are those of TLS 1.2, empty for the usual ones. `resumes`: a
    user's later connections go on with the session of an earlier one."""

    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    resumes: bool = False

    def __str__(self) -> str:
        """In the words of a report; "" where all is as it usually is."""
        parts = [f"TLS {' and '.join(self.versions)}" if self.versions else "", ", ".join(self.ciphers), "sessions resumed" * self.resumes]
        return "; ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Connections:
    """`proxies` by the scheme of what is asked; `no_proxy` holds for those that the environment names. `resolve`: by `host:port` or `host`,
    whom to connect to instead, as `address:port` or `address`. `streams`: so many requests of users may be on one connection of HTTP/2 or
    HTTP/3; None: each user has its own."""

    proxies: Mapping[str, NamedProxy] = field(default_factory=dict)
    no_proxy: str = ""
    resolve: Mapping[str, str] = field(default_factory=dict)
    local_addresses: tuple[str, ...] = ()
    kept: Kept = "keep"
    streams: int | None = None
    tls: TlsTerms = TlsTerms()

    @property
    def is_direct(self) -> bool:
        """Whether each place is connected to as it is written."""
        return not self.proxies and not self.resolve

    def route(self, scheme: str, host: str, port: int) -> Route:
        """Raises ValueError, with the words for the proxy that can't be used.

        >>> Connections(resolve={"shop.example:443": "127.0.0.1:8443"}).route("https", "shop.example", 443)
        Route(host='127.0.0.1', port=8443, proxy=None)
        """
        shown = f"[{host}]" if ":" in host else host
        place = self.resolve.get(f"{shown}:{port}") or self.resolve.get(shown)
        if place is not None:
            return Route(*(host_and_port(place) or (place.strip("[]"), port)))
        named = self.proxies.get(scheme)
        if named is None or (named.by != WRITTEN and bypasses(host, port, self.no_proxy)):
            return Route(host, port)
        try:
            proxy = Proxy.of(named.url)
        except ValueError as error:
            raise ValueError(f"{named.by} {error}") from None
        return Route(proxy.host, proxy.port, proxy)

    def secrets(self) -> list[str]:
        """The credentials of all proxies, in each form that is sent or written."""
        return [secret for named in self.proxies.values() for secret in secrets_in(named.url)]

    @classmethod
    def from_json(cls, data: JsonMapping) -> Connections:
        proxies = {scheme: NamedProxy(**one) for scheme, one in data["proxies"].items()}
        tls = TlsTerms(tuple(data["tls"]["versions"]), tuple(data["tls"]["ciphers"]), data["tls"]["resumes"])
        return cls(**{**data, "proxies": proxies, "local_addresses": tuple(data["local_addresses"]), "tls": tls})


def proxy_shown(url: str, connections: Connections) -> str:
    """The proxy by which a URL is asked for, without its credentials, and who names it; "" where there is none."""
    host, scheme = host_of(url), urlsplit(url).scheme
    try:
        route = connections.route(scheme, host or "", port_of(url) or 0)
    except ValueError:
        return ""
    return f"{route.proxy} ({connections.proxies[scheme].by})" if host and route.proxy is not None else ""
