"""The report's charts as Markdown images: Prefect's pages strip inline SVG and styles, but show images from data URIs."""

from __future__ import annotations

from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import Latency
from loadflow.engine.records.watched import curves_of
from loadflow.engine.reports.picture import data_uri, legend_text
from loadflow.engine.reports.run_charts import Chart, charts_of
from loadflow.engine.reports.timeline import timeline_of

__all__ = ["SHOWN", "image", "markdown_charts"]

SHOWN = ("rate", "latency", "users", "in_flight")


def markdown_charts(run: Run, latency: Latency) -> str:
    """Rate, latency percentiles, users (or requests in flight) and what Prometheus said of the target; "" when nothing was recorded."""
    charts = charts_of(timeline_of([run]), latency, paced=run.pace is not None, targets=curves_of(run))
    return "\n\n".join(image(chart) for chart in charts if chart.name in SHOWN or chart.name.startswith("target"))


def image(chart: Chart) -> str:
    """The chart as Markdown, with its title and legend above it."""
    return f"**{chart.title}** ({legend_text(chart)}; {chart.note})\n\n![{chart.title}]({data_uri(chart)})"
