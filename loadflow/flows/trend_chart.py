"""The trend of a label as one picture: a line per percentile, a point per run, and where it got worse or better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from loadflow.engine.history.trend import TrendRow
from loadflow.engine.records.compare import ChangeKind
from loadflow.engine.reports.chart import Plot, Scale, axes, svg
from loadflow.engine.reports.run_charts import Chart, latency_axis

__all__ = ["chart_of"]

PLOT = Plot(height=220, right=48, top=36)  # room for the lines' names at their ends, and for the marks above
LINES = (("s-p50", "p50"), ("s-p95", "p95"), ("s-p99", "p99"))
MARKS = {ChangeKind.BETTER: "▼", ChangeKind.WORSE: "▲"}
NAME_HEIGHT = 12
CHARACTER_WIDTH = 7


def chart_of(rows: Sequence[TrendRow]) -> Chart:
    """`rows`: at least two, oldest first. The runs stand at even distances, whatever time passed between them."""
    last = len(rows) - 1
    measured = [number for number, row in enumerate(rows) if row.hits]
    values = {metric: [getattr(rows[number], f"{metric}_ms") for number in measured] for _, metric in LINES}
    scale, y_title = latency_axis([value for metric in values.values() for value in metric])
    xs = [PLOT.x(number / last) for number in range(len(rows))]
    x_scale = Scale(lambda number: number / last, list(enumerate(_texts(rows, xs))))
    parts = [axes(PLOT, x_scale, scale, x_title="start of the run, UTC", y_title=y_title)]
    for x, row in zip(xs, rows, strict=True):
        if row.change in MARKS:
            parts.append(Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, PLOT.top, PLOT.bottom_y))
            sign = Markup('<text class="{}" text-anchor="middle" x="{}" y="{}">{}</text>')
            parts.append(sign.format(row.change, x, PLOT.top - 4, MARKS[row.change]))
    for css, metric in LINES:
        points = [(xs[number], PLOT.y(scale.share(value))) for number, value in zip(measured, values[metric], strict=True)]
        parts.append(Markup('<path class="line {}" d="M{}"/>').format(css, " ".join(f"{x},{y}" for x, y in points)))
        parts.extend(Markup('<circle class="dot {}" cx="{}" cy="{}" r="2.5"/>').format(css, x, y) for x, y in points)
    ends = _apart([PLOT.y(scale.share(values[metric][-1])) for _, metric in LINES])
    for (css, metric), y in zip(LINES, ends, strict=True):
        parts.append(Markup('<text class="end {}" x="{}" y="{}">{}</text>').format(css, xs[measured[-1]] + 8, y + 4, metric))
    drawing = svg(PLOT, Markup("").join(parts), name="trend", description="Response times of the last runs")
    return Chart("trend", "Response times of the last runs", "▲ worse and ▼ better than the run before", drawing, [*LINES])


def _texts(rows: Sequence[TrendRow], xs: Sequence[float]) -> list[str]:
    """When each run started, "" where there is no room: the last, the first, the worse and the better ones come before the others."""
    write = _writer(rows)
    every = list(range(len(rows)))
    changed = [number for kind in (ChangeKind.WORSE, ChangeKind.BETTER) for number in reversed(every) if rows[number].change is kind]
    wanted = [every[-1], 0, *changed, *reversed(every)]
    room = CHARACTER_WIDTH * (len(write(rows[0])) + 1)
    shown: set[int] = set()
    for number in wanted:
        if all(abs(xs[number] - xs[other]) >= room for other in shown):
            shown.add(number)
    return [write(row) if number in shown else "" for number, row in enumerate(rows)]


def _writer(rows: Sequence[TrendRow]) -> Callable[[TrendRow], str]:
    """The day, where each run has one of its own; else the time of day, with the day if there are several."""
    days = {_started(row).date() for row in rows}
    form = "%m-%d" if len(days) == len(rows) else "%H:%M" if len(days) == 1 else "%m-%d %H:%M"
    return lambda row: _started(row).strftime(form)


def _started(row: TrendRow) -> datetime:
    return datetime.fromtimestamp(row.started_unix_s, UTC)


def _apart(ys: Sequence[float]) -> list[float]:
    """The names' heights, moved until none covers another. `ys`: from the lowest line of the picture to the highest.

    >>> _apart([100.0, 99.0, 20.0])
    [100.0, 88.0, 20.0]
    """
    placed = [ys[0]]
    for y in ys[1:]:
        placed.append(min(y, placed[-1] - NAME_HEIGHT))
    return placed
