"""What a step stands for: one request, and with it the requests that its redirects caused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin

from loadflow.engine.recording.entry import REDIRECTS, Request

__all__ = ["Exchange", "exchanges_of", "in_order", "think_times_s"]

# How many entries after a redirect the request that follows it is looked for; pages load other things in between.
NEAR = 50


@dataclass(frozen=True, slots=True)
class Exchange:
    """`followed` are the requests of the redirects, in order; they are not steps, because the client follows by itself."""

    request: Request
    followed: tuple[Request, ...] = ()

    @property
    def last(self) -> Request:
        """The request whose response the step sees."""
        return self.followed[-1] if self.followed else self.request

    @property
    def follows(self) -> bool:
        """False when the recording ends at a redirect: then the step must not follow it either."""
        return self.last.status not in REDIRECTS or not self.last.location


def in_order(requests: Sequence[Request]) -> list[Request]:
    """By the time they started; as they stand in the file when any has no time. Some recorders write in the order of the ends."""
    if any(one.started_s is None for one in requests):
        return list(requests)
    return sorted(requests, key=lambda one: one.started_s or 0.0)


def exchanges_of(requests: Sequence[Request], wanted: Callable[[Request], bool]) -> list[Exchange]:
    """Redirect chains of ordered requests, collapsed. A chain is wanted if its first request is."""
    used: set[int] = set()
    found = []
    for position, request in enumerate(requests):
        if position in used or not wanted(request):
            continue
        chain: list[Request] = []
        at = _next(requests, position, used)
        while at is not None:
            used.add(at)
            chain.append(requests[at])
            at = _next(requests, at, used)
        found.append(Exchange(request, tuple(chain)))
    return found


def _next(requests: Sequence[Request], position: int, used: set[int]) -> int | None:
    """Where the request is that follows the redirect at `position`."""
    request = requests[position]
    if request.status not in REDIRECTS or not request.location:
        return None
    try:
        place = urldefrag(urljoin(request.url, request.location)).url
    except ValueError:
        return None
    method = request.method
    if (request.status == 303 and method != "HEAD") or (request.status in (301, 302) and method == "POST"):
        method = "GET"  # RFC 9110 section 15.4
    for at in range(position + 1, min(position + 1 + NEAR, len(requests))):
        if at not in used and requests[at].url == place and requests[at].method == method:
            return at
    return None


def think_times_s(exchanges: Sequence[Exchange]) -> list[float | None]:
    """For each, how long nothing was under way between it and the next; None where that is not known, or nothing."""
    times: list[float | None] = []
    free_at: float | None = None
    for this, following in zip(exchanges, [*exchanges[1:], None], strict=False):
        for request in (this.request, *this.followed):
            if request.started_s is not None:
                ended = request.started_s + request.taken_s
                free_at = ended if free_at is None else max(free_at, ended)
        start = None if following is None else following.request.started_s
        gap = 0.0 if start is None or free_at is None else round(start - free_at, 3)
        times.append(gap if gap > 0 else None)
    return times
