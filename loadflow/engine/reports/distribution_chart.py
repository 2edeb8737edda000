"""How many requests took how long: bars of equal width on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from loadflow.engine.base.figures import count_text, latency_text
from loadflow.engine.records.histogram import Histogram, middles_ns
from loadflow.engine.records.summary import Latency
from loadflow.engine.reports.chart import Plot, Scale, axes, bar, linear_scale, log_scale, svg

__all__ = ["axis_text", "distribution"]

BARS = 90
LOWEST_NS = 1_000.0  # where the axis begins at the latest
HIGHEST_NS = 1e18  # above where any axis begins


def distribution(succeeded: Histogram, failed: Histogram, latency: Latency) -> tuple[str, Markup, Sequence[tuple[str, str]]]:
    """(in words, the drawing, its legend); `latency` gives the marks."""
    plot = Plot(width=1140, height=260, right=30)
    response = Histogram.merged((succeeded, failed))
    lowest, highest = max(float(response.min_ns), LOWEST_NS), max(float(response.max_ns), LOWEST_NS)
    x_scale = log_scale(lowest / 1.02, highest * 1.02, lambda ns: axis_text(ns / 1e6))
    good, bad = _bars(succeeded, x_scale), _bars(failed, x_scale)
    y_scale = linear_scale(float((good + bad).max()), lambda value: count_text(round(value)), whole=True)
    parts = [axes(plot, x_scale, y_scale, x_title="response time, logarithmic", y_title="requests")]
    for index in range(BARS):
        left, right = index / BARS, (index + 1) / BARS
        middle, top = y_scale.share(float(good[index])), y_scale.share(float(good[index] + bad[index]))
        if good[index]:
            parts.append(bar(plot, left, right, 0.0, middle, "s-ok"))
        if bad[index]:
            parts.append(bar(plot, left, right, middle, top, "s-fail"))
    used_x = -1e9
    for label, value_ms in (("p50", latency.p50_ms), ("p95", latency.p95_ms), ("p99", latency.p99_ms), ("p99.9", latency.p999_ms)):
        x = plot.x(min(max(x_scale.share(max(value_ms * 1e6, LOWEST_NS)), 0.0), 1.0))
        parts.append(Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, plot.top, plot.bottom_y))
        if x - used_x > 34:  # else the labels would lie on each other
            parts.append(Markup('<text class="mark-label" text-anchor="middle" x="{}" y="{}">{}</text>').format(x, plot.top - 4, label))
            used_x = x
    description = (
        f"How many requests took how long: half within {latency_text(latency.p50_ms)}, "
        f"95 % within {latency_text(latency.p95_ms)}, 99 % within {latency_text(latency.p99_ms)}, "
        f"all within {latency_text(latency.max_ms)}."
    )
    legend = [("s-ok", "successes"), ("s-fail", "failures")]
    return description, svg(plot, Markup("").join(parts), name="distribution", description=description), legend


def axis_text(ms: float) -> str:
    """As `latency_text`, without the zeros that round numbers don't need."""
    if ms >= 1000:
        return f"{ms / 1000:.4g} s"
    return f"{ms:.4g} ms" if ms >= 1 or ms == 0 else f"{ms * 1000:.4g} µs"


def _bars(histogram: Histogram, scale: Scale) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    buckets, counts = histogram.buckets()
    bars = np.zeros(BARS, dtype=np.int64)
    # as scale.share of each, which is one line over the logarithm
    per_decade = scale.share(10 * HIGHEST_NS) - scale.share(HIGHEST_NS)
    shares = scale.share(HIGHEST_NS) + per_decade * np.log10(np.maximum(middles_ns(buckets), LOWEST_NS) / HIGHEST_NS)
    np.add.at(bars, np.clip(shares * BARS, 0, BARS - 1).astype(np.int64), counts)
    return bars
