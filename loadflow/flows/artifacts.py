"""What a run leaves in Prefect: one page of its label, which links to the report and has the trend, and a table where names are many.

Texts come from the redacted summary.

Bounds: Prefect's page of a Markdown artifact stands a table of 0.1 MB and hangs with one of 1 MB; a value that is not finite
breaks the page.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.utilities.urls import url_for

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import count_text, latency_text, percent_text, rate_text, unbroken
from loadflow.engine.records.evidence import evidence_digest
from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import SeriesSummary, Summary
from loadflow.engine.records.workers import WorkerRecord
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.links import REPORTS_URL_VARIABLE
from loadflow.engine.reports.page import banner_of, key_figures, line_of, run_facts, threshold_rows
from loadflow.engine.reports.trusting import trust_words
from loadflow.engine.session.load_result import LoadResult
from loadflow.flows.pictures import markdown_charts
from loadflow.flows.safe_text import safe
from loadflow.flows.trend import trend_page

__all__ = [
    "REPORTS_URL_VARIABLE",
    "artifact_key",
    "label_key",
    "linked",
    "live_link",
    "markdown",
    "publish",
    "publish_live",
    "report_link",
    "table",
]

MOST_AGENTS = 200
MOST_ROWS = 50  # of the Markdown table; the table artifact has more
MOST_TABLE_ROWS = 2_000
MOST_ERRORS = 20
MOST_WARNINGS = 20
TEXT_CHARACTERS = 200
SENTENCE_CHARACTERS = 1_000
MARKDOWN_BYTES = 900_000
KEY_CHARACTERS = 60
EVIDENCE_DIGITS = 16  # of its SHA-256: more than anybody could make another file for, on purpose or by chance, and that can be read out


def label_key(label: str, kind: str) -> str:
    """As `artifact_key`, of a label."""
    words = re.sub(r"[^a-z0-9]+", "-", label.lower())[:KEY_CHARACTERS].strip("-")
    return "-".join(part for part in ("loadflow", words, kind) if part)


def artifact_key(run: Run, kind: str = "") -> str:
    """The same for each run of one label, so that Prefect shows them as versions of one artifact; `[a-z0-9-]` only.

    >>> artifact_key(run)  # doctest: +SKIP
    'loadflow-nightly'
    """
    return label_key(run.facts.label or run.facts.script, kind)


def report_link(run: Run, not_uploaded: str = "") -> str:
    """Where the HTML report opens: below LOADFLOW_REPORTS_URL, or as a file of this machine, where it always is."""
    base = os.environ.get(REPORTS_URL_VARIABLE, "").rstrip("/")
    return f"{base}/{run.facts.id}/report.html" if base and not not_uploaded else _report_path(run).as_uri()


def linked(load: LoadResult, run: Run) -> LoadResult:
    """With where its report opens."""
    return replace(load, report_url=report_link(run))


def live_link(run: Run, *, uploaded: bool) -> str:
    """Where the load shows itself while it goes on: where its report will open. "" without a LOADFLOW_REPORTS_URL, or if that is the
    address of a storage that the report is `uploaded` to, where nothing is before.
    """
    return report_link(run) if os.environ.get(REPORTS_URL_VARIABLE) and not uploaded else ""


def publish_live(run: Run, link: str) -> None:
    """Write the link to the live page, where `publish` puts the page of the run."""
    create_link_artifact(
        link, link_text="Live page", key=artifact_key(run), description=f"Running: {clip(run.facts.target, TEXT_CHARACTERS)}."
    )


def publish(run: Run, summary: Summary, not_uploaded: str = "") -> None:
    """Write all of them; needs a run context. `not_uploaded`: why the report is not in its storage. Raises what Prefect's client raises."""
    line = _line(summary)
    create_markdown_artifact(markdown(run, summary, not_uploaded), key=artifact_key(run), description=line)
    if len(summary.series) > MOST_ROWS:
        described = f"{line}. One row per name; latencies in milliseconds."
        create_table_artifact(table(summary), key=artifact_key(run, "names"), description=described)


