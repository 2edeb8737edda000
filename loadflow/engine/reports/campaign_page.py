"""A campaign as one page: the heat map, and every cell with its numbers, its verdict and the way to its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import latency_text, percent_text, rate_text, utc_text
from loadflow.engine.base.files import write_atomically
from loadflow.engine.reports.heat_map import SIGNS, heat_chart, heat_map_of
from loadflow.engine.reports.picture import data_uri
from loadflow.errors import RunError

__all__ = ["campaign_heads", "campaign_page", "campaign_row", "campaign_words", "write_campaign_page"]

STYLE = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #8885}
th:first-child,td:first-child,td:last-child,th:last-child{text-align:left}img{max-width:100%}td{font-variant-numeric:tabular-nums}
.muted{opacity:.75}
"""
campaign_heads = ("Cell", "Rate", "p50", "p95", "p99", "Failed", "Verdict")


def write_campaign_page(result: Mapping[str, Any], path: Path) -> Path:
    """Raises RunError where it can't be written."""
    try:
        write_atomically(path, campaign_page(result))
    except OSError as error:
        raise RunError(f"the page {path} can't be written ({error.strerror}); choose a folder that can be written and has room") from error
    return path


def campaign_page(result: Mapping[str, Any]) -> str:
    cells, title = result["cells"], f"Campaign {result['label']}"
    chart = heat_chart(heat_map_of(cells), result["metric"], f"{result['metric']} of each cell")
    rows = Markup("").join(_row(one) for one in cells)
    heads = Markup("").join(Markup('<th scope="col">{}</th>').format(head) for head in campaign_heads)
    measured = utc_text(max(float(one["at"]) for one in cells))
    return str(
        Markup(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
            "<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1><p>{words}</p>"
            '<figure><img alt="{alt}" src="{picture}"><figcaption class="muted">{chart}: {note}</figcaption></figure>'
            "<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
            '<p class="muted">Last measured {measured}. The reports are in the folders of the runs, beside this page.</p></body></html>'
        ).format(
            title=title,
            style=Markup(STYLE),
            words=campaign_words(result),
            alt=chart.title,
            picture=data_uri(chart),
            chart=chart.title,
            note=chart.note,
            heads=heads,
            rows=rows,
            measured=measured,
        )
    )


def campaign_words(result: Mapping[str, Any]) -> str:
    """In one sentence: how many cells passed, and how many were kept."""
    cells = result["cells"]
    counts = {kind: sum(one["verdict"] == kind for one in cells) for kind in SIGNS}
    verdicts = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    kept = sum(one["kept"] for one in cells)
    return f"{counted(len(cells), 'cell')}: {verdicts}{f'; {kept:,} kept from before' if kept else ''}."


def campaign_row(one: Mapping[str, Any]) -> list[str]:
    """As texts, in the order of `campaign_heads`."""
    times = [latency_text(one[name]) if one[name] is not None else "–" for name in ("p50", "p95", "p99")]
    rate = f"{rate_text(one['rate'])}/s" if one["rate"] is not None else "–"
    failed = percent_text(one["failure_rate"]) if one["failure_rate"] is not None else "–"
    why = f": {one['reason']}" if one["reason"] and one["verdict"] != "passed" else ""
    return [one["name"], rate, *times, failed, f"{SIGNS.get(one['verdict'], '')} {one['verdict']}{why}"]


def _row(one: Mapping[str, Any]) -> Markup:
    name, *rest = campaign_row(one)
    place = Markup('<a href="{run}/report.html">{name}</a>').format(run=one["run"], name=name) if one["run"] else escape(name)
    kept = Markup(' <span class="muted">kept</span>') if one["kept"] else Markup("")
    cells = Markup("").join(Markup("<td>{}</td>").format(text) for text in rest)
    return Markup("<tr><td>{}{}</td>{}</tr>").format(place, kept, cells)
