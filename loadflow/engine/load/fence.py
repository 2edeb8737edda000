"""Keeps the engine process away from hosts that are not allowed: every name and address passes its resolver before a connection.

Protocols that connect by other ways (a library written in C) ask `Fence.check` themselves.
"""

from __future__ import annotations

from typing import Any

from loadflow.engine.load.protocol import HitFailure
from loadflow.engine.plan.target import HOSTS_VARIABLE, HostLists, is_loopback_host, refusing
from loadflow.engine.records.outcome import Outcome

__all__ = ["Fence"]


class Fence:
    """Lets pass what the patterns allow. As gevent's resolver, it is asked by every client that is written in Python."""

    def __init__(self, lists: HostLists, resolver: Any = None) -> None:
        self._lists = lists
        self._resolver = resolver

    @classmethod
    def install(cls, lists: HostLists) -> Fence:
        import gevent  # the native engine checks too, and knows no gevent

        hub = gevent.get_hub()
        fence = cls(lists, hub.resolver)
        hub.resolver = fence
        return fence

    def check(self, host: str | bytes | None) -> None:
        """Raises HitFailure for a host that may not be loaded; None is this machine."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        refused = refusing(name, self._lists) if name else None
        if refused is not None and name and not self._is_here(name):
            known = ", ".join(refused) or "loopback only"
            raise HitFailure(Outcome.FORBIDDEN, f"{name} may not be loaded here; allowed: {known} ({HOSTS_VARIABLE} or the target's block)")

    def _is_here(self, name: str) -> bool:
        """Whether the name stands for this machine alone."""
        if self._resolver is None:
            return False
        try:
            found = self._resolver.getaddrinfo(name, None)
        except OSError:
            return False
        return bool(found) and all(is_loopback_host(str(entry[4][0])) for entry in found)

    def getaddrinfo(self, host: Any, *rest: Any, **options: Any) -> Any:
        self.check(host)
        return self._resolver.getaddrinfo(host, *rest, **options)

    def gethostbyname(self, host: Any, *rest: Any) -> Any:
        self.check(host)
        return self._resolver.gethostbyname(host, *rest)

    def gethostbyname_ex(self, host: Any, *rest: Any) -> Any:
        self.check(host)
        return self._resolver.gethostbyname_ex(host, *rest)

    def __getattr__(self, name: str) -> Any:  # the rest asks no host by name
        return getattr(self._resolver, name)
