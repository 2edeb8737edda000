"""A load as a notebook shows it: a few lines of HTML that need neither a script nor a style sheet, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from loadflow.engine.base.figures import count_text, latency_text, percent_text, rate_text, span_text
from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import SeriesSummary
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.page import WORDS
from loadflow.engine.reports.picture import data_uri
from loadflow.engine.reports.run_charts import charts_of
from loadflow.engine.reports.timeline import timeline_of

if TYPE_CHECKING:
    from loadflow.engine.session.load_result import LoadResult

__all__ = ["html_of"]

MOST_NAMES = 20
MOST_REASONS = 5
NAME_CHARACTERS = 80
REASON_CHARACTERS = 300
HEADS = ("Name", "Requests", "Failed", "Rate /s", "p50", "p95", "p99", "Max")
LEFT, RIGHT = 'style="text-align:left"', 'style="text-align:right"'


def html_of(load: LoadResult, run: Run | None) -> str:
    """`run` gives the chart; None: there is none."""
    sign, heading = WORDS[load.verdict]
    names = sorted(load.names, key=lambda one: -one.count)[:MOST_NAMES]
    left_out = len(load.names) - len(names)
    report = f' · <a href="{escape(load.report_url)}">report</a>' if load.report_url.startswith(("http://", "https://")) else ""
    return "".join(
        (
            f"<div><p><strong>{sign} {escape(heading)}</strong> · {escape(clip(load.label or load.script, NAME_CHARACTERS))}",
            f" · {span_text(load.duration_s)}{report}</p>",
            *(f"<p>{escape(clip(reason, REASON_CHARACTERS))}</p>" for reason in load.reasons[:MOST_REASONS]),
            f"<table><thead>{_line(HEADS, 'th')}</thead><tbody>",
            *(_line(_figures(one), "td") for one in [*names, *([load.overall] if len(load.names) != 1 else [])]),
            "</tbody></table>",
            f"<p>{count_text(left_out)} more names are in <code>names</code>.</p>" if left_out else "",
            _chart(run, load),
            f"<p><code>{escape(load.folder)}</code></p></div>",
        )
    )


def _figures(one: SeriesSummary) -> Sequence[str]:
    latency = one.latency
    failed = f"{count_text(one.failures)} ({percent_text(one.failure_rate)})" if one.failures else "0"
    texts = (latency_text(ms) for ms in (latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.max_ms))
    return (clip(f"{one.method} {one.name}".strip(), NAME_CHARACTERS), count_text(one.count), failed, rate_text(one.rate_per_s), *texts)


def _line(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag} {RIGHT if at else LEFT}>{escape(cell)}</{tag}>' for at, cell in enumerate(cells))}</tr>"


def _chart(run: Run | None, load: LoadResult) -> str:
    charts = charts_of(timeline_of([run]), load.overall.latency, paced=run.pace is not None) if run is not None else []
    return "".join(f'<p><img alt="{escape(chart.title)}" src="{data_uri(chart)}"></p>' for chart in charts if chart.name == "latency")
