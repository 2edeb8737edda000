"""The curves of each name, as the page's script draws them when a name is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadflow.engine.records.course import Course
from loadflow.engine.records.names import SeriesName
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.limit_lines import LimitLine, lines_of
from loadflow.engine.reports.run_charts import line_data

__all__ = ["curves_of"]

CHARACTERS = 200  # of a name


def curves_of(course: Course | None, limits: Sequence[LimitLine]) -> tuple[dict[str, object], Mapping[SeriesName, int]]:
    """(`width_s` of a bin and `curves`, the number of each name's curve among them). Hits and failures per bin, milliseconds."""
    if course is None:
        return {"width_s": 1, "every": 1, "curves": []}, {}
    curves = [
        {
            "name": clip(f"{one.name.method} {one.name.name}".strip(), CHARACTERS),
            "hits": one.hits,
            "failed": one.failed if any(one.failed) else [],
            "times_ms": [[None if value is None else _three_digits(value) for value in values] for values in one.times_ms],
            "limits": [{**data, "chart": line.chart} for line in lines_of(limits, one.name) for data in line_data([line])],
        }
        for one in course.names
    ]
    data = {"width_s": course.names_width_s, "every": course.every, "curves": curves}
    return data, {one.name: number for number, one in enumerate(course.names)}


def _three_digits(value: float) -> float | int:
    """As exact as the curves are."""
    rounded = float(f"{value:.3g}")
    return int(rounded) if rounded.is_integer() else rounded
