"""Which thresholds are a line in which chart: a limit of a time, of a failure rate or of a rate, over all names or over one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.threshold import is_named, parse_expression

__all__ = ["LimitLine", "limit_lines", "lines_of"]

MOST_LINES = 40
SCOPE = re.compile(r"(?:of (?P<name>.*?))?\s*(?:from (?P<from>[\d.e+]+) s to (?P<to>[\d.e+]+) s)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LimitLine:
    """`value` in the chart's unit: milliseconds, a share of 1, hits per second. `window_s` None: all of the load."""

    chart: str  # latency, failures or rate
    label: str
    value: float
    name: str | None
    window_s: tuple[float, float] | None


def limit_lines(summary: Summary) -> list[LimitLine]:
    """Of a service time, a number of hits or of bytes there is no chart that a line could stand in."""
    found: dict[LimitLine, None] = {}
    for one in summary.thresholds:
        if one.promql:  # of the target: a chart of its own
            continue
        try:
            expression = parse_expression(one.expression)
        except ValueError:  # of a later release, or of records that were given
            continue
        chart = {"time": "latency", "rate": "rate"}.get(expression.kind) or ("failures" if expression.metric == "failure_rate" else "")
        scope = SCOPE.fullmatch(one.scope)
        if not chart or expression.service or expression.timing or scope is None:
            continue
        # with several runs it is not known which run a window belongs to
        window = (float(scope["from"]), float(scope["to"])) if scope["from"] and len(summary.runs) == 1 else None
        found[LimitLine(chart, one.expression[:60], expression.limit, scope["name"], window)] = None
    return list(found)[:MOST_LINES]


def lines_of(lines: Sequence[LimitLine], name: SeriesName | None = None) -> list[LimitLine]:
    """Those that hold for a name, or, without one, for all hits together."""
    return [line for line in lines if (line.name is None if name is None else line.name is not None and is_named(name, line.name))]
