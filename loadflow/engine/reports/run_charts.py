"""The charts of a run: what each one shows, in words for those who can't see it, and its values for the page's script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from loadflow.engine.base.figures import clock_text, count_text, latency_text, percent_text, rate_text, span_text
from loadflow.engine.records.course import Course
from loadflow.engine.records.summary import Latency
from loadflow.engine.records.watched import TargetCurve
from loadflow.engine.reports.chart import Layer, Line, Plot, Scale, linear_scale, log_scale, over_time, svg
from loadflow.engine.reports.distribution_chart import axis_text, distribution
from loadflow.engine.reports.limit_lines import LimitLine, lines_of
from loadflow.engine.reports.status_layers import status_layers
from loadflow.engine.reports.timeline import Bin, Timeline

__all__ = ["Chart", "chart_data", "charts_of", "latency_axis"]

LOG_FROM_RATIO = 40  # a linear axis would press the median into the last pixels
LOWEST_MS = 0.001
PERCENTILES = (0.5, 0.95, 0.99)
MARK_CHARACTERS = 24
TITLE_CHARACTERS = 80
MOST_TARGETS = 12
MOST_MARKS = 12
LIMIT_ROOM = 2.5  # a limit further above the highest value would press the curves together; it is named and not drawn
TEXTS: Mapping[str, Callable[[float], str]] = {
    "rate": rate_text,
    "ms": latency_text,
    "share": percent_text,
    "count": lambda value: count_text(round(value)),
    "number": lambda value: f"{value:.4g}",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """`kind`: what its values are, a key of TEXTS; "" for a chart that has no time axis, and so no layers. `lines`: limits."""

    name: str
    title: str
    note: str
    drawing: Markup
    legend: Sequence[tuple[str, str]]
    kind: str = ""
    y_title: str = ""
    layers: Sequence[Layer] = ()
    lines: Sequence[LimitLine] = ()
    wide: bool = False


def charts_of(
    timeline: Timeline,
    latency: Latency,
    *,
    paced: bool,
    limits: Sequence[LimitLine] = (),
    course: Course | None = None,
    targets: Sequence[TargetCurve] = (),
) -> list[Chart]:
    """Empty when nothing was recorded; `latency` gives the marks of the distribution. `paced`: a rate, not users, decides. `targets`: what
    Prometheus said of the target meanwhile.
    """
    bins = timeline.bins()
    if not any(one.hits for one in bins):
        return []
    drawn = _Drawn(timeline, bins, lines_of(limits))
    return [
        *([drawn.asked()] if paced else []),
        drawn.rate(),
        drawn.latency(),
        drawn.in_flight() if paced else drawn.users(),
        drawn.failures(),
        *(drawn.target(number, curve) for number, curve in enumerate(targets[:MOST_TARGETS], start=1)),
        *([drawn.statuses(course, wide=not paced)] if course and course.statuses else []),
        distribution_of(timeline, latency),
    ]


def distribution_of(timeline: Timeline, latency: Latency) -> Chart:
    total = timeline.total()
    description, drawing, legend = distribution(total.succeeded, total.failed, latency)
    return Chart("distribution", "Response time distribution", description, drawing, legend, wide=True)


def chart_data(timeline: Timeline, charts: Sequence[Chart]) -> dict[str, object]:
    """What the page's script draws anew, shows beside the pointer, and gives away as a file. Milliseconds, hits per second, shares of 1."""
    edges = zip(timeline.starts_s(), timeline.ends_s(), strict=True)
    return {
        "width_s": timeline.width_s,
        "end_s": timeline.end_s,
        "times": [f"{clock_text(start)} – {clock_text(end)}" for start, end in edges],
        "marks": [[moment, label[:MARK_CHARACTERS]] for moment, label in timeline.marks[:MOST_MARKS]],
        "charts": {
            chart.name: {
                "title": chart.title,
                "kind": chart.kind,
                "y_title": chart.y_title,
                "layers": [
                    {
                        "label": one.label,
                        "css": one.css,
                        "area": one.area,
                        "step": one.step,
                        "values": [_short(value) for value in one.values],
                    }
                    for one in chart.layers
                ],
                "limits": line_data(chart.lines),
            }
            for chart in charts
            if chart.layers
        },
    }


