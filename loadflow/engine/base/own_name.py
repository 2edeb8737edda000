"""Whether a request over HTTP asks this server by a name of its own.

A page elsewhere can have its own name resolve to this machine (DNS rebinding), and a browser then lets it read the answers;
but it can't have the browser ask for another name than its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence

__all__ = ["is_own_name"]


def is_own_name(fields: Sequence[str], known: Collection[str] = ()) -> bool:
    """Whether the Host `fields` of a request name this server: by an address, localhost, or a `known` name in lower case.

    >>> [is_own_name([host], {"ci.test"}) for host in ("127.0.0.1:8090", "[::1]", "localhost:1", "CI.test:80", "evil.test", "")]
    [True, True, True, True, False, False]
    """
    if len(fields) != 1:
        return False
    host = re.sub(r":[0-9]*\Z", "", fields[0]).rstrip(".").lower()
    if host in known or host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
