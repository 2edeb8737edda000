"""The recorded pauses, as think times: from the end of a page's last request to the start of the next page's first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.script.mistakes import kind_of, suggest
from loadflow.errors import CommandError, Mistake

__all__ = ["ThinkRule", "think_rule", "think_times"]

SPREAD = 0.25
CAP_S = 60.0
NEW_PAGE_S = 1.0  # of silence, where the recording names no pages (proxies don't)
LEAST_S = 0.05  # shorter is the browser, not its user


@dataclass(frozen=True, slots=True)
class ThinkRule:
    """Recorded seconds times `scale`, at most `cap` of them, then evenly from `1 - spread` to `1 + spread` of that."""

    scale: float = 1.0
    spread: float = SPREAD
    cap: float = CAP_S


def think_rule(asked: str | JsonMapping | None) -> ThinkRule | None:
    """The rule in `asked`: "recorded", "none" or None, or an object with scale, spread and cap. Raises CommandError for all else.

    >>> think_rule({"scale": 0.5})
    ThinkRule(scale=0.5, spread=0.25, cap=60.0)
    """
    if asked is None or asked == "none":
        return None
    if asked == "recorded":
        return ThinkRule()
    if not isinstance(asked, Mapping):
        what = repr(asked[:40]) if isinstance(asked, str) else kind_of(asked)
        raise CommandError([Mistake("think_time", f"{what} is not a think time", 'write "recorded", "none" or {"scale": 0.5}')])
    mistakes = []
    for key, value in asked.items():
        if key not in ThinkRule.__slots__:
            mistakes.append(Mistake(f"think_time.{key}", "is not a key of a think time", suggest(str(key), ThinkRule.__slots__)))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6 or (key == "spread" and value > 1):
            mistakes.append(Mistake(f"think_time.{key}", "must be a number from 0 on" + (" to 1" if key == "spread" else "")))
    if mistakes:
        raise CommandError(mistakes)
    return ThinkRule(**{key: float(value) for key, value in asked.items()})


def think_times(exchanges: Sequence[Exchange], chains: Sequence[Sequence[int]], rule: ThinkRule | None) -> dict[int, dict[str, float]]:
    """By the index of a step: what it waits after it was sent. Nothing where the recording has no times."""
    if rule is None or rule.scale == 0 or all(exchange.started_s is None for exchange in exchanges):
        return {}
    starts = _started(exchanges)
    pages = _pages(exchanges, starts)
    found = {}
    ended_s = 0.0
    for index, chain in enumerate(chains):
        if index and pages[chain[0]] != pages[chains[index - 1][0]]:
            pause_s = min((starts[chain[0]] - ended_s) * rule.scale, rule.cap)
            if pause_s >= LEAST_S:
                found[index - 1] = {"min": round(pause_s * (1 - rule.spread), 3), "max": round(pause_s * (1 + rule.spread), 3)}
        ended_s = max(ended_s, *(starts[position] + exchanges[position].took_s for position in chain))
    return found


def _started(exchanges: Sequence[Exchange]) -> list[float]:
    """When each began, in Unix time: one that does not say is taken to have begun with the one before it, the first ones with the next."""
    last_s = next((exchange.started_s for exchange in exchanges if exchange.started_s is not None), 0.0)
    starts = []
    for exchange in exchanges:
        last_s = last_s if exchange.started_s is None else exchange.started_s
        starts.append(last_s)
    return starts


def _pages(exchanges: Sequence[Exchange], starts: Sequence[float]) -> list[str | int]:
    """Which page each exchange belongs to: as recorded, or by silence."""
    if all(exchange.page for exchange in exchanges):
        return [exchange.page for exchange in exchanges]
    pages: list[str | int] = []
    number, ended_s = 0, None
    for exchange, start_s in zip(exchanges, starts, strict=True):
        if ended_s is not None and start_s - ended_s >= NEW_PAGE_S:
            number += 1
        pages.append(number)
        ended_s = max(ended_s or 0.0, start_s + exchange.took_s)
    return pages
