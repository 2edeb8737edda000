"""What a search for a capacity found, as one page: the answer, its curves as pictures, what is to be expected, and every probe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import latency_text, percent_text, rate_text, utc_text
from loadflow.engine.history.capacity import BEYOND, Usl
from loadflow.engine.history.capacity_result import CapacityResult, ProbeJson
from loadflow.engine.history.capacity_words import capacity_sentences
from loadflow.engine.history.forecast import DAY_S, Forecast
from loadflow.engine.reports.chart import Plot, Scale, axes, linear_scale, log_scale, svg
from loadflow.engine.reports.plain_page import figure, plain_page, report_link, table, write_page
from loadflow.engine.reports.run_charts import Chart

__all__ = ["capacity_charts", "capacity_page", "probe_heads", "probe_row", "write_capacity_page"]

PLOT = Plot(height=240, right=32, top=30)
LEAST_SHARE = 1e-5
POINTS = 40
MOST_DAYS = 8  # on the axis
BAND = '<rect class="fill s-p50" style="fill-opacity:.15" x="{}" y="{}" width="{}" height="{}"/>'

probe_heads = ("Step", "Rate", "Seconds", "p99", "Over the limit", "")


def write_capacity_page(result: CapacityResult, path: Path) -> Path:
    """Raises RunError where it can't be written."""
    return write_page(path, capacity_page(result))


def capacity_page(result: CapacityResult) -> str:
    said = Markup("").join(Markup("<li>{}</li>").format(one) for one in capacity_sentences(result))
    note = '<p class="muted">Measured {}. Each probe is a run; the reports are in the folders of the runs, beside this page.</p>'
    return plain_page(
        f"Capacity of {result['label']}",
        [
            Markup("<ul>{}</ul>").format(said),
            *map(figure, capacity_charts(result)),
            table(probe_heads, map(_linked, result["probes"])),
            Markup(note).format(utc_text(result["at"])),
        ],
    )


def probe_row(one: ProbeJson) -> list[str]:
    """As texts, in the order of `probe_heads`."""
    several = len(one["over"]) > 1
    over = ", ".join(f"{percent_text(share)} ({limit})" if several else percent_text(share) for limit, (share, _) in one["over"].items())
    return [one["step"], f"{rate_text(one['rate_per_s'])}/s", f"{one['seconds']:.0f}", latency_text(one["p99_ms"]), over, one["why"] or "–"]


def _linked(one: ProbeJson) -> list[str]:
    step, *rest = probe_row(one)
    return [report_link(one["run"], step) if one["run"] else step, *rest]


def capacity_charts(result: CapacityResult) -> Iterator[Chart]:
    """Each for which there is enough: the limit that binds, the law of scalability, the forecast."""
    limit = result["limit"] or next(iter(result["probes"][-1]["over"]), "")
    if limit and len(result["probes"]) > 1:
        yield _limit_chart(result, limit)
    if law := result["usl"]:
        yield _usl_chart(result, Usl(**law))
    if forecast := result["forecast"]:
        yield _forecast_chart(result, Forecast(**forecast))


def _limit_chart(result: CapacityResult, limit: str) -> Chart:
    """The share of requests over `limit` against the rate: a point for each probe, the fitted curve, and the interval of the capacity."""
    told = [one for one in result["probes"] if not one["void"]] or result["probes"]  # others say nothing of the target
    points = [(one["rate_per_s"], max(LEAST_SHARE, one["over"][limit][0]), one["sustained"]) for one in told]
    x_scale = linear_scale(max(rate for rate, _, _ in points), lambda rate: f"{rate:,.4g}")
    y_scale = log_scale(min(share for _, share, _ in points), 1.0, lambda share: f"{share * 100:.3g} %")
    parts = [axes(PLOT, x_scale, y_scale, x_title="requests per second", y_title="over the limit")]
    low, high = result["low"], result["high"]
    if low and high:
        left, right = PLOT.x(x_scale.share(low)), PLOT.x(min(1.0, x_scale.share(high)))
        parts.append(Markup(BAND).format(left, PLOT.top, round(max(1.0, right - left), 1), PLOT.bottom_y - PLOT.top))
    if limit in result["curve"]:
        a, b = result["curve"][limit]
        lowest, highest = max(min(points)[0], (math.log(LEAST_SHARE) - a) / b), max(points)[0]
        fitted = [(rate, math.exp(a + b * rate)) for rate in _between(lowest, highest)]
        parts.append(_line([(rate, share) for rate, share in fitted if share <= 1], x_scale, y_scale, "s-p50"))
    parts += [_dot(rate, share, x_scale, y_scale, "s-ok" if sustained else "s-fail") for rate, share, sustained in points]
    drawing = svg(PLOT, Markup("").join(parts), name="capacity", description="Requests over the limit, by rate")
    legend = [("s-ok", "probe"), ("s-fail", "probe that was not sustained"), ("s-p50", "fit, and the interval")]
    return Chart("capacity", f"Requests over the limit of {limit}", "each point is one load", drawing, legend)


