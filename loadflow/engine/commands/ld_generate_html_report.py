"""LD_generate_html_report: write the HTML report; returns its path."""

from __future__ import annotations

from loadflow.engine.commands.report_path import report_path
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_html_report"]


def generate_html_report(html_name: str = "default_name") -> str:
    """Write `<html_name>.html` below the report folder; returns its path."""
    from loadflow.engine.reports.html import write_html_report

    return str(write_html_report(current_session().runs, report_path(html_name, ".html")))


COMMAND = Command(
    "LD_generate_html_report",
    generate_html_report,
    "Write the HTML report; returns its path.",
    FILES,
    group="reports",
    returns="text: the path",
    example={"html_name": "nightly"},
)
