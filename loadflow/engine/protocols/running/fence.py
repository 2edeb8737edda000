"""Keeps the engine process away from hosts that are not allowed: every name and address passes its resolver before a connection.

A name is resolved once, and its answer is both looked at and connected to: between two questions it could change (DNS
rebinding). What connects by other ways (the native core, gRPC's library) is given the answer, not the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from loadflow.engine.plan.target import HOSTS_VARIABLE, HostLists, refusing_answer
from loadflow.engine.protocols.running.seam import HitFailure
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

    def refusal(self, host: str, addresses: Sequence[str]) -> str | None:
        """Why a host that resolved to `addresses` may not be loaded; None where it may: its name is allowed, or it is this machine."""
        refused = refusing_answer(host, addresses, self._lists)
        if refused is None:
            return None
        known = ", ".join(refused) or "loopback only"
        return f"{host} may not be loaded here; allowed: {known} ({HOSTS_VARIABLE} or the target's block)"

    def getaddrinfo(self, host: Any, *rest: Any, **options: Any) -> Any:
        return self._asked(host, lambda: self._resolver.getaddrinfo(host, *rest, **options), lambda found: [one[4][0] for one in found])

    def gethostbyname(self, host: Any, *rest: Any) -> object:
        return self._asked(host, lambda: self._resolver.gethostbyname(host, *rest), lambda found: [found])

    def gethostbyname_ex(self, host: Any, *rest: Any) -> object:
        return self._asked(host, lambda: self._resolver.gethostbyname_ex(host, *rest), lambda found: found[2])

    def _asked(self, host: str | bytes | None, resolve: Callable[[], object], addresses: Callable[[Any], list[Any]]) -> Any:
        """What a name resolves to, asked once: what is looked at is what is connected to. Raises HitFailure for a host that may not
        be loaded; None is this machine."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        try:
            found = resolve()
        except OSError:
            if name and (text := self.refusal(name, ())):
                raise HitFailure(Outcome.FORBIDDEN, text) from None
            raise
        if name and (text := self.refusal(name, [str(address) for address in addresses(found)])):
            raise HitFailure(Outcome.FORBIDDEN, text)
        return found

    def __getattr__(self, name: str) -> object:  # the rest asks no host by name
        return getattr(self._resolver, name)
