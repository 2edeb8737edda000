"""A heat map as a drawing: a cell for each combination of two axes, darker where the value is higher, with the value and a sign in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter

from markupsafe import Markup

from loadflow.engine.base.figures import latency_text, percent_text, rate_text
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.reports.chart import Plot, svg
from loadflow.engine.reports.run_charts import Chart

__all__ = ["SIGNS", "HeatMap", "heat_chart", "heat_map_of", "value_text"]

SIGNS = {"passed": "✓", "failed": "✕", "inconclusive": "?", "interrupted": "‖", "error": "!"}
TEXTS: Mapping[str, Callable[[float], str]] = {"rate": rate_text, "failure_rate": percent_text}
CELL_WIDTH, CELL_HEIGHT = 104, 34
CHARACTER_WIDTH = 6.2
MOST_LABEL = 60  # characters of a row's name in the drawing
LIGHTEST, DARKEST = 0.06, 0.6  # opacities: text stays readable on the darkest


def value_text(metric: str, value: float | None) -> str:
    return "–" if value is None else TEXTS.get(metric, latency_text)(value)


class HeatMap:
    """Rows and columns by their names, and the cell at each place. `axis`: what the columns are."""

    def __init__(self, axis: str, rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], JsonMapping]) -> None:
        self.axis, self.rows, self.columns, self.cells = axis, rows, columns, cells

    def shares(self, metric: str) -> dict[tuple[str, str], float]:
        """From 0 for the lowest value to 1 for the highest: by their logarithms, where all are above 0."""
        known = {place: float(cell[metric]) for place, cell in self.cells.items() if cell.get(metric) is not None}
        scale: Callable[[float], float] = math.log if known and min(known.values()) > 0 else float
        low, high = scale(min(known.values(), default=1.0)), scale(max(known.values(), default=1.0))
        return {place: (scale(value) - low) / (high - low) if high > low else 0.0 for place, value in known.items()}


def heat_map_of(cells: Sequence[JsonMapping]) -> HeatMap:
    """The columns are the rates where there are several, else the targets, else the values of the last variable that has several, else
    the scripts."""
    of_variables = [(name, partial(_variable, name)) for name in reversed(list(cells[0]["variables"]))]
    axes: list[tuple[str, Callable[[Mapping[str, object]], object]]] = [
        ("rate", itemgetter("asked_per_s")),
        ("target", itemgetter("target")),
    ]
    axes += [*of_variables, ("script", itemgetter("script"))]
    several = [(name, of) for name, of in axes if len({_text(of(one)) for one in cells}) > 1]
    axis, column_of = several[0] if several else axes[0]
    rest = [*((name, of) for name, of in reversed(axes) if name != axis and (name, of) in several)]

    def row_of(one: JsonMapping) -> str:
        parts = [_text(of(one)) if name in ("target", "rate", "script") else f"{name}={_text(of(one))}" for name, of in rest]
        return " · ".join(parts) or "all"

    def column(one: JsonMapping) -> str:
        text = _text(column_of(one))
        return f"{text}/s" if axis == "rate" and column_of(one) is not None else text

    rows, columns = (list(dict.fromkeys(name(one) for one in cells)) for name in (row_of, column))
    return HeatMap(axis, rows, columns, {(row_of(one), column(one)): one for one in cells})


def _variable(name: str, cell: JsonMapping) -> object:
    return cell["variables"][name]


def _text(value: object) -> str:
    return "–" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def heat_chart(heat: HeatMap, metric: str, title: str) -> Chart:
    longest = max(len(row[:MOST_LABEL]) for row in heat.rows)
    left = 20 + math.ceil(longest * CHARACTER_WIDTH)
    plot = Plot(left + CELL_WIDTH * len(heat.columns) + 10, 40 + CELL_HEIGHT * len(heat.rows), left, 10, 30, 10)
    parts = [
        Markup('<text x="{}" y="20" text-anchor="middle">{}</text>').format(left + CELL_WIDTH * (at + 0.5), name[:18])
        for at, name in enumerate(heat.columns)
    ]
    shares = heat.shares(metric)
    for down, row in enumerate(heat.rows):
        y = 30 + CELL_HEIGHT * down
        middle = y + CELL_HEIGHT / 2 + 4
        parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(left - 8, middle, row[:MOST_LABEL]))
        for at, column in enumerate(heat.columns):
            cell = heat.cells.get((row, column))
            if cell is None:
                continue
            x = left + CELL_WIDTH * at
            share = shares.get((row, column))
            if share is not None:
                opacity = round(LIGHTEST + share * (DARKEST - LIGHTEST), 3)
                square = '<rect class="fill s-p95" style="fill-opacity:{}" x="{}" y="{}" width="{}" height="{}" rx="4"/>'
                parts.append(Markup(square).format(opacity, x + 1, y + 1, CELL_WIDTH - 2, CELL_HEIGHT - 2))
            text = f"{value_text(metric, cell.get(metric))} {SIGNS.get(cell['verdict'], '')}"
            parts.append(Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x + CELL_WIDTH / 2, middle, text))
    described = f"{title}, from light for the lowest to dark for the highest value"
    drawing = svg(plot, Markup("").join(parts), name="heat", description=described)
    return Chart("heat", title, "darker is higher; ✓ passed, ✕ failed, ? inconclusive", drawing, [("s-p95", metric)])
