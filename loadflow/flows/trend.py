"""The trend of a deployment as a Markdown page: its last like runs, what changed marked, and a chart of their percentiles.

Cheap and bounded: it opens at most 200 run folders, reads the counts of at most 21, and never a hit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from markupsafe import Markup

from loadflow.engine.comparing import value_text
from loadflow.engine.kept_runs import KeptRun, runs_below
from loadflow.engine.records.compare import ChangeKind
from loadflow.engine.records.run import Run
from loadflow.engine.reports.chart import Plot, Scale, axes, linear_scale, svg
from loadflow.engine.reports.figures import latency_text
from loadflow.engine.reports.run_charts import Chart
from loadflow.engine.trend import TrendRow, change_line, like_runs, trend
from loadflow.errors import RunError
from loadflow.flows.pictures import image

__all__ = ["trend_page"]

MOST_RUNS = 20
MOST_FOLDERS = 200  # how far back is looked for runs of the label: other deployments may share the folder
PLOT = Plot(height=220, right=44)  # room for the names of the lines
NAME_HEIGHT = 12
MOST_DATES = 5  # below the chart
NO_BREAK = "\u00a0"
LINES = (("s-p50", "p50"), ("s-p95", "p95"), ("s-p99", "p99"))
MARKS = {ChangeKind.BETTER: ("s-better", "▼ better"), ChangeKind.WORSE: ("s-worse", "▲ worse")}
SIGNS = {ChangeKind.BETTER: "▼ better", ChangeKind.SAME: "= same", ChangeKind.UNCLEAR: "? unclear", ChangeKind.WORSE: "▲ **worse**"}


def trend_page(run: Run) -> str:
    """The page; "" while `run` is the first of its label, plan, engine and machine."""
    kept = KeptRun.of(run)
    rows = trend(like_runs(_recent(run), kept), MOST_RUNS)
    if len(rows) < 2:
        return ""
    heads = ["Started", "Verdict", "Rate", "p50", "p95", "p99", "Failed", "Change"]
    table = [heads, ["---", "---", *["--:"] * 5, "---"], *(_cells(row) for row in rows)]
    last = rows[0]
    said = f"{SIGNS[last.change]}: {change_line(last)}".rstrip(": ") if last.change else ""
    return "\n\n".join(
        [
            f"# The last {len(rows)} runs",
            f"Against the run before: {said}. Runs of the same label, plan, engine and machine (`{kept.fingerprint}`); newest first.",
            "\n".join(f"| {' | '.join(cells)} |" for cells in table),
            image(_chart(rows[::-1])),
        ]
    )


def _recent(run: Run) -> Iterator[KeptRun]:
    for path in islice(runs_below(run.folder.parent), MOST_FOLDERS):
        try:
            yield KeptRun.of(Run.open(path))
        except RunError:  # of a newer release, or torn: no part of this trend, and `loadflow runs` names it
            continue


def _cells(row: TrendRow) -> list[str]:
    values = {"rate": row.rate_per_s, "p50": row.p50_ms, "p95": row.p95_ms, "p99": row.p99_ms, "failure_rate": row.failure_rate}
    texts = {name: value_text(name, value).replace(" ", NO_BREAK) for name, value in values.items()}
    figures = [f"**{text}**" if _worse(row, name) else text for name, text in texts.items()]
    change = f"{SIGNS[row.change]} {change_line(row).replace(' %', f'{NO_BREAK}%')}".strip() if row.change else "–"
    return [_date(row, "%Y-%m-%d %H:%M:%S"), row.verdict, *figures, change]


def _date(row: TrendRow, form: str) -> str:
    return datetime.fromtimestamp(row.started_unix_s, UTC).strftime(form)


def _worse(row: TrendRow, metric: str) -> bool:
    return row.kind_of(metric) is ChangeKind.WORSE


def _chart(rows: list[TrendRow]) -> Chart:
    """A line per percentile, a point per run, oldest first; an upright mark where a run was worse or better than the one before."""
    last = len(rows) - 1
    scale = linear_scale(max(row.p99_ms for row in rows), latency_text)
    shown = dict.fromkeys(round(last * part / (MOST_DATES - 1)) for part in range(MOST_DATES))
    x_scale = Scale(lambda number: number / last, [(number, _date(rows[number], "%m-%d %H:%M")) for number in shown])
    parts = [axes(PLOT, x_scale, scale, x_title="start of the run (UTC), equal steps", y_title="response time")]
    for number, row in enumerate(rows):
        if row.change in MARKS:
            parts.append(_mark(PLOT.x(x_scale.share(number)), *MARKS[row.change]))
    for css, metric in LINES:
        points = [(PLOT.x(x_scale.share(number)), PLOT.y(scale.share(getattr(row, f"{metric}_ms")))) for number, row in enumerate(rows)]
        parts.append(Markup('<path class="line {}" d="M{}"/>').format(css, " ".join(f"{x},{y}" for x, y in points)))
        parts.extend(Markup('<circle class="dot {}" cx="{}" cy="{}" r="2.5"/>').format(css, x, y) for x, y in points)
    parts.extend(_names([PLOT.y(scale.share(getattr(rows[-1], f"{metric}_ms"))) for _, metric in LINES]))
    drawing = svg(PLOT, Markup("").join(parts), name="trend", description="Response times of the last runs")
    return Chart("trend", "Response times of the last runs", "marked: worse or better than the run before", drawing, [*LINES], [])


def _mark(x: float, css: str, words: str) -> Markup:
    """An upright line with its words above it, which stay inside the picture."""
    anchor = "start" if x < PLOT.width / 4 else "end" if x > PLOT.right_x - 40 else "middle"
    return Markup(
        '<line class="mark {0}" x1="{1}" x2="{1}" y1="{2}" y2="{3}"/><text class="{0}" text-anchor="{4}" x="{1}" y="{5}">{6}</text>'
    ).format(css, x, PLOT.top, PLOT.bottom_y, anchor, PLOT.top - 6, words)


def _names(heights: list[float]) -> Iterator[Markup]:
    """Each line's name at its right end, moved up where it would lie on the one below: p50 is never above p95."""
    free = float(PLOT.height)
    for (css, metric), height in zip(LINES, heights, strict=True):
        free = min(height + 4, free - NAME_HEIGHT)
        yield Markup('<text class="{}" x="{}" y="{}">{}</text>').format(css, PLOT.right_x + 8, round(free, 1), metric)
