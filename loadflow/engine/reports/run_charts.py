"""The charts of a run: what each one shows, in words for those who can't see it, and its values for the pointer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from loadflow.engine.records.histogram import Histogram, bucket_middle_ns
from loadflow.engine.records.summary import Latency
from loadflow.engine.reports.chart import Layer, Plot, Scale, axes, bar, linear_scale, log_scale, over_time, svg
from loadflow.engine.reports.figures import clock_text, count_text, latency_text, percent_text, rate_text, span_text
from loadflow.engine.reports.timeline import Bin, Timeline

__all__ = ["Chart", "charts_of", "latency_axis", "pointer_values"]

LOG_FROM_RATIO = 40  # a linear axis would press the median into the last pixels
DISTRIBUTION_BARS = 90
LOWEST_NS = 1_000.0  # where the logarithmic axis of latencies begins at the latest
MARK_CHARACTERS = 24
MOST_MARKS = 12


@dataclass(frozen=True, slots=True)
class Chart:
    """`legend` holds (css class, label); `pointer` a text per legend entry and bin."""

    name: str
    title: str
    note: str
    drawing: Markup
    legend: Sequence[tuple[str, str]]
    pointer: Sequence[Sequence[str]]
    wide: bool = False


def charts_of(timeline: Timeline, latency: Latency) -> list[Chart]:
    """Empty when nothing was recorded; `latency` gives the marks of the distribution."""
    bins = timeline.bins()
    if not any(one.hits for one in bins):
        return []
    note = f"each point: {span_text(timeline.width_s)}" + ("; pauses between the runs left out" if timeline.marks else "")
    paced = any(one.passes.due for one in bins)
    return [
        *([_asked(timeline, bins, note)] if paced else []),
        _rate(timeline, bins, note),
        _latency(timeline, bins, note),
        _users(timeline, bins, note),
        _failures(timeline, bins, note),
        _distribution(timeline.total(), latency),
    ]


def pointer_values(timeline: Timeline, charts: Sequence[Chart]) -> dict[str, Any]:
    """What the page's script shows beside the pointer; all text is ready to read."""
    plot = Plot()
    edges = zip(timeline.starts_s(), timeline.ends_s(), strict=True)
    return {
        "left": plot.left,
        "right": plot.right_x,
        "width_s": timeline.width_s,
        "end_s": timeline.end_s,
        "times": [f"{clock_text(start)} – {clock_text(end)}" for start, end in edges],
        "charts": {chart.name: {"legend": chart.legend, "rows": chart.pointer} for chart in charts if chart.pointer},
    }


def _rate(timeline: Timeline, bins: Sequence[Bin], note: str) -> Chart:
    lengths = [end - start for start, end in zip(timeline.starts_s(), timeline.ends_s(), strict=True)]
    good = [one.succeeded.count / length for one, length in zip(bins, lengths, strict=True)]
    bad = [one.failed.count / length for one, length in zip(bins, lengths, strict=True)]
    highest = max(map(sum, zip(good, bad, strict=True)))
    layers = [Layer("successes", "s-ok", good, area=True), Layer("failures", "s-fail", bad, area=True)]
    description = f"Requests per second over time, successes and failures stacked; at most {rate_text(highest)} per second."
    return _over_time(
        "rate",
        "Request rate",
        note,
        timeline,
        layers,
        linear_scale(highest, lambda rate: f"{rate:,.0f}" if rate == round(rate) else f"{rate:g}"),
        "requests per second",
        description,
        rate_text,
    )


def _asked(timeline: Timeline, bins: Sequence[Bin], note: str) -> Chart:
    lengths = [end - start for start, end in zip(timeline.starts_s(), timeline.ends_s(), strict=True)]
    asked, achieved, dropped = (
        [getattr(one.passes, name) / length for one, length in zip(bins, lengths, strict=True)] for name in ("due", "started", "dropped")
    )
    highest = max(*asked, *achieved, *dropped)
    layers = [Layer("achieved", "s-ok", achieved, area=True), Layer("asked", "s-users", asked)]
    if any(dropped):
        layers.append(Layer("dropped", "s-fail", dropped))
    description = f"Passes per second over time, asked and achieved; at most {rate_text(max(asked))} were asked for per second."
    scale = linear_scale(highest, lambda rate: f"{rate:,.0f}" if rate == round(rate) else f"{rate:g}")
    return _over_time("asked", "Asked and achieved", note, timeline, layers, scale, "passes per second", description, rate_text)


def _users(timeline: Timeline, bins: Sequence[Bin], note: str) -> Chart:
    users = [None if one.users is None else float(one.users) for one in bins]
    highest = max((count for count in users if count is not None), default=0.0)

    def text(value: float) -> str:
        return count_text(round(value))

    description = f"Active users over time; at most {text(highest)}."
    layers = [Layer("users", "s-users", users, step=True)]
    return _over_time("users", "Users", note, timeline, layers, linear_scale(highest, text, whole=True), "active users", description, text)


