"""Asks Prometheus, an address, Prefect and the calendar, one question at a time; what can't be asked is an answer too, with its reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import size_text
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.exporters.shared.bounded import MOST_BYTES, Bounded
from loadflow.engine.exporters.shared.trouble import Unreachable, without_user
from loadflow.engine.load_test.watching import DAYS, OnlyIf
from loadflow.engine.records.watched import parse_bound

__all__ = ["BadQuery", "PrefectAnswers", "Prometheus", "Said", "ask_condition", "in_window"]

TIMEOUT_S = 5.0  # for a whole question
MOST_SERIES = 200  # of one answer: all are kept, since the worst one decides
INFINITE = 1e300  # what an infinity of Prometheus counts as: JSON and charts have none
LONGEST_WHY = 300
MOST_NAMED = 5
# ("variable", name): its value; ("automation", name): the names of those that are paused, where the name may have wildcards. Raises
# LookupError for a name that is none, and OSError without an answer
PrefectAnswers = Callable[[str, str], object]


class BadQuery(Exception):
    """Prometheus has no use for the query, now or later."""


@dataclass(frozen=True, slots=True)
class Said:
    """`holds` None: it could not be asked, and `why`."""

    holds: bool | None
    why: str = ""


class Prometheus:
    """Instant queries of its HTTP API (prometheus.io/docs/prometheus/latest/querying/api)."""

    def __init__(self, web: Bounded, url: str, headers: Mapping[str, str]) -> None:
        self._web = web
        self._url = url.rstrip("/")
        self._headers = dict(headers)

    def values(self, promql: str, at_unix_s: float) -> dict[str, float]:
        """By the labels of each series; a value that is no number (NaN) is left out. Raises Unreachable or BadQuery."""
        url = f"{self._url}/api/v1/query?{urlencode({'query': promql, 'time': f'{at_unix_s:.3f}', 'timeout': f'{TIMEOUT_S:g}s'})}"
        answered = self._web("GET", url, self._headers)
        status, shown = answered.status, without_user(self._url)[1]
        told = f"its answer is larger than {size_text(MOST_BYTES)}; aggregate the query, for example by max(…)"
        try:
            if not answered.cut:
                answer = read_json(answered.body)
                told = f"{answer.get('errorType', '')}: {answer.get('error', '')}"[:LONGEST_WHY]
                if status == 400 and answer.get("errorType") == "bad_data":
                    raise BadQuery(told)
                if status == 200:
                    return _numbers(answer["data"])
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
            told = "its answer is not one of Prometheus"
        raise Unreachable(f"{shown} answered with status {status}: {told}")


def _numbers(data: JsonMapping) -> dict[str, float]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        result = [{"metric": {}, "value": result}]
    elif kind != "vector":
        text = f"the query gives a {str(kind)[:LONGEST_WHY]}, not a value for a moment; take its max_over_time or rate, for example"
        raise BadQuery(text)
    if len(result) > MOST_SERIES:
        raise BadQuery(
            f"the query gives {counted(len(result), 'series', 'series')}, and at most {MOST_SERIES} are taken; aggregate it by max(…)"
        )
    found = {}
    for one in result:
        value = float(one["value"][1])
        if not math.isnan(value):
            value = min(INFINITE, max(-INFINITE, value))
            found[", ".join(f"{name}={text}" for name, text in sorted(one["metric"].items()))] = value
    return found


def ask_condition(
    one: OnlyIf, web: Bounded, prometheus: Prometheus | None, prefect: PrefectAnswers | None, now_unix_s: float
) -> tuple[Said, dict[str, object]]:
    """Whether it holds, and what was answered."""
    try:
        if one.promql:
            return _by_promql(one, prometheus, now_unix_s)
        if one.http:
            return _by_http(one, web), {}
        if one.variable or one.automation:
            return _by_prefect(one, prefect)
    except (Unreachable, BadQuery) as error:
        return Said(None, str(error)), {}
    assert one.between is not None
    now = datetime.fromtimestamp(now_unix_s, UTC).astimezone(ZoneInfo(one.timezone))
    holds = in_window(now, one.between[0], one.between[1], one.days)
    return Said(holds, "" if holds else f"it is {now:%a %H:%M}"), {}


def _by_promql(one: OnlyIf, prometheus: Prometheus | None, now_unix_s: float) -> tuple[Said, JsonObject]:
    assert prometheus is not None
    values = prometheus.values(one.promql or "", now_unix_s)
    if not values:
        return Said(None, "Prometheus has no value"), {}
    bound = parse_bound(one.is_ or "")
    worst = bound.worst(values.values())
    return Said(bound.holds(worst), "" if bound.holds(worst) else f"it is {worst:.6g}"), values


def _by_http(one: OnlyIf, web: Bounded) -> Said:
    answer = web("GET", one.http or "")
    if answer.status != one.status if one.status else answer.status >= 400:
        return Said(False, f"it answered with status {answer.status}")
    if one.contains and one.contains not in answer.body.decode("utf-8", "replace"):
        where = f"the first {size_text(MOST_BYTES)} of its answer do" if answer.cut else "its answer does"
        return Said(False, f"{where} not contain {one.contains!r}")
    return Said(True)


def _by_prefect(one: OnlyIf, prefect: PrefectAnswers | None) -> tuple[Said, dict[str, object]]:
    assert prefect is not None
    kind, name = ("variable", one.variable or "") if one.variable else ("automation", one.automation or "")
    try:
        value = prefect(kind, name)
    except LookupError as error:
        return Said(False, str(error.args[0])), {}
    except OSError as error:
        return Said(None, (error.strerror or str(error))[:LONGEST_WHY]), {}
    if kind == "automation":
        paused = [str(one) for one in value] if isinstance(value, list) else []
        more = f" and {len(paused) - MOST_NAMED:,} more" if len(paused) > MOST_NAMED else ""
        why = f"{', '.join(paused[:MOST_NAMED])}{more} {'is' if len(paused) == 1 else 'are'} paused" if paused else ""
        return Said(not paused, why[:LONGEST_WHY]), {name: "paused" if paused else "not paused"}
    text = value if isinstance(value, str) else json.dumps(value)
    holds = value not in (None, "", False) if one.is_ is None else text == one.is_
    return Said(holds, "" if holds else f"it is {text[:60]!r}"), {name: text[:200]}


def in_window(now: datetime, begins: str, ends: str, days: list[str] | None) -> bool:
    """Whether a time of day is in a window; one that ends before it begins goes on over midnight, and belongs to the day it began on.

    >>> in_window(datetime(2026, 11, 30, 2, 0), "22:00", "06:00", ["sun"])
    True
    """
    clock = now.strftime("%H:%M")
    if begins <= ends:
        inside, began = begins <= clock < ends, now
    elif clock >= begins:
        inside, began = True, now
    else:
        inside, began = clock < ends, now - timedelta(days=1)
    return inside and (days is None or DAYS[began.weekday()] in days)
