"""LD_generate_junit_report: write test results for CI servers; returns its path."""

from __future__ import annotations

from loadflow.engine.commands.report_path import report_path
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_junit_report"]


def generate_junit_report(report_name: str = "loaddensity-junit", per_request: bool = False) -> str:
    """Write `<report_name>.xml` for CI servers: a test case for each name, or for each request; returns its path."""
    from loadflow.engine.reports.junit import write_junit_report

    return str(write_junit_report(current_session().runs, report_path(report_name, ".xml"), per_request=per_request))


COMMAND = Command(
    "LD_generate_junit_report",
    generate_junit_report,
    "Write test results for CI servers; returns its path.",
    FILES,
    group="reports",
    returns="text: the path",
    example={"report_name": "nightly-junit"},
)