def _latency(timeline: Timeline, bins: Sequence[Bin], note: str) -> Chart:
    responses = [one.response() for one in bins]
    layers = [
        Layer(f"p{q * 100:g}", f"s-p{q * 100:g}", [one.quantile_ns(q) / 1e6 if one.count else None for one in responses])
        for q in (0.5, 0.95, 0.99)
    ]
    known = [value for layer in layers for value in layer.values if value is not None]
    scale, y_title = latency_axis(known)
    between = f"between {latency_text(min(known))} and {latency_text(max(known))}"
    description = f"Percentiles 50, 95 and 99 of the response time over time; {between}."
    return _over_time("latency", "Response time percentiles", note, timeline, layers, scale, y_title, description, latency_text)


def _failures(timeline: Timeline, bins: Sequence[Bin], note: str) -> Chart:
    shares = [one.failed.count / one.hits if one.hits else 0.0 for one in bins]
    highest = max(shares)
    # at least up to 1 %: a lone failure among thousands must not look like an outage
    scale = linear_scale(min(1.0, max(highest, 0.01)), lambda value: f"{value * 100:.3g} %")
    description = f"Share of requests that failed over time; at most {percent_text(highest)}."
    layers = [Layer("failed", "s-fail", shares, area=True)]
    return _over_time("failures", "Failures", note, timeline, layers, scale, "share of requests that failed", description, percent_text)


def latency_axis(values_ms: Sequence[float]) -> tuple[Scale, str]:
    """An upright axis that all the values can be read on, and its title."""
    highest, lowest = max(values_ms), max(min(values_ms), LOWEST_NS / 1e6)
    if highest / lowest > LOG_FROM_RATIO:
        return log_scale(lowest / 1.1, highest * 1.1, _axis_text), "response time, logarithmic"
    return linear_scale(highest, _axis_text), "response time"


def _over_time(
    name: str,
    title: str,
    note: str,
    timeline: Timeline,
    layers: Sequence[Layer],
    scale: Scale,
    y_title: str,
    description: str,
    text: Any,
) -> Chart:
    plot = Plot()
    edges = list(zip(timeline.starts_s(), timeline.ends_s(), strict=True))
    marks = [(float(moment), label[:MARK_CHARACTERS]) for moment, label in timeline.marks[:MOST_MARKS]]
    inside = over_time(plot, edges, layers, scale, y_title=y_title, marks=marks)
    pointer = [["–" if value is None else text(value) for value in row] for row in zip(*(layer.values for layer in layers), strict=True)]
    return Chart(
        name, title, note, svg(plot, inside, name=name, description=description), [(one.css, one.label) for one in layers], pointer
    )


def _distribution(total: Bin, latency: Latency) -> Chart:
    """Bars of equal width on a logarithmic axis: how many requests took how long."""
    plot = Plot(width=1140, height=260, right=30)
    response = total.response()
    lowest, highest = max(float(response.min_ns), LOWEST_NS), max(float(response.max_ns), LOWEST_NS)
    x_scale = log_scale(lowest / 1.02, highest * 1.02, lambda ns: _axis_text(ns / 1e6))
    good, bad = _bars(total.succeeded, x_scale), _bars(total.failed, x_scale)
    y_scale = linear_scale(float((good + bad).max()), lambda value: count_text(round(value)), whole=True)
    parts = [axes(plot, x_scale, y_scale, x_title="response time, logarithmic", y_title="requests")]
    for index in range(DISTRIBUTION_BARS):
        left, right = index / DISTRIBUTION_BARS, (index + 1) / DISTRIBUTION_BARS
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
    drawing = svg(plot, Markup("").join(parts), name="distribution", description=description)
    return Chart("distribution", "Response time distribution", description, drawing, legend, [], wide=True)


def _bars(histogram: Histogram, scale: Scale) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    buckets, counts = histogram.buckets()
    bars = np.zeros(DISTRIBUTION_BARS, dtype=np.int64)
    for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
        share = scale.share(max(bucket_middle_ns(bucket), LOWEST_NS))
        bars[min(max(int(share * DISTRIBUTION_BARS), 0), DISTRIBUTION_BARS - 1)] += count
    return bars


def _axis_text(ms: float) -> str:
    """As `latency_text`, without the zeros that round numbers don't need."""
    if ms >= 1000:
        return f"{ms / 1000:.4g} s"
    return f"{ms:.4g} ms" if ms >= 1 or ms == 0 else f"{ms * 1000:.4g} µs"
