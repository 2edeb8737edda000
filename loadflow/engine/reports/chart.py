"""Draws one chart as inline SVG: axes with units, stacked step areas, lines and bars. Colours come from the page's classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from loadflow.engine.base.figures import clock_text

__all__ = ["Layer", "Line", "Plot", "Scale", "linear_scale", "log_scale", "over_time", "svg", "time_ticks"]

TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Plot:
    """The viewBox and, within it, the area that the axes enclose; one unit is about one CSS pixel."""

    width: int = 560
    height: int = 230
    left: int = 58
    right: int = 24
    top: int = 24
    bottom: int = 40

    @property
    def right_x(self) -> int:
        return self.width - self.right

    @property
    def bottom_y(self) -> int:
        return self.height - self.bottom

    def x(self, share: float) -> float:
        return round(self.left + share * (self.right_x - self.left), 1)

    def y(self, share: float) -> float:
        return round(self.bottom_y - share * (self.bottom_y - self.top), 1)


@dataclass(frozen=True, slots=True)
class Scale:
    """`share` maps a value to 0…1 of the axis; `ticks` are values with their text."""

    share: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Layer:
    """One series of a chart over time: a value per bin, None where there is none. Areas stand on the areas before them."""

    label: str
    css: str
    values: Sequence[float | None]
    area: bool = False
    step: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A limit: level at `value`, over the whole time or within (from, to) seconds."""

    value: float
    label: str
    window_s: tuple[float, float] | None = None


def linear_scale(highest: float, text: Callable[[float], str], *, ticks: int = 4, whole: bool = False) -> Scale:
    """From 0 to a round number at or above `highest`; `whole` for what can't be a fraction."""
    highest = highest if highest > 0 else 1.0
    rough = highest / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999999)
    if whole:
        step = max(1.0, math.ceil(step))
    count = math.ceil(highest / step - 1e-9)
    top = step * count
    return Scale(lambda value: value / top, [(step * number, text(step * number)) for number in range(count + 1)])


def log_scale(lowest: float, highest: float, text: Callable[[float], str]) -> Scale:
    """From `lowest` to `highest`, both above 0; ticks at 1, 2 and 5 of each power of ten, or at the powers when they are many."""
    if highest < lowest * 1.5:
        lowest, highest = lowest / 1.5, highest * 1.5
    low, high = math.log10(lowest), math.log10(highest)
    factors = (1,) if high - low > 4 else (1, 3) if high - low > 2.5 else (1, 2, 5) if high - low > 0.8 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    ticks = [(value, text(value)) for value in values if lowest <= value <= highest]
    return Scale(lambda value: (math.log10(max(value, lowest)) - low) / (high - low), ticks)


def time_ticks(end_s: float, most: int = 8) -> list[tuple[float, str]]:
    """Round moments from 0 to `end_s`."""
    days = max(1, math.ceil(end_s / 86_400 / most))
    step = next((step for step in TIME_STEPS_S if end_s / step <= most), days * 86_400)
    return [(moment, clock_text(moment)) for moment in range(0, math.floor(end_s) + 1, step)]


