"""A chart as a picture of its own, for pages that strip inline SVG and styles: Prefect's, and notebooks."""

from __future__ import annotations

import base64

from loadflow.engine.reports.run_charts import Chart

__all__ = ["data_uri", "legend_text", "standalone"]

COLOURS = {"s-ok": "blue", "s-fail": "red", "s-users": "purple", "s-p50": "green", "s-p95": "ochre", "s-p99": "magenta"}

# An image sees no more of its page than whether that is dark. Where even this is not known, its own ground keeps it readable.
STYLE = """
svg{--ground:#fff;--grid:#e2e3e0;--ink:#5a626b;--worse:#c8402f;--better:#3d8b4f}
.s-ok{--c:#3d7fb8}.s-fail{--c:#c8402f}.s-users{--c:#6a5aa8}.s-p50{--c:#2b8a7e}.s-p95{--c:#b97a1a}.s-p99{--c:#a8376f}
@media (prefers-color-scheme:dark){
svg{--ground:#1b1e22;--grid:#31363c;--ink:#a3abb4;--worse:#f07c6c;--better:#6fc78a}
.s-ok{--c:#6aa8dd}.s-fail{--c:#f07c6c}.s-users{--c:#a99be6}.s-p50{--c:#58c2b3}.s-p95{--c:#e6ad55}.s-p99{--c:#ea82b3}}
.ground{fill:var(--ground)}
.fill{fill:var(--c);fill-opacity:.85}.line{fill:none;stroke:var(--c);stroke-width:1.8}.dot{fill:var(--c)}
.grid{stroke:var(--grid)}.axis{stroke:var(--ink)}.mark{stroke:var(--ink);stroke-dasharray:3 3}.cursor{display:none}
text{font:11px system-ui,sans-serif;fill:var(--ink)}.end{fill:var(--c);font-weight:600}.worse{fill:var(--worse)}.better{fill:var(--better)}
""".replace("\n", "")


def standalone(chart: Chart) -> str:
    """The chart as an SVG document of its own."""
    start, inside = str(chart.drawing).split(">", 1)
    _, _, width, height = start.split('viewBox="', 1)[1].split('"', 1)[0].split()
    start = start.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" ', 1)
    return f'{start}><style>{STYLE}</style><rect class="ground" width="100%" height="100%" rx="8"/>{inside}'


def data_uri(chart: Chart) -> str:
    """Fit for the `src` of an image."""
    return f"data:image/svg+xml;base64,{base64.b64encode(standalone(chart).encode()).decode()}"


def legend_text(chart: Chart) -> str:
    """Which colour is what."""
    return ", ".join(f"{COLOURS[css]}: {label}" for css, label in chart.legend)
