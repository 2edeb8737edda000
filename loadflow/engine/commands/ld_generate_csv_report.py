"""LD_generate_csv_report: write every hit as a line of CSV; returns its path."""

from __future__ import annotations

from loadflow.engine.commands.report_path import report_path
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_csv_report"]


def generate_csv_report(csv_name: str = "default_name") -> str:
    """Write `<csv_name>.csv`, a line for each hit in the order they ended; returns its path."""
    from loadflow.engine.reports.csv_report import write_csv_report

    return str(write_csv_report(current_session().runs, report_path(csv_name, ".csv")))


COMMAND = Command(
    "LD_generate_csv_report",
    generate_csv_report,
    "Write every hit as a line of CSV; returns its path.",
    FILES,
    group="reports",
    returns="text: the path",
    example={"csv_name": "nightly"},
)
