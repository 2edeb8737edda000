"""The nights of a label as one page of Prefect's: what tonight is, the band of what is usual, suspect and worse nights; and a duet's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from prefect.artifacts import create_markdown_artifact

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import unbroken
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.history.comparing import value_text
from loadflow.engine.history.duet import DuetKind, DuetResult
from loadflow.engine.history.judgement import JudgedMetric, JudgedNight, Judgement
from loadflow.engine.history.judging import sentences
from loadflow.engine.reports.chart import Plot, Scale, axes, svg
from loadflow.engine.reports.run_charts import Chart, latency_axis
from loadflow.flows.artifacts import label_key
from loadflow.flows.campaign_page import campaign_markdown
from loadflow.flows.capacity_page import capacity_markdown
from loadflow.flows.pictures import image
from loadflow.flows.safe_text import safe

__all__ = ["band_chart", "history_markdown", "publish_history"]

PLOT = Plot(height=240, right=32, top=30)
SIGNS = {"worse": "▲ **worse**", "suspect": "? suspect", "better": "▼ better", "same": "= same", "learning": "… learning"}
MARKED = {"worse": ("worse", "▲"), "suspect": ("end s-p95", "?")}  # how a night is marked: class and sign
MOST_NIGHTS = 36
TEXT = 300
CHARACTER_WIDTH = 7


def publish_history(judgement: JsonMapping) -> None:
    """Write the page; the key is the same for each night of a label. Raises what Prefect's client raises."""
    kind, page = PAGES[judgement["format"]]
    text = page(judgement)
    create_markdown_artifact(text, key=label_key(judgement["label"], kind), description=str(judgement["verdict"]))


def history_markdown(judgement: Judgement) -> str:
    lines = [
        f"# {SIGNS[judgement['verdict']]}: {safe(judgement['label'], TEXT)}",
        *(f"- {safe(one, TEXT)}" for one in sentences(judgement)),
    ]
    parts = ["\n".join(lines)]
    metric = next((one for one in judgement["metrics"] if not one["name"] and one["metric"] != "failure_rate"), None)
    if metric is not None and len(judgement["nights"]) > 1:
        parts.append(image(band_chart(judgement["nights"], metric)))
    rows = [_row(one) for one in judgement["metrics"]]
    if rows:
        heads = ["", "Of", "Metric", "Tonight", "Usually", "Change"]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows]))
    if first := judgement["first_bad"]:
        rows = [[safe(one["run"], TEXT), safe(one["revision"], TEXT) or "–", f"{one['probability']:.0%}"] for one in first["among"]]
        heads = ["First bad run", "Revision", "Probability"]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * 3, *rows]))
    return "\n\n".join(parts)


def _row(one: JudgedMetric) -> list[str]:
    metric, usual = one["metric"], one["usual"]
    between = f"{value_text(metric, usual[0])} … {value_text(metric, usual[2])}" if usual else "–"
    change = f"{one['change'] * 100:+.2f} points" if metric == "failure_rate" else f"{one['change']:+.1%}"
    return [SIGNS[one["verdict"]], safe(one["name"], TEXT) or "all", metric, unbroken(value_text(metric, one["value"])), between, change]


def band_chart(nights: Sequence[JudgedNight], metric: JudgedMetric) -> Chart:
    """A point for each night, oldest first; the band is what is usual now: two standard deviations to each side of the middle."""
    name, usual = metric["metric"], metric["usual"]
    shown = [one for one in nights if one.get(name)][-MOST_NIGHTS:]
    verdicts = [one["verdict"] for one in shown[:-1]] + [metric["verdict"]]
    values = [float(one[name]) for one in shown]
    scale, y_title = latency_axis([*values, *(usual or [])]) if name != "rate" else _rate_axis([*values, *(usual or [])])
    last = max(1, len(shown) - 1)
    xs = [PLOT.x(number / last) for number in range(len(shown))]
    parts = [axes(PLOT, Scale(lambda number: number / last, _days(shown, xs)), scale, x_title="night, UTC", y_title=y_title)]
    if usual:
        low, middle, high = (PLOT.y(scale.share(value)) for value in usual)
        band = '<rect class="fill s-p50" fill-opacity=".15" style="fill-opacity:.15" x="{}" y="{}" width="{}" height="{}"/>'
        parts.append(Markup(band).format(PLOT.left, high, PLOT.right_x - PLOT.left, round(low - high, 1)))
        parts.append(Markup('<path class="line s-p50" d="M{},{} H{}"/>').format(PLOT.left, middle, PLOT.right_x))
    points = [(x, PLOT.y(scale.share(value))) for x, value in zip(xs, values, strict=True)]
    parts.append(Markup('<path class="line s-ok" d="M{}"/>').format(" ".join(f"{x},{y}" for x, y in points)))
    for (x, y), verdict in zip(points, verdicts, strict=True):
        parts.append(Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format("s-fail" if verdict == "worse" else "s-ok", x, y))
        if verdict in MARKED:
            css, sign = MARKED[verdict]
            parts.append(Markup('<text class="{}" text-anchor="middle" x="{}" y="{}">{}</text>').format(css, x, y - 8, sign))
    drawing = svg(PLOT, Markup("").join(parts), name="history", description=f"The {name} of the last nights")
    legend = [("s-ok", name), ("s-p50", "usual")]
    return Chart("history", f"The {name} of the last {counted(len(shown), 'night')}", "▲ worse, ? suspect", drawing, legend)


def _rate_axis(values: Sequence[float]) -> tuple[Scale, str]:
    from loadflow.engine.reports.chart import linear_scale

    return linear_scale(max(values), lambda value: f"{value:,.4g}"), "requests per second"


def _days(nights: Sequence[JudgedNight], xs: Sequence[float]) -> list[tuple[float, str]]:
    texts: list[tuple[float, str]] = []
    free_x = float("inf")
    for number in reversed(range(len(nights))):  # tonight first
        text = datetime.fromtimestamp(nights[number]["started_unix_s"], UTC).strftime("%m-%d")
        room = CHARACTER_WIDTH * (len(text) + 1)
        shown = free_x - xs[number] >= room
        free_x = xs[number] if shown else free_x
        texts.append((number, text if shown else ""))
    return texts[::-1]


def duet_markdown(result: DuetResult) -> str:
    """The legs of a duet, pair by pair."""
    signs: Mapping[str, str] = {DuetKind.WORSE: SIGNS["worse"], DuetKind.FINE: "= fine"}
    sign = signs.get(result["verdict"], "? unclear")
    pairs: dict[int, dict[str, float]] = {}
    for leg in result["legs"]:
        pairs.setdefault(leg["pair"], {})[leg["side"]] = leg["value"]

    def text(value: float) -> str:
        return value_text(result["metric"], value)

    rows = [[str(pair), text(sides["A"]), text(sides["B"]), f"{sides['B'] / sides['A'] - 1:+.1%}"] for pair, sides in pairs.items()]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [["Pair", "A", "B", "Change"], ["--:"] * 4, *rows])
    said = f"{result['metric']} of B against A: {result['change']:+.1%} in {counted(result['pairs'], 'pair')}."
    of = f" of {safe(result['suspect'], TEXT)}" if result["suspect"] else ""
    return f"# {sign}: duet{of}, {safe(result['label'], TEXT)}\n\n{said}\n\n{table}"


PAGES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "loadflow-judgement": ("history", history_markdown),
    "loadflow-duet": ("duet", duet_markdown),
    "loadflow-capacity": ("capacity", capacity_markdown),
    "loadflow-campaign": ("campaign", campaign_markdown),
}
