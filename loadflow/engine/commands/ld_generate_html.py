"""LD_generate_html: return the HTML report as text."""

from __future__ import annotations

from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_html"]


def generate_html() -> str:
    """The HTML report of the runs so far, as text."""
    from loadflow.engine.records.summing import summary_of
    from loadflow.engine.reports.html import render_html

    runs = current_session().runs
    return render_html(summary_of(runs), (second for run in runs for second in run.seconds()))


COMMAND = Command(
    "LD_generate_html",
    generate_html,
    "Return the HTML report as text.",
    FILES,
    group="reports",
    returns="text: the page",
)
