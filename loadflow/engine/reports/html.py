"""The HTML report: one file that needs nothing else, at most 5 MB for any run, and that a person can read from the top down."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from loadflow.engine.records.run import Run, summary_of, write_atomically
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.summary import Summary
from loadflow.engine.reports import page
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.figures import count_text, latency_text, utc_text
from loadflow.engine.reports.run_charts import charts_of, pointer_values
from loadflow.engine.reports.timeline import Timeline, timeline_of
from loadflow.errors import RunError

__all__ = ["render_html", "script_json", "write_html_report"]

MOST_WARNINGS = 40


def render_html(summary: Summary, seconds: Iterable[SecondRow], *, title: str | None = None) -> str:
    """The page, from numbers alone. `title` None: the label of the run, or its script.

    >>> html = render_html(run.summary(), run.seconds())  # doctest: +SKIP
    """
    timeline = Timeline()
    for row in seconds:
        timeline.add(row)
    return _render(summary, timeline, title)


def write_html_report(runs: Sequence[Run], path: Path) -> Path:
    """Write the report of one run, or of several taken together, and return where it is; folders are made.

    Raises RunError when the file can't be written, or a run can't be read.

    >>> write_html_report([Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")], Path("report.html"))  # doctest: +SKIP
    """
    if not runs:
        raise RunError("there is no run to report on; give at least one run folder")
    try:
        write_atomically(path, _render(summary_of(runs), timeline_of(runs), None))
    except OSError as error:
        raise RunError(f"the report {path} can't be written ({error}); choose a folder that can be written and has room") from error
    return path


def script_json(data: Any) -> Markup:
    """JSON that may stand inside `<script>`: nothing in it can end the element or a line of script.

    >>> print(script_json("</script>&"))
    "\\u003c/script\\u003e\\u0026"
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _render(summary: Summary, timeline: Timeline, title: str | None) -> str:
    charts = charts_of(timeline, summary.overall.latency)
    heads, rows, total, names_left_out = page.name_rows(summary)
    facts, runs_left_out = page.run_facts(summary)
    apart, apart_left_out = page.apart_rows(summary)
    groups, groups_left_out, hits_left_out = page.error_groups(summary)
    kind_of_load, latency_meaning = page.load_words(summary)
    first = summary.runs[0] if summary.runs else None
    html = (
        _environment()
        .from_string(_asset("report.html.j2"))
        .render(
            title=clip(title or (first and (first.label or first.script or first.id)) or "Load test", 200),
            started=utc_text(min(run.started_unix_s for run in summary.runs)) if summary.runs else "",
            banner=page.banner_of(summary),
            kind_of_load=kind_of_load,
            latency_meaning=latency_meaning,
            facts=facts,
            runs_left_out=runs_left_out,
            figures=page.key_figures(summary),
            nothing_recorded=summary.overall.count == 0,
            charts=charts,
            seconds_hits=count_text(timeline.hits),
            seconds_complete=timeline.hits == summary.overall.count,
            overall=summary.overall,
            heads=heads,
            rows=rows,
            total=total,
            names_left_out=names_left_out,
            apart=apart,
            apart_left_out=apart_left_out,
            groups=groups,
            groups_left_out=groups_left_out,
            hits_left_out=count_text(hits_left_out),
            thresholds=page.threshold_rows(summary),
            warnings=summary.warnings[:MOST_WARNINGS],
            warnings_left_out=max(0, len(summary.warnings) - MOST_WARNINGS),
            generator=(f"{summary.cpu_peak:.0%}".replace("%", " %"), latency_text(summary.lag_peak_ms)),
            environments=page.environments(summary),
            pointer=script_json(pointer_values(timeline, charts)),
            style=Markup(_asset("report.css")),
            script=Markup(_asset("report.js")),
            style_hash=_hash(_asset("report.css")),
            script_hash=_hash(_asset("report.js")),
            latency_text=latency_text,
            count_text=count_text,
        )
    )
    return html.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate in a label must not make the report fail


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _asset(name: str) -> str:
    return (files("loadflow.engine.reports") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
