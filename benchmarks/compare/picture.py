"""Draws `compare.svg`: two rows of bars, requests per second and CPU time per 1,000 of them; it can be read on light and dark."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.compare.tables import Found

__all__ = ["FILE", "svg", "write"]

FILE = Path(__file__).parent.parent / "compare.svg"
ROW, TOP, LABEL, BARS, GAP = 24, 44, 190, 210, 80
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600 } .bar { fill: #8c959f } .ours { fill: #0969da }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #4493f8 } }
"""


def write(found: Found) -> None:
    bars = [(peer.name, found.rate_per_s(peer), found.cpu_s_per_hit(peer) * 1e6) for peer in found.by_rate()]
    FILE.write_text(svg(bars), encoding="utf-8")


def svg(bars: list[tuple[str, float, float]]) -> str:
    """`bars`: name, requests per second, CPU milliseconds per 1,000 requests."""
    width, height = LABEL + 2 * (BARS + GAP), TOP + ROW * len(bars) + 8
    second = LABEL + BARS + GAP
    parts = [_text(LABEL, 18, "requests per second", "head"), _text(LABEL, 34, "longer is better")]
    parts += [_text(second, 18, "CPU ms per 1,000 requests", "head"), _text(second, 34, "shorter is better")]
    most_rate, most_cpu = max((bar[1] for bar in bars), default=1.0), max((bar[2] for bar in bars), default=1.0)
    for number, (name, rate, cpu_ms) in enumerate(bars):
        y = TOP + ROW * number
        kind = "ours" if name.startswith("loadflow") else "bar"
        parts.append(_text(LABEL - 10, y + 15, name, anchor="end"))
        for x, share, value in ((LABEL, rate / most_rate, f"{rate:,.0f}"), (second, cpu_ms / most_cpu, f"{cpu_ms:,.1f}")):
            length = max(1.0, round(share * BARS, 1))
            parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{length}" height="{ROW - 5}" rx="2"/>')
            parts.append(_text(x + length + 6, y + 15, value))
    said = "; ".join(f"{name} {rate:,.0f} per second, {cpu:,.1f} ms" for name, rate, cpu in bars)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
    return "\n".join([f'{head} aria-label="{escape(said)}">', f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
