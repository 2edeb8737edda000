"""How a host and its port are written."""

from __future__ import annotations

import re

__all__ = ["host_and_port", "host_port"]

PLACE = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]:(?P<port6>[0-9]{1,5})|(?P<host>[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


def host_and_port(target: str) -> tuple[str, int] | None:
    """Both parts of `host:port` or `[IPv6]:port`; None if it is neither.

    >>> host_and_port("[::1]:9000")
    ('::1', 9000)
    """
    found = PLACE.fullmatch(target.strip())
    if found is None:
        return None
    port = int(found["port6"] or found["port"])
    return (found["v6"] or found["host"], port) if 0 < port < 65_536 else None


def host_port(host: str, port: int) -> str:
    """As they are written.

    >>> host_port("::1", 80)
    '[::1]:80'
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
