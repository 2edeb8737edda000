"""The HTML report: one file that needs nothing else, at most 5 MB for any run, and that a person can read from the top down."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import count_text, latency_text, percent_text, rate_text, utc_text
from loadflow.engine.base.files import write_atomically
from loadflow.engine.records.course import Course, course_of
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.summing import summary_of
from loadflow.engine.records.watched import TargetCurve, curves_of
from loadflow.engine.reports import name_curves, page
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.in_short import compared_words, in_short
from loadflow.engine.reports.limit_lines import limit_lines
from loadflow.engine.reports.links import Links, links_of
from loadflow.engine.reports.run_charts import chart_data, charts_of
from loadflow.engine.reports.since import Since, since_last_good
from loadflow.engine.reports.timeline import Timeline, timeline_of
from loadflow.engine.reports.trusting import trust_words
from loadflow.errors import RunError

__all__ = ["Live", "html_report", "prepare", "render_html", "render_live", "script_json", "write_html_report"]

MOST_WARNINGS = 40
REST = '<section aria-labelledby="h-figures">'  # where a live page's second part begins


def render_html(summary: Summary, seconds: Iterable[SecondRow], *, title: str | None = None) -> str:
    """The page, from numbers alone. `title` None: the label of the run, or its script.

    >>> html = render_html(run.summary(), run.seconds())  # doctest: +SKIP
    """
    timeline = Timeline()
    for row in seconds:
        timeline.add(row)
    return _render(_Told(summary, timeline), title)


def write_html_report(runs: Sequence[Run], path: Path) -> Path:
    """Write the report of one run, or of several taken together, and return where it is; folders are made.

    Raises RunError when the file can't be written, or a run can't be read.

    >>> write_html_report([Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")], Path("report.html"))  # doctest: +SKIP
    """
    if not runs:
        raise RunError("there is no run to report on; give at least one run folder")
    try:
        write_atomically(path, html_report(runs, path))
    except OSError as error:
        raise RunError(f"the report {path} can't be written ({error}); choose a folder that can be written and has room") from error
    return path


def html_report(runs: Sequence[Run], path: Path) -> str:
    """What `write_html_report` writes to `path`."""
    return _render(_told(runs, path), None)


@dataclass(frozen=True, slots=True)
class Live:
    """What the page of a run that is going on needs: the last `second` that is in it, and `why_no_stop` where it can't end the load.

    `can_change_rate`: of one that can be ended.
    """

    second: int
    can_stop: bool
    why_no_stop: str
    can_change_rate: bool
    figures: tuple[tuple[str, str], ...] = (
        ("ran", "Time"),
        ("rate", "Rate, last 5 s"),
        ("p95", "p95, last 5 s"),
        ("in_flight", "In flight"),
        ("requests", "Requests"),
        ("failed", "Failed"),
    )


def render_live(summary: Summary, timeline: Timeline, live: Live) -> tuple[str, str]:
    """The report's page of a run that is going on, as far as its seconds go; it follows the events of `Feed` by itself.

    In two parts: what does not depend on the seconds, up to the end of its banner, and the rest.
    """
    head, mark, rest = _render(_Told(summary, timeline), None, live).partition(REST)
    return head, mark + rest


def prepare() -> None:
    """What the first page would have to wait for."""
    _template()


def script_json(data: object) -> Markup:
    """JSON that may stand inside `<script>`: nothing in it can end the element or a line of script.

    >>> print(script_json("</script>&"))
    "\\u003c/script\\u003e\\u0026"
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a page is made of: numbers, and what only the run folders and what stands beside them can say."""

    summary: Summary
    timeline: Timeline
    course: Course | None = None
    since: Since | None = None
    links: Links = field(default_factory=Links)
    targets: Sequence[TargetCurve] = ()


def _told(runs: Sequence[Run], path: Path) -> _Told:
    timeline = timeline_of(runs)
    in_order = sorted(runs, key=lambda run: run.facts.started_unix_s)
    return _Told(
        summary_of(runs),
        timeline,
        course_of(list(zip(in_order, timeline.begins_s, strict=True)), timeline.width_s, timeline.end_s),
        since_last_good(runs[0]) if len(runs) == 1 else None,
        links_of(runs, path),
        curves_of(runs[0]) if len(runs) == 1 else (),
    )


def _render(told: _Told, title: str | None, live: Live | None = None) -> str:
    summary, timeline, since = told.summary, told.timeline, told.since
    limits = limit_lines(summary)
    paced = summary.rate is not None
    charts = charts_of(timeline, summary.overall.latency, paced=paced, limits=limits, course=told.course, targets=told.targets)
    in_flight = max((one.in_flight for one in timeline.bins() if one.in_flight is not None), default=None)
    curves, numbers = name_curves.curves_of(told.course, limits)
    heads, rows, total, names_left_out = page.name_rows(summary, numbers)
    facts, runs_left_out = page.run_facts(summary)
    apart, apart_left_out = page.apart_rows(summary)
    timings, timings_left_out = page.timing_rows(summary)
    groups, groups_left_out, hits_left_out = page.error_groups(summary)
    kind_of_load, latency_meaning = page.load_words(summary)
    # of a live page it runs once more each time that the charts were drawn anew, so its names are its own
    script = f"(function () {{\n{_script()}{_asset('live.js')}}})();\n" if live else _script()
    first = summary.runs[0] if summary.runs else None
    html = _template().render(
        title=clip(title or (first and (first.label or first.script or first.id)) or "Load test", 200),
        started=utc_text(min(run.started_unix_s for run in summary.runs)) if summary.runs else "",
        live=live,
        banner=page.running_banner() if live else page.banner_of(summary),
        kind_of_load=kind_of_load,
        latency_meaning=latency_meaning,
        facts=facts,
        runs_left_out=runs_left_out,
        figures=page.key_figures(summary, in_flight, sizes=live is None),
        in_short="" if live else in_short(summary, since),
        since=since,
        compared=clip(compared_words(since), 500) if since else "",
        links=told.links,
        utc_text=utc_text,
        percent_text=percent_text,
        rate_text=rate_text,
        curves=curves,
        numbers=numbers,
        names_without_curves=told.course.names_left_out if told.course else 0,
        nothing_recorded=summary.overall.count == 0,
        charts=charts,
        seconds_hits=count_text(timeline.hits),
        seconds_complete=timeline.hits == summary.overall.count,
        overall=summary.overall,
        heads=heads,
        rows=[] if live else rows,  # all requests together are no name
        total=total,
        names_left_out=names_left_out,
        apart=apart,
        apart_left_out=apart_left_out,
        timings=timings,
        timings_left_out=timings_left_out,
        groups=groups,
        groups_left_out=groups_left_out,
        hits_left_out=hits_left_out,
        trust=None if live else trust_words(summary),
        thresholds=page.threshold_rows(summary),
        warnings=summary.warnings[:MOST_WARNINGS],
        warnings_left_out=max(0, len(summary.warnings) - MOST_WARNINGS),
        generator=(f"{summary.cpu_peak:.0%}".replace("%", " %"), latency_text(summary.lag_peak_ms)),
        python=summary.python,
        environments=page.environments(summary),
        data=script_json({**chart_data(timeline, charts), "names": curves, "about": _about(summary, since)}),
        style=Markup(_asset("report.css")),
        script=Markup(script),
        style_hash=_hash(_asset("report.css")),
        script_hash=_hash(script),
        latency_text=latency_text,
        count_text=count_text,
        counted=counted,
    )
    return html.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate in a label must not make the report fail


@cache
def _template() -> Template:
    """Compiled once: it takes as long as to make a page by it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("report.html.j2"))


@cache
def _asset(name: str) -> str:
    return (files("loadflow.engine.reports") / "templates" / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """One element, so that one hash stands in the policy."""
    return _asset("charts.js") + _asset("report.js")


def _about(summary: Summary, since: Since | None) -> dict[str, object]:
    """What a file that the page gives away says of where its numbers are from."""
    return {
        "in_short": in_short(summary, since),
        "verdict": str(summary.verdict.kind),
        "runs": [clip(run.id, 200) for run in summary.runs[: page.MOST_RUNS]],
    }


def _hash(text: str) -> str:
    """As a content security policy names an inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
