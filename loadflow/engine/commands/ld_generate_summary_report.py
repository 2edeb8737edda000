"""LD_generate_summary_report: write the summary as JSON; returns its path."""

from __future__ import annotations

from loadflow.engine.commands.report_path import report_path
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_summary_report"]


def generate_summary_report(report_name: str = "loaddensity-summary") -> str:
    """Write `<report_name>.json` below the report folder; returns its path."""
    from loadflow.engine.reports.summary_json import write_summary_report

    return str(write_summary_report(current_session().runs, report_path(report_name, ".json")))


COMMAND = Command(
    "LD_generate_summary_report",
    generate_summary_report,
    "Write the summary as JSON; returns its path.",
    FILES,
    group="reports",
    returns="text: the path",
    example={"report_name": "nightly"},
)