def over_time(
    plot: Plot,
    edges_s: Sequence[tuple[float, float]],
    layers: Sequence[Layer],
    scale: Scale,
    *,
    y_title: str,
    marks: Sequence[tuple[float, str]],
    lines: Sequence[Line] = (),
) -> Markup:
    """What goes inside the `<svg>`; `edges_s` are each bin's start and end, `marks` upright lines with a label, `lines` level ones."""
    end_s = edges_s[-1][1]
    spans = [(plot.x(start / end_s), plot.x(end / end_s)) for start, end in edges_s]
    x_scale = Scale(lambda value: value / end_s, time_ticks(end_s))
    parts = [axes(plot, x_scale, scale, x_title=f"time since the start ({'h:mm:ss' if end_s >= 3600 else 'min:s'})", y_title=y_title)]
    base = [0.0] * len(spans)
    for layer in layers:
        if layer.area:
            tops = [low + (value or 0.0) for low, value in zip(base, layer.values, strict=True)]
            if any(value for value in layer.values):
                parts.append(_area(plot, spans, base, tops, scale, layer.css))
            base = tops
        else:
            parts.extend(_line(plot, spans, layer, scale))
    for line in lines:
        start, end = line.window_s or (0.0, end_s)
        left, right, y = plot.x(min(start, end_s) / end_s), plot.x(min(end, end_s) / end_s), plot.y(min(scale.share(line.value), 1.0))
        parts.append(Markup('<line class="limit" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(left, right, y))
        parts.append(Markup('<text class="limit-label" text-anchor="end" x="{}" y="{}">{}</text>').format(right - 4, y - 4, line.label))
    for moment, label in marks:
        x = plot.x(moment / end_s)
        parts.append(Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, plot.top, plot.bottom_y))
        parts.append(Markup('<text class="mark-label" x="{}" y="{}">{}</text>').format(x + 4, plot.top + 10, label))
    parts.append(Markup('<line class="cursor" x1="-9" x2="-9" y1="{}" y2="{}"/>').format(plot.top, plot.bottom_y))
    return Markup("").join(parts)


def axes(plot: Plot, x_scale: Scale, y_scale: Scale, *, x_title: str, y_title: str) -> Markup:
    parts = []
    for value, text in y_scale.ticks:
        y = plot.y(y_scale.share(value))
        parts.append(Markup('<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(plot.left, plot.right_x, y))
        parts.append(Markup('<text class="tick" text-anchor="end" x="{}" y="{}">{}</text>').format(plot.left - 8, y + 4, text))
    for value, text in x_scale.ticks:
        x = plot.x(x_scale.share(value))
        parts.append(Markup('<line class="axis" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, plot.bottom_y, plot.bottom_y + 4))
        parts.append(Markup('<text class="tick" text-anchor="middle" x="{}" y="{}">{}</text>').format(x, plot.bottom_y + 17, text))
    parts.append(Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(plot.left, plot.right_x, plot.bottom_y))
    parts.append(Markup('<text class="unit" text-anchor="end" x="{}" y="{}">{}</text>').format(plot.right_x, plot.height - 6, x_title))
    parts.append(Markup('<text class="unit" x="{}" y="{}">{}</text>').format(4, 12, y_title))
    return Markup("").join(parts)


def svg(plot: Plot, inside: Markup, *, name: str, description: str) -> Markup:
    return Markup('<svg class="chart" data-chart="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        name, plot.width, plot.height, description, inside
    )


def bar(plot: Plot, left: float, right: float, low: float, high: float, css: str) -> Markup:
    """An upright bar between two shares of each axis."""
    x, top = plot.x(left), plot.y(high)
    width, height = max(round(plot.x(right) - x - 1, 1), 0.5), round(plot.y(low) - top, 1)
    return Markup(f'<rect class="fill {escape(css)}" x="{x}" y="{top}" width="{width}" height="{height}"/>')


def _area(plot: Plot, spans: Sequence[tuple[float, float]], base: Sequence[float], tops: Sequence[float], scale: Scale, css: str) -> Markup:
    there, back = [], []
    for (left, right), low, high in zip(spans, base, tops, strict=True):
        y_high, y_low = plot.y(scale.share(high)), plot.y(scale.share(low))
        there.append(f"{left},{y_high} {right},{y_high}")
        back.append(f"{right},{y_low} {left},{y_low}")
    return Markup('<path class="fill {}" d="M{}Z"/>').format(css, " ".join([*there, *reversed(back)]))


def _line(plot: Plot, spans: Sequence[tuple[float, float]], layer: Layer, scale: Scale) -> list[Markup]:
    """Through the middle of each bin, or in steps; broken where there is no value, a dot where one stands alone."""
    pieces: list[list[str]] = [[]]
    for (left, right), value in zip(spans, layer.values, strict=True):
        if value is None:
            pieces.append([])
            continue
        y = plot.y(scale.share(value))
        pieces[-1].extend([f"{left},{y}", f"{right},{y}"] if layer.step else [f"{round((left + right) / 2, 1)},{y}"])
    parts = []
    for piece in pieces:
        if len(piece) == 1:
            x, y_text = piece[0].split(",")
            parts.append(Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format(layer.css, x, y_text))
        elif piece:
            parts.append(Markup('<path class="line {}" d="M{}"/>').format(layer.css, " ".join(piece)))
    return parts