def table(summary: Summary) -> list[dict[str, object]]:
    """One row per name, the busiest when there are too many. First what is asked for first: Prefect's page shows six columns or so."""
    return [
        {
            "name": clip(f"{one.method} {one.name}".strip(), TEXT_CHARACTERS),
            "requests": one.count,
            "failed": one.failures,
            "p95_ms": _finite(one.latency.p95_ms),
            "p50_ms": _finite(one.latency.p50_ms),
            "p99_ms": _finite(one.latency.p99_ms),
            "rate_per_s": _finite(one.rate_per_s),
            "failed_percent": _finite(one.failure_rate * 100),
            "mean_ms": _finite(one.latency.mean_ms),
            "p90_ms": _finite(one.latency.p90_ms),
            "p999_ms": _finite(one.latency.p999_ms),
            "max_ms": _finite(one.latency.max_ms),
            **({"service_p50_ms": _finite(one.service.p50_ms), "service_p99_ms": _finite(one.service.p99_ms)} if one.service else {}),
        }
        for one in _busiest(summary.series, MOST_TABLE_ROWS)
    ]


def markdown(run: Run, summary: Summary, not_uploaded: str = "") -> str:
    """The whole story of one run on one page, under 1 MB whatever the run's size."""
    banner = banner_of(summary)
    words = _parts(
        f"# {banner.sign} {_safe(banner.heading)}",
        "\n".join(f"- {_safe(reason)}" for reason in banner.reasons),
        _figures(summary),
        _thresholds(summary),
        _safe(_upload_line(not_uploaded)) if not_uploaded else "",
        _where(run, not_uploaded),
        _names(summary),
        _errors(summary),
        _warnings(summary),
        _trust(summary),
        _agents(summary),
    )
    charts = markdown_charts(run, summary.overall.latency)
    parts = [f"## Over time\n\n{charts}" if charts else "", trend_page(run)]
    whole = _parts(words, *parts, _facts(summary))
    return whole if len(whole.encode()) <= MARKDOWN_BYTES else _parts(words, _facts(summary))


def _figures(summary: Summary) -> str:
    # upright: ten columns are wider than Prefect's page, and then lie under what stands beside it
    return _grid(["", "", ""], [[label, f"**{figure}**", small] for label, figure, small in key_figures(summary)])


def _thresholds(summary: Summary) -> str:
    rows = threshold_rows(summary)[:MOST_ROWS]
    if not rows:
        return ""
    signs = {"passed": "✓", "failed": "✕", "inconclusive": "?"}
    cells = [
        [f"{signs[state]} {state}", f"`{_code(text)}`", _safe(where), observed, samples] for state, text, where, observed, samples in rows
    ]
    return _parts("## Thresholds", _grid(["", "Threshold", "Of", "Observed", "Samples"], cells))


def _trust(summary: Summary) -> str:
    """Two sentences for decision makers, a table for engineers."""
    words = trust_words(summary)
    if words is None:
        return ""
    rows = [
        [row.metric, row.value, row.between, row.effective, row.detectable]
        if not row.why
        else [row.metric, row.value, _safe(row.why), "–", "–"]
        for row in words.rows
    ]
    heads = ["", "Measured", f"With {words.confidence} certainty", "Effective requests", "Change that would be seen"]
    return _parts(
        "## How far to trust this",
        "\n".join(f"- {safe(sentence, SENTENCE_CHARACTERS)}" for sentence in words.sentences),
        _grid(heads, rows),
    )


def _upload_line(why: str) -> str:
    return f"The report was not uploaded: {why}."


def _where(run: Run, not_uploaded: str) -> str:
    machine = run.facts.environment.get("host", "the machine of the run")
    digest = evidence_digest(run.folder)
    return " · ".join(
        [
            f"[HTML report]({report_link(run, not_uploaded)})",
            f"run folder `{_code(str(run.folder.resolve()))}` on {_safe(str(machine))}",
            *([f"evidence `{digest[:EVIDENCE_DIGITS]}`"] if digest else []),
        ]
    )


