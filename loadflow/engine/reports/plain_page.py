"""A page of its own beside the runs: a heading, pictures, one table. It loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from loadflow.engine.base.files import write_atomically
from loadflow.engine.reports.picture import data_uri, legend_text
from loadflow.engine.reports.run_charts import Chart
from loadflow.errors import RunError

__all__ = ["figure", "plain_page", "report_link", "table", "write_page"]

STYLE = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #8885}
th:first-child,td:first-child,td:last-child,th:last-child{text-align:left}img{max-width:100%}td{font-variant-numeric:tabular-nums}
td:not(:first-child):not(:last-child){white-space:nowrap}
.muted{opacity:.75}
"""


def plain_page(title: str, inside: Iterable[Markup]) -> str:
    """The whole document."""
    return str(
        Markup(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
            "<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>{inside}</body></html>"
        ).format(title=title, style=Markup(STYLE), inside=Markup("").join(inside))
    )


def figure(chart: Chart) -> Markup:
    """The chart as a picture, with its title and note."""
    return Markup(
        '<figure><img alt="{title}" src="{picture}"><figcaption class="muted">{title} ({legend}): {note}</figcaption></figure>'
    ).format(title=chart.title, picture=data_uri(chart), legend=legend_text(chart), note=chart.note)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """Texts are escaped; Markup stays."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(one) for one in heads)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row)) for row in rows
    )
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)


def report_link(run: str, text: str) -> Markup:
    """The way from a page in the folder of the runs to the report of one of them."""
    return Markup('<a href="{}/report.html">{}</a>').format(run, text)


def write_page(path: Path, page: str) -> Path:
    """Raises RunError where it can't be written."""
    try:
        write_atomically(path, page)
    except OSError as error:
        raise RunError(f"the page {path} can't be written ({error.strerror}); choose a folder that can be written and has room") from error
    return path
