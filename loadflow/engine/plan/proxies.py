"""HTTP proxies: how a script and the environment name them, and for which hosts."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from loadflow.engine.base.host_port import host_and_port, host_port
from loadflow.engine.plan.target import host_of, is_loopback_host

__all__ = ["WRITTEN", "NamedProxy", "Proxy", "bypasses", "named_proxy", "no_proxy_of", "port_of", "secrets_in", "unused_proxies"]

SCHEMES = {"http": ("http_proxy",), "https": ("https_proxy",), "ws": ("ws_proxy", "http_proxy"), "wss": ("wss_proxy", "https_proxy")}
DEFAULT_PORT = 80
WRITTEN = "proxy"  # the key of user_detail_dict


@dataclass(frozen=True, slots=True)
class Proxy:
    """`authorization` is the value of Proxy-Authorization, a secret; "" where there is none."""

    host: str  # without brackets
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def of(cls, text: str) -> Proxy:
        """From `http://USER:PASSWORD@HOST:PORT`, of which the scheme, the credentials and the port (80) may be left out. Raises ValueError,
        which does not say the credentials.

        >>> print(Proxy.of("http://ann:x@proxy.example:3128"))
        proxy.example:3128
        """
        scheme, mark, rest = text.strip().rpartition("://")
        if mark and scheme.lower() != "http":
            raise ValueError(f"is a proxy by {scheme}, and loadflow knows HTTP proxies, asked in plain HTTP")
        try:
            parts = urlsplit(f"http://{rest}")
            host, port = parts.hostname or "", DEFAULT_PORT if parts.port is None else parts.port
        except ValueError:
            host, port = "", 0
        if not host or any(letter.isspace() for letter in rest) or host_and_port(host_port(host, port)) is None:
            raise ValueError("is not the address of a proxy")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("has more than the address of a proxy: a path or a query")
        if parts.username is None:
            return cls(host, port)
        return cls(host, port, f"Basic {secrets_in(text)[-1]}")

    def __str__(self) -> str:
        return host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class NamedProxy:
    """`url` as it is written; `by`: the variable of the environment that names it, or WRITTEN: the script does."""

    url: str = field(repr=False)
    by: str


def secrets_in(url: str) -> list[str]:
    """The credentials of a proxy's URL: the password (without one, the user, a token then) as it is written and as it is meant, and last
    what is sent of them."""
    credentials, mark, _ = url.rpartition("://")[2].rpartition("@")
    if not mark:
        return []
    user, _, password = credentials.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    return [password or user, unquote(password or user), base64.b64encode(pair.encode()).decode()]


def named_proxy(scheme: str, env: Mapping[str, str]) -> NamedProxy | None:
    """Whom the environment names for URLs of this scheme: as curl and Python read it, in lower or upper case, `all_proxy` for all."""
    for name in (*SCHEMES.get(scheme, ()), "all_proxy"):
        for written in (name, name.upper()):
            if env.get(written, "").strip():
                return NamedProxy(env[written].strip(), written)
    return None


def bypasses(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether `no_proxy` has the host: `*` for all, a name for itself and all below it, an address, a network of them; with a port, for
    that port only. Loopback hosts need no proxy of the environment, whatever it says.

    >>> [bypasses(host, 80, "x, .shop.example, 10.0.0.0/8") for host in ("a.shop.example", "10.1.2.3", "other.example")]
    [True, True, False]
    """
    host = host.strip("[]").rstrip(".").lower()
    if is_loopback_host(host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for entry in no_proxy.replace(" ", ",").lower().split(","):
        name, own_port = host_and_port(entry) or (entry.strip("[]"), None)
        if own_port is not None and own_port != port:
            continue
        name = name.removeprefix("*.").strip(".") if name != "*" else name
        if name == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        if address is not None and "/" in name and _has(name, address):
            return True
    return False


def _has(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def unused_proxies(targets: Iterable[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of `env` that name a proxy for one of the `targets` (http, https, ws and wss URLs): for users who use none.

    >>> unused_proxies(["https://shop.example"], {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "intra.example"})
    ('HTTPS_PROXY',)
    """
    found: dict[str, None] = {}
    for target in targets:
        host, scheme = host_of(target), urlsplit(target).scheme
        if not host or scheme not in SCHEMES:
            continue
        proxy = named_proxy(scheme, env)
        if proxy is not None and not bypasses(host, port_of(target), no_proxy_of(env)):
            found[proxy.by] = None
    return tuple(found)


def no_proxy_of(env: Mapping[str, str]) -> str:
    return env.get("no_proxy") or env.get("NO_PROXY") or ""


def port_of(url: str) -> int | None:
    """Of an http, https, ws or wss URL; None where it is not a number."""
    try:
        parts = urlsplit(url)
        return parts.port or {"http": 80, "ws": 80}.get(parts.scheme, 443)
    except ValueError:
        return None
