"""Settings from outside the script about the system under load: its address, the allowed hosts, the highest rate."""

from __future__ import annotations

import fnmatch
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = [
    "EXPORT_HOSTS_VARIABLE",
    "HOSTS_VARIABLE",
    "HostLists",
    "TargetRules",
    "allowed_by_environment",
    "host_of",
    "is_allowed",
    "is_loopback_host",
    "is_this_machine_by_name",
    "refusing",
    "refusing_answer",
]

HOSTS_VARIABLE = "LOADFLOW_ALLOWED_HOSTS"  # patterns, separated by commas
EXPORT_HOSTS_VARIABLE = "LOADFLOW_ALLOWED_EXPORT_HOSTS"  # the same, for where exporters may send
HostLists = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class TargetRules:
    """`base_url` is the `host` of scripts that name none; `headers` go with every request that has none of that name.

    `allowed_hosts` None: any. `max_rate_per_s` holds over all steps and processes of a load, retries included; None: no limit.
    `prometheus` is where the target's metrics are, for scripts that name none; `only_if` are conditions for each load, besides those of
    the script.
    """

    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] | None = None
    max_rate_per_s: float | None = None
    prometheus: str | None = None
    only_if: tuple[Mapping[str, object], ...] = ()

    def host_lists(self, env: Mapping[str, str] = os.environ) -> HostLists:
        """Whom these rules and LOADFLOW_ALLOWED_HOSTS allow: a host must be in each list. Without rules any host may be loaded."""
        by_environment = allowed_by_environment(env)
        return tuple(one for one in (self.allowed_hosts, by_environment) if one is not None)

    def export_lists(self, env: Mapping[str, str] = os.environ) -> HostLists:
        """Where exporters may send: LOADFLOW_ALLOWED_EXPORT_HOSTS alone says it, because what watches a load is not a target; where that
        is not set, what may be loaded may be exported to. Without lists any host may."""
        own = allowed_by_environment(env, EXPORT_HOSTS_VARIABLE)
        return self.host_lists(env) if own is None else (own,)


def refusing(host: str, lists: HostLists) -> tuple[str, ...] | None:
    """The first list that does not have `host`; None where all have it."""
    return next((one for one in lists if not is_allowed(host, one)), None)


def refusing_answer(host: str, addresses: Sequence[str], lists: HostLists) -> tuple[str, ...] | None:
    """The first list that keeps from connecting to what `host` resolved to; None where none does: each has the name itself, or
    all of the answer is this machine. `localhost` is a name like any other here: what its resolver answers counts. No addresses: it
    has none, and the name alone is asked about."""
    if not addresses:
        return refusing(host, lists)
    if all(is_loopback_host(address) for address in addresses):
        return None
    name = host.strip("[]").rstrip(".").lower()
    return next((one for one in lists if not _is_named(name, one)), None)


def allowed_by_environment(env: Mapping[str, str] = os.environ, variable: str = HOSTS_VARIABLE) -> tuple[str, ...] | None:
    """The patterns of LOADFLOW_ALLOWED_HOSTS, or of another variable; None when it is not set. Empty, it allows loopback alone."""
    text = env.get(variable)
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def is_allowed(host: str, patterns: Sequence[str]) -> bool:
    """Whether `host`, a name or an address as it is asked for, may be loaded. Loopback always may.

    A pattern is a name with shell wildcards, or an address, or a network of them.

    >>> [is_allowed(host, ["*.test.example", "10.0.0.0/8"]) for host in ("shop.test.example", "10.1.2.3", "::1", "shop.example")]
    [True, True, True, False]
    """
    host = host.strip("[]").rstrip(".").lower()
    return is_loopback_host(host) or _is_named(host, patterns)


def _is_named(host: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern has `host`, which is in lower case."""
    address = _address(host)
    for pattern in patterns:
        network = _network(pattern.strip("[]"))
        if network is not None:
            if address is not None and address.version == network.version and address in network:
                return True
        elif fnmatch.fnmatchcase(host, pattern.rstrip(".").lower()):
            return True
    return False


def is_loopback_host(host: str) -> bool:
    """Of an address, or of the name `localhost`, which only a connection can hold to its answer."""
    address = _address(host)
    if address is None:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_this_machine_by_name(host: str) -> bool:
    """Whether a name should be this machine's (RFC 6761 section 6.3), which only its resolver can say."""
    return f".{host.rstrip('.').lower()}".endswith(".localhost")


def host_of(place: str) -> str | None:
    """The host of a URL or of host:port; None where a placeholder hides it.

    >>> [host_of(place) for place in ("http://a.example/x", "[::1]:80", "b.example:1883", "${var.h}/x")]
    ['a.example', '::1', 'b.example', None]
    """
    authority = urlsplit(place if "://" in place else f"//{place}").netloc.rpartition("@")[2] if "[" not in place or "]" in place else ""
    if not authority or "${" in authority:
        return None
    return authority[1:].partition("]")[0] if authority.startswith("[") else authority.partition(":")[0]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _network(pattern: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return None
