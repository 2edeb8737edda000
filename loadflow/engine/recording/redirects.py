"""Which exchanges are one chain of redirects, so that one step plays them: the engine follows redirects itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import urldefrag, urljoin

from loadflow.engine.recording.exchange import Exchange

__all__ = ["chains_of"]

# The target of a redirect is asked at once; requests of other connections may stand between.
MOST_BETWEEN = 20
MOST_WAIT_S = 5.0


def chains_of(exchanges: Sequence[Exchange], apart: Collection[int] = ()) -> list[list[int]]:
    """The positions that each step plays, in order: most alone, a redirect together with what it led to.

    A chain is what the engine would send on its own: the same URL, method and body (RFC 9110 section 15.4). Redirects at the
    positions `apart`, and those whose target was not recorded, stay alone and are not followed.
    """
    after: dict[int, int] = {}
    taken: set[int] = set()
    for position, exchange in enumerate(exchanges):
        if exchange.location and position not in apart:
            target = _target(exchanges, position, taken)
            if target is not None:
                after[position] = target
                taken.add(target)
    return [_chain(position, after) for position in range(len(exchanges)) if position not in taken]


def _chain(head: int, after: dict[int, int]) -> list[int]:
    chain = [head]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    return chain


def _target(exchanges: Sequence[Exchange], position: int, taken: set[int]) -> int | None:
    redirect = exchanges[position]
    try:
        url = urldefrag(urljoin(redirect.url, redirect.location)).url
    except ValueError:
        return None
    method, body = redirect.method, redirect.body
    if (redirect.status == 303 and method != "HEAD") or (redirect.status in (301, 302) and method == "POST"):
        method, body = "GET", None
    for other in range(position + 1, min(position + 2 + MOST_BETWEEN, len(exchanges))):
        exchange = exchanges[other]
        if other not in taken and exchange.method == method and _same_url(exchange.url, url):
            same_body = (exchange.body and exchange.body.text) == (body and body.text)
            return other if same_body and _soon(redirect, exchange) else None
    return None


def _same_url(one: str, other: str) -> bool:
    try:
        return urldefrag(one).url == other
    except ValueError:
        return False


def _soon(redirect: Exchange, target: Exchange) -> bool:
    if redirect.started_s is None or target.started_s is None:
        return True
    return target.started_s - redirect.started_s - redirect.took_s <= MOST_WAIT_S
