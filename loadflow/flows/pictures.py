"""The report's charts as Markdown images: Prefect's pages strip inline SVG and styles, but show images from data URIs."""

from __future__ import annotations

import base64

from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import Latency
from loadflow.engine.reports.run_charts import Chart, charts_of
from loadflow.engine.reports.timeline import timeline_of

__all__ = ["SHOWN", "image", "markdown_charts", "standalone"]

SHOWN = ("rate", "latency", "users")

# An image can't see the page's colours, and the page may be dark: a light ground of its own, and colours that both bear.
STYLE = """
.ground{fill:#fff}
.s-ok{--c:#3d7fb8}.s-fail{--c:#c8402f}.s-users{--c:#6a5aa8}.s-p50{--c:#2b8a7e}.s-p95{--c:#b97a1a}.s-p99{--c:#a8376f}
.fill{fill:var(--c);fill-opacity:.85}.line{fill:none;stroke:var(--c);stroke-width:1.8}.dot{fill:var(--c)}
.grid{stroke:#e2e3e0}.axis{stroke:#5a626b}.mark{stroke:#5a626b;stroke-dasharray:3 3}.cursor{display:none}
text{font:11px system-ui,sans-serif;fill:#5a626b}.end{fill:var(--c);font-weight:600}.worse{fill:#c8402f}.better{fill:#3d8b4f}
""".replace("\n", "")
COLOURS = {"s-ok": "blue", "s-fail": "red", "s-users": "purple", "s-p50": "green", "s-p95": "ochre", "s-p99": "magenta"}


def markdown_charts(run: Run, latency: Latency) -> str:
    """Rate, latency percentiles and users over time; "" when nothing was recorded."""
    charts = [chart for chart in charts_of(timeline_of([run]), latency) if chart.name in SHOWN]
    return "\n\n".join(image(chart) for chart in charts)


def standalone(chart: Chart) -> str:
    """The chart as an SVG document of its own."""
    start, inside = str(chart.drawing).split(">", 1)
    _, _, width, height = start.split('viewBox="', 1)[1].split('"', 1)[0].split()
    start = start.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" ', 1)
    return f'{start}><style>{STYLE}</style><rect class="ground" width="100%" height="100%"/>{inside}'


def image(chart: Chart) -> str:
    """The chart as Markdown, with its title and legend above it."""
    data = base64.b64encode(standalone(chart).encode()).decode()
    legend = ", ".join(f"{COLOURS[css]}: {label}" for css, label in chart.legend)
    return f"**{chart.title}** ({legend}; {chart.note})\n\n![{chart.title}](data:image/svg+xml;base64,{data})"