def _usl_chart(result: CapacityResult, law: Usl) -> Chart:
    """Requests in flight against rate: a point for each probe that was sustained, and the law up to where it says something."""
    probes = [one for one in result["probes"] if one["sustained"] and not one["void"]]
    points = [(one["achieved_per_s"] * one["mean_ms"] / 1e3, one["achieved_per_s"]) for one in probes]
    fitted = [(n, law.rate_at(n)) for n in _between(0.0, BEYOND * law.highest)]
    x_scale = linear_scale(BEYOND * law.highest, lambda n: f"{n:,.3g}")
    y_scale = linear_scale(max(rate for _, rate in [*points, *fitted]), lambda rate: f"{rate:,.4g}")
    parts = [axes(PLOT, x_scale, y_scale, x_title="requests in flight", y_title="requests per second")]
    parts.append(_line(fitted, x_scale, y_scale, "s-p50"))
    parts += [_dot(n, rate, x_scale, y_scale, "s-ok") for n, rate in points]
    drawing = svg(PLOT, Markup("").join(parts), name="scalability", description="Requests per second, by requests in flight")
    note = f"off by at most {law.off:.0%}"
    return Chart("scalability", "Scalability", note, drawing, [("s-ok", "probe"), ("s-p50", "Universal Scalability Law")])


def _forecast_chart(result: CapacityResult, forecast: Forecast) -> Chart:
    """A point for each search, the line, what it is between with 80 % certainty, and the peak that is expected."""
    points = [(one["unix_s"], one["capacity_per_s"]) for one in result["searches"]]
    first, last = min(points)[0], forecast.until_unix_s
    moments = _between(forecast.last_unix_s, last)
    ahead = [(moment, *forecast.at(moment)) for moment in moments]
    peaks = [(moment, forecast.peak_at(moment)) for moment in _between(first, last)] if forecast.peak_per_s else []
    highest = max(value for _, value in [*points, *peaks, *((moment, low) for moment, low, _, _ in ahead)]) * 1.1
    y_scale = linear_scale(highest, lambda rate: f"{rate:,.4g}")
    x_scale = Scale(lambda moment: (moment - first) / (last - first), _day_ticks(first, last))
    parts = [axes(PLOT, x_scale, y_scale, x_title="day, UTC", y_title="requests per second")]
    edge = [(moment, low) for moment, low, _, _ in ahead] + [(moment, high) for moment, _, _, high in reversed(ahead)]
    band = " ".join(f"{PLOT.x(x_scale.share(moment))},{PLOT.y(min(1.0, y_scale.share(value)))}" for moment, value in edge)
    parts.append(Markup('<path class="fill s-p50" style="fill-opacity:.15" d="M{}Z"/>').format(band))
    middle = [(moment, forecast.at(moment)[1]) for moment in _between(forecast.last_unix_s - forecast.days * DAY_S, last)]
    parts.append(_line(middle, x_scale, y_scale, "s-p50"))
    if peaks:
        parts.append(_line(peaks, x_scale, y_scale, "s-fail"))
    parts += [_dot(moment, capacity, x_scale, y_scale, "s-ok") for moment, capacity in points]
    drawing = svg(PLOT, Markup("").join(parts), name="forecast", description="The capacity of each search, and what is to be expected")
    legend = [("s-ok", "search"), ("s-p50", "line by Theil and Sen, and 80 % interval"), *([("s-fail", "expected peak")] if peaks else [])]
    return Chart("forecast", f"The capacity in {counted(len(points), 'search', 'searches')}", "each point is one search", drawing, legend)


def _day_ticks(first_unix_s: float, last_unix_s: float) -> list[tuple[float, str]]:
    step_s = math.ceil((last_unix_s - first_unix_s) / DAY_S / MOST_DAYS) * DAY_S
    count = int((last_unix_s - first_unix_s) / step_s) + 1
    moments = [first_unix_s + number * step_s for number in range(count)]
    return [(moment, datetime.fromtimestamp(moment, UTC).strftime("%m-%d")) for moment in moments]


def _between(low: float, high: float) -> list[float]:
    return [low + (high - low) * number / POINTS for number in range(POINTS + 1)]


def _line(points: Sequence[tuple[float, float]], x_scale: Scale, y_scale: Scale, css: str) -> Markup:
    drawn = [f"{PLOT.x(x_scale.share(x))},{PLOT.y(min(1.0, max(0.0, y_scale.share(y))))}" for x, y in points]
    return Markup('<path class="line {}" d="M{}"/>').format(css, " ".join(drawn)) if len(drawn) > 1 else Markup("")


def _dot(x: float, y: float, x_scale: Scale, y_scale: Scale, css: str) -> Markup:
    return Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format(
        css, PLOT.x(x_scale.share(x)), PLOT.y(min(1.0, y_scale.share(y)))
    )
