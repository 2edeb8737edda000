"""How much a target can bear, as a page of Prefect's: the answer, the curve as a picture, and every probe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from loadflow.engine.base.figures import latency_text, percent_text, rate_text
from loadflow.engine.history.capacity_words import capacity_sentences
from loadflow.engine.reports.chart import Plot, axes, linear_scale, log_scale, svg
from loadflow.engine.reports.run_charts import Chart
from loadflow.flows.pictures import image
from loadflow.flows.safe_text import safe

__all__ = ["capacity_chart", "capacity_markdown"]

PLOT = Plot(height=240, right=32, top=30)
LEAST_SHARE = 1e-5
POINTS = 40
TEXT = 300


def capacity_markdown(result: Mapping[str, Any]) -> str:
    said = "\n".join(f"- {safe(one, TEXT)}" for one in capacity_sentences(result))
    parts = [f"# Capacity of {safe(result['label'], TEXT)}", said]
    text = result["limit"] or next(iter(result["probes"][-1]["over"]), "")
    if text and len(result["probes"]) > 1:
        parts.append(image(capacity_chart(result, text)))
    heads = ["Step", "Rate", "Seconds", "p99", "Over the limit", ""]
    rows = [
        [
            one["step"],
            f"{rate_text(one['rate_per_s'])}/s",
            f"{one['seconds']:.0f}",
            latency_text(one["p99_ms"]),
            ", ".join(f"{percent_text(share)} ({safe(limit, TEXT)})" for limit, (share, _) in one["over"].items()),
            safe(one["why"], TEXT) or "–",
        ]
        for one in result["probes"]
    ]
    parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---", *["--:"] * 3, "---", "---"], *rows]))
    return "\n\n".join(parts)


def capacity_chart(result: Mapping[str, Any], limit: str) -> Chart:
    """The share of requests over `limit` against the rate: a point for each probe, the fitted curve, and the interval of the capacity."""
    points = [(one["rate_per_s"], max(LEAST_SHARE, one["over"][limit][0]), one["sustained"]) for one in result["probes"]]
    x_scale = linear_scale(max(rate for rate, _, _ in points), lambda rate: f"{rate:,.4g}")
    y_scale = log_scale(min(share for _, share, _ in points), 1.0, lambda share: f"{share * 100:.3g} %")
    parts = [axes(PLOT, x_scale, y_scale, x_title="requests per second", y_title="over the limit")]
    low, high = result["low"], result["high"]
    if low and high:
        left, right = PLOT.x(x_scale.share(low)), PLOT.x(min(1.0, x_scale.share(high)))
        band = '<rect class="fill s-p50" style="fill-opacity:.15" x="{}" y="{}" width="{}" height="{}"/>'
        parts.append(Markup(band).format(left, PLOT.top, round(max(1.0, right - left), 1), PLOT.bottom_y - PLOT.top))
    if limit in result["curve"]:
        parts.append(_curve(result["curve"][limit], points, x_scale.share, y_scale.share))
    for rate, share, sustained in points:
        css = "s-ok" if sustained else "s-fail"
        x, y = PLOT.x(x_scale.share(rate)), PLOT.y(min(1.0, y_scale.share(share)))
        parts.append(Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format(css, x, y))
    drawing = svg(PLOT, Markup("").join(parts), name="capacity", description="Requests over the limit, by rate")
    legend = [("s-ok", "probe"), ("s-fail", "probe that was not sustained"), ("s-p50", "fit, and the interval")]
    return Chart("capacity", f"Requests over the limit of {limit}", "each point is one load", drawing, legend)


def _curve(line: Sequence[float], points: Sequence[tuple[float, float, bool]], x_share: Any, y_share: Any) -> Markup:
    a, b = line
    rates = sorted(rate for rate, _, _ in points)
    lowest = max(rates[0], (math.log(LEAST_SHARE) - a) / b)
    places = [lowest + (rates[-1] - lowest) * number / POINTS for number in range(POINTS + 1)]
    shares = [(rate, math.exp(a + b * rate)) for rate in places]
    drawn = [f"{PLOT.x(x_share(rate))},{PLOT.y(max(0.0, y_share(share)))}" for rate, share in shares if share <= 1]
    return Markup('<path class="line s-p50" d="M{}"/>').format(" ".join(drawn)) if len(drawn) > 1 else Markup("")