def _names(summary: Summary) -> str:
    if not summary.series:
        return "No request was recorded."
    # as many columns as Prefect's page is wide; the table artifact has the rest
    service = summary.overall.service is not None
    heads = ["Name", "Requests", "Failed", "Rate /s", "p50", "p95", "p99", "Service p99" if service else "Max"]
    shown = _busiest(summary.series, MOST_ROWS)
    rows = [_row(one, service=service) for one in [*shown, *([summary.overall] if len(summary.series) > 1 else [])]]
    left_out = len(summary.series) - len(shown)
    more = f"{counted(left_out, 'more name is', 'more names are')} in the table artifact and the report." if left_out else ""
    return _parts("## Requests", _grid(heads, rows), more)


def _row(one: SeriesSummary, *, service: bool) -> list[str]:
    latency = one.latency
    last_ms = (one.service or latency).p99_ms if service else latency.max_ms
    return [
        _safe(f"{one.method} {one.name}".strip()),
        count_text(one.count),
        f"{count_text(one.failures)} ({unbroken(percent_text(one.failure_rate))})" if one.failures else "0",
        rate_text(one.rate_per_s),
        *(unbroken(latency_text(ms)) for ms in (latency.p50_ms, latency.p95_ms, latency.p99_ms, last_ms)),
    ]


def _errors(summary: Summary) -> str:
    if not summary.errors:
        return ""
    shown = summary.errors[:MOST_ERRORS]
    rows = [
        [count_text(error.count), _safe(error.kind), _safe(error.message), _safe(f"{error.method} {error.name}".strip())] for error in shown
    ]
    left_out = len(summary.errors) - len(shown)
    more = f"{counted(left_out, 'more kind of error is', 'more kinds of errors are')} in the report." if left_out else ""
    return _parts("## Errors", _grid(["Count", "Kind", "Message", "Where"], rows), more)


def _warnings(summary: Summary) -> str:
    lines = [f"- {_safe(warning.message)} {_safe(warning.advice)}" for warning in summary.warnings[:MOST_WARNINGS]]
    return _parts("## Warnings", "\n".join(lines)) if lines else ""


def _agents(summary: Summary) -> str:
    """Who made the load, where agents did: those of a work pool with a link to their flow runs."""
    if not summary.workers:
        return ""
    shown = summary.workers[:MOST_AGENTS]
    rows = [
        [
            str(one.share + 1),
            _agent(one),
            _safe(one.host),
            str(one.state),
            count_text(one.hits),
            f"from {one.from_s} s" if one.from_s else "",
            _safe(one.message),
        ]
        for one in shown
    ]
    left_out = len(summary.workers) - len(shown)
    more = f"{counted(left_out, 'more is', 'more are')} in the run folder's workers.json." if left_out else ""
    return _parts("## Agents", _grid(["Share", "Agent", "Host", "State", "Hits", "Went on", ""], rows), more)


def _agent(worker: WorkerRecord) -> str:
    url = url_for("flow-run", obj_id=worker.flow_run, url_type="ui") if worker.flow_run else None
    return f"[{_safe(worker.id)}]({url})" if url else _safe(worker.id)


def _facts(summary: Summary) -> str:
    runs, _ = run_facts(summary)
    rows = [[_safe(term), _safe(text)] for pairs in runs for term, text in pairs]
    return _parts("## What was run", _grid(["", ""], rows)) if rows else ""


def _line(summary: Summary) -> str:
    return clip(line_of(summary), TEXT_CHARACTERS)


def _report_path(run: Run) -> Path:
    return run.folder.resolve() / "report.html"


def _busiest(series: Sequence[SeriesSummary], most: int) -> Sequence[SeriesSummary]:
    return series if len(series) <= most else sorted(series, key=lambda one: -one.count)[:most]


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _parts(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _safe(text: str) -> str:
    """Text of a target or an author as plain words of one table cell: no markup, no new line, bounded."""
    return safe(text, TEXT_CHARACTERS)


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
