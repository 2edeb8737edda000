"""Proxies that the environment names. loadflow connects to targets itself, so it says where somebody may expect a proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed has it on macOS only

from loadflow.engine.plan.target import host_of, is_loopback_host

__all__ = ["unused_proxies"]

VARIABLES = {"http": ("http_proxy",), "https": ("https_proxy",), "ws": ("ws_proxy", "http_proxy"), "wss": ("wss_proxy", "https_proxy")}


def unused_proxies(targets: Iterable[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of `env`, as they are written there, that name a proxy for one of the `targets` (http, https, ws and wss URLs).

    As curl and Python read them: in lower or upper case, `all_proxy` for all schemes, and not for hosts in `no_proxy`. Loopback hosts need
    no proxy.

    >>> unused_proxies(["https://shop.example"], {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "intra.example"})
    ('HTTPS_PROXY',)
    """
    written = {name.lower(): name for name, value in env.items() if value and name.lower().endswith("_proxy")}
    bypass = {"no": env[written["no_proxy"]]} if "no_proxy" in written else {}
    found: dict[str, None] = {}
    for target in targets:
        host, own = host_of(target), VARIABLES.get(urlsplit(target).scheme)
        if not host or own is None or is_loopback_host(host) or proxy_bypass_environment(host, bypass):
            continue
        if used := next((written[name] for name in (*own, "all_proxy") if name in written), None):
            found[used] = None
    return tuple(found)