def line_data(lines: Sequence[LimitLine]) -> list[dict[str, object]]:
    return [{"label": line.label, "value": line.value, **({"window": line.window_s} if line.window_s else {})} for line in lines]


class _Drawn:
    """Draws each chart over time of one run, or of several."""

    def __init__(self, timeline: Timeline, bins: Sequence[Bin], limits: Sequence[LimitLine]) -> None:
        self._timeline = timeline
        self._bins = bins
        self._limits = list(limits)
        self._edges = list(zip(timeline.starts_s(), timeline.ends_s(), strict=True))
        self._lengths_s = [end - start for start, end in self._edges]

    def rate(self) -> Chart:
        good = self._per_s([one.succeeded.count for one in self._bins])
        bad = self._per_s([one.failed.count for one in self._bins])
        highest = max(map(sum, zip(good, bad, strict=True)))
        layers = [Layer("successes", "s-ok", good, area=True), Layer("failures", "s-fail", bad, area=True)]
        description = f"Requests per second over time, successes and failures stacked; at most {rate_text(highest)} per second."
        return self._chart("rate", "Request rate", "rate", layers, "requests per second", description, highest)

    def asked(self) -> Chart:
        asked, achieved, dropped = (
            self._per_s([getattr(one.passes, name) for one in self._bins]) for name in ("due", "started", "dropped")
        )
        layers = [Layer("achieved", "s-ok", achieved, area=True), Layer("asked", "s-users", asked)]
        if any(dropped):
            layers.append(Layer("dropped", "s-fail", dropped))
        description = f"Passes per second over time, asked and achieved; the highest rate asked for is {rate_text(max(asked))} per second."
        return self._chart(
            "asked", "Asked and achieved", "rate", layers, "passes per second", description, max(*asked, *achieved, *dropped)
        )

    def users(self) -> Chart:
        users = [None if one.users is None else float(one.users) for one in self._bins]
        return self._counted("users", "Users", "active users", "Active users", users)

    def in_flight(self) -> Chart:
        """A pool's size says nothing: how many were at work does."""
        waiting = [None if one.in_flight is None else float(one.in_flight) for one in self._bins]
        return self._counted("in_flight", "In flight", "requests in flight", "Requests waiting for their answer", waiting)

    def latency(self) -> Chart:
        responses = [one.response() for one in self._bins]
        quantiles = [one.quantiles_ns(PERCENTILES) if one.count else [None] * len(PERCENTILES) for one in responses]
        layers = [
            Layer(f"p{q * 100:g}", f"s-p{q * 100:g}", [value and value / 1e6 for value in values])
            for q, values in zip(PERCENTILES, zip(*quantiles, strict=True), strict=True)
        ]
        known = [value for layer in layers for value in layer.values if value is not None]
        between = f"between {latency_text(min(known))} and {latency_text(max(known))}"
        description = f"Percentiles 50, 95 and 99 of the response time over time; {between}."
        scale, y_title = latency_axis(
            [*known, *(line.value for line in self._lines("latency") if 0 < line.value <= max(known) * LIMIT_ROOM)]
        )
        return self._chart("latency", "Response time percentiles", "ms", layers, y_title, description, max(known), scale)

    def failures(self) -> Chart:
        shares = [one.failed.count / one.hits if one.hits else 0.0 for one in self._bins]
        description = f"Share of requests that failed over time; at most {percent_text(max(shares))}."
        layers = [Layer("failed", "s-fail", shares, area=True)]
        # at least up to 1 %: a lone failure among thousands must not look like an outage
        return self._chart(
            "failures", "Failures", "share", layers, "share of requests that failed", description, min(1.0, max(*shares, 0.01))
        )

    def target(self, number: int, curve: TargetCurve) -> Chart:
        """Between two answers the last one holds, for as long as the next may be late."""
        values: list[float | None] = []
        known = list(curve.points)
        last: tuple[float, float] | None = None
        for _, end_s in self._edges:
            while known and known[0][0] < end_s:
                last = known.pop(0)
            values.append(last[1] if last is not None and end_s - last[0] <= 2 * curve.every_s + 1 else None)
        drawn = [value for value in values if value is not None] or [0.0]
        title = f"{curve.title[:TITLE_CHARACTERS]}{'…' if len(curve.title) > TITLE_CHARACTERS else ''}"
        description = f"{title} of the target over time, by Prometheus; between {min(drawn):.4g} and {max(drawn):.4g}."
        self._limits = [*self._limits, LimitLine(f"target{number}", curve.label, curve.limit, None, None)]
        layers = [Layer("of the target", "s-users", values, step=True)]
        return self._chart(f"target{number}", title, "number", layers, "value in Prometheus", description, max(drawn))

    def statuses(self, course: Course, *, wide: bool) -> Chart:
        layers = [Layer(label, css, self._per_s(counts), area=True) for label, css, counts in status_layers(course.statuses)]
        highest = max(map(sum, zip(*(layer.values for layer in layers), strict=True)))
        description = f"Answers per second by status over time, stacked: {', '.join(layer.label for layer in layers)}."
        return self._chart("statuses", "Status codes", "rate", layers, "answers per second", description, highest, wide=wide)

    def _counted(self, name: str, title: str, y_title: str, words: str, values: Sequence[float | None]) -> Chart:
        highest = max((count for count in values if count is not None), default=0.0)
        description = f"{words} over time; at most {count_text(round(highest))}."
        layers = [Layer(y_title.rpartition("active ")[2], "s-users", values, step=True)]
        return self._chart(name, title, "count", layers, y_title, description, highest)

    def _per_s(self, counts: Sequence[int]) -> list[float]:
        return [count / length for count, length in zip(counts, self._lengths_s, strict=True)]

    def _lines(self, name: str) -> list[LimitLine]:
        return [line for line in self._limits if line.chart == name]

    def _chart(
        self,
        name: str,
        title: str,
        kind: str,
        layers: Sequence[Layer],
        y_title: str,
        description: str,
        highest: float,
        scale: Scale | None = None,
        *,
        wide: bool = False,
    ) -> Chart:
        limits = self._lines(name)
        within = [line for line in limits if line.value <= max(highest * LIMIT_ROOM, 0.02 * (kind == "share"))]
        scale = scale or _scale(kind, max([highest, *(line.value for line in within)]))
        plot = Plot(width=1140, height=230, right=30) if wide else Plot()
        marks = [(float(moment), label[:MARK_CHARACTERS]) for moment, label in self._timeline.marks[:MOST_MARKS]]
        lines = [Line(line.value, line.label, line.window_s) for line in within]
        inside = over_time(plot, self._edges, layers, scale, y_title=y_title, marks=marks, lines=lines)
        several = "; without the pauses between the runs" if self._timeline.marks else ""
        above = "".join(f"; limit {line.label} is above the chart" for line in limits if line not in within)
        legend = [*((one.css, one.label) for one in layers), *([("s-limit", "limit")] if within else [])]
        drawing = svg(plot, inside, name=name, description=description)
        note = f"each point: {span_text(self._timeline.width_s)}{several}{above}"
        return Chart(name, title, note, drawing, legend, kind, y_title, layers, limits, wide)


def latency_axis(values_ms: Sequence[float]) -> tuple[Scale, str]:
    """An upright axis that all the values can be read on, and its title."""
    highest, lowest = max(values_ms), max(min(values_ms), LOWEST_MS)
    if highest / lowest > LOG_FROM_RATIO:
        return log_scale(lowest / 1.1, highest * 1.1, axis_text), "response time, logarithmic"
    return linear_scale(highest, axis_text), "response time"


def _scale(kind: str, highest: float) -> Scale:
    match kind:
        case "share":
            return linear_scale(min(1.0, highest), lambda value: f"{value * 100:.3g} %")
        case "count":
            return linear_scale(highest, TEXTS["count"], whole=True)
    return linear_scale(highest, lambda rate: f"{rate:,.0f}" if rate == round(rate) else f"{rate:g}")


def _short(value: float | None) -> float | int | None:
    """Five significant digits: more than the eye can see, and they keep the page small."""
    if value is None:
        return None
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() else rounded
