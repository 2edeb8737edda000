"""Ties values that a response returned to the later requests that sent them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from loadflow.engine.recording.dynamic import has_strong_part, is_credential_name, is_id_name, is_strong, is_weak
from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.recording.found_value import Found
from loadflow.engine.recording.places import DOLLAR, Place, visit_values
from loadflow.engine.recording.redirects import chains_of

__all__ = ["Correlation", "Tie", "Use", "correlate", "uses_of"]

# what a client says about itself: never the echo of a response
OWN_HEADERS = frozenset(
    [
        "user-agent",
        "accept",
        "accept-language",
        "accept-charset",
        "content-type",
        "origin",
        "cache-control",
        "pragma",
        "priority",
        "dnt",
        "range",
    ]
)
ASSETS = re.compile(r"\.(avif|css|eot|gif|ico|jpe?g|js|map|mjs|mp[34]|otf|png|svg|ttf|wasm|web[mp]|woff2?)$", re.IGNORECASE)
ASSET_TYPES = frozenset({"font", "image", "manifest", "media", "script", "stylesheet"})


@dataclass(frozen=True, slots=True)
class Use:
    """A value was sent by the request at `position`, at `place`."""

    position: int
    place: Place


@dataclass(frozen=True, slots=True)
class Tie:
    """`variable` holds what the response at `found.position` returned, for all steps after the one that got it."""

    variable: str
    found: Found


@dataclass(frozen=True, slots=True)
class Correlation:
    """`chains` are the positions each step plays, `ties` are by value, `loose` the values that no step can take from their response."""

    chains: list[list[int]]
    ties: Mapping[str, Tie]
    loose: Mapping[str, Found]
    steps: Mapping[int, int]  # position to the index of the step that plays it

    def tie_for(self, value: str, position: int, place: Place) -> Tie | None:
        """The tie that holds for this value here."""
        tie = self.ties.get(value)
        if tie is None or self.steps[tie.found.position] >= self.steps[position] or not _fits(value, place, tie.found):
            return None
        return tie


def uses_of(drafts: Sequence[dict[str, object]], exchanges: Sequence[Exchange]) -> dict[str, list[Use]]:
    """Every value that may have come from a response, with all the places that sent it, in the order they were sent."""
    uses: dict[str, list[Use]] = {}
    for position, (draft, exchange) in enumerate(zip(drafts, exchanges, strict=True)):
        is_asset = _is_asset(exchange)

        def note(value: str, place: Place, position: int = position, is_asset: bool = is_asset) -> None:
            if _may_be_dynamic(value, place) and not (is_asset and place.kind in ("url", "target", "path", "query", "referer")):
                uses.setdefault(value, []).append(Use(position, place))

        visit_values(draft, note)
    return uses


def correlate(exchanges: Sequence[Exchange], uses: Mapping[str, list[Use]], found: Mapping[str, Iterable[Found]]) -> Correlation:
    """What is tied to what. `found` holds for each value the responses that have it, in the order of the recording.

    A redirect that returned a value which is needed later is taken out of its chain, because only a step's last response can be
    read. A value that was sent before, or in, the request whose response returned it did not come from there.
    """
    apart: set[int] = set()
    while True:
        chains = chains_of(exchanges, apart)
        correlation, needed = _tied(chains, uses, found)
        if needed <= apart:
            return correlation
        apart |= needed


def _tied(chains: list[list[int]], uses: Mapping[str, list[Use]], found: Mapping[str, Iterable[Found]]) -> tuple[Correlation, set[int]]:
    steps = {position: index for index, chain in enumerate(chains) for position in chain}
    ties: dict[str, Tie] = {}
    loose: dict[str, Found] = {}
    apart: set[int] = set()
    names: set[str] = {DOLLAR}
    for value, sent in uses.items():
        live = [use for use in sent if chains[steps[use.position]][0] == use.position]
        first = min(use.position for use in sent)
        fitting = [
            one
            for one in found.get(value, ())
            if one.position < first and any(_fits(value, use.place, one) and steps[use.position] > steps[one.position] for use in live)
        ]
        readable = [one for one in fitting if one.extract is not None]
        best = next((one for one in readable if chains[steps[one.position]][-1] == one.position), None)
        if best is not None:
            ties[value] = Tie(_variable(best, live, names), best)
        elif readable:
            chain = chains[steps[readable[0].position]]
            apart.update(chain[: chain.index(readable[0].position) + 1])
        elif fitting:
            loose[value] = fitting[0]
    return Correlation(chains, ties, loose, steps), apart


def _fits(value: str, place: Place, found: Found) -> bool:
    """Whether the value at this place may have come from there: one that speaks for itself, or one whose names agree."""
    if place.kind == "json" and place.is_number is not found.is_number:
        return False  # a placeholder alone in its string takes the type of its value
    if place.kind in ("url", "target") or is_strong(value):
        return True
    if is_credential_name(place.name):
        return is_credential_name(found.name)
    return value.isdigit() and is_id_name(found.name) and (place.kind == "path" or is_id_name(place.name))


def _may_be_dynamic(value: str, place: Place) -> bool:
    lower = place.name.lower()
    if place.kind in ("url", "target") or (place.kind == "referer" and "://" in value):
        return has_strong_part(value)
    if place.kind == "header" and (lower in OWN_HEADERS or lower.startswith("sec-")):
        return False
    return is_strong(value) or is_weak(value, place.name, in_path=place.kind == "path")


def _is_asset(exchange: Exchange) -> bool:
    return exchange.resource_type in ASSET_TYPES or ASSETS.search(exchange.url.split("?", 1)[0]) is not None


def _variable(found: Found, uses: Sequence[Use], names: set[str]) -> str:
    """A name that says what it is, not yet in `names`; it is added."""
    spoken = next((name for name in (found.name, *(use.place.name for use in uses)) if re.search(r"[A-Za-z]", name)), "value")
    spoken = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spoken)
    base = re.sub(r"\W+", "_", spoken, flags=re.ASCII).strip("_").lower()[:40] or "value"
    name, number = base, 1
    while name in names:
        number += 1
        name = f"{base}_{number}"
    names.add(name)
    return name
