"""LD_generate_json_report: write successes and failures as JSON; returns both paths."""

from __future__ import annotations

from loadflow.engine.commands.report_path import report_path
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_json_report"]


def generate_json_report(json_file_name: str = "default_name") -> tuple[str, str]:
    """Write `<json_file_name>_success.json` and `<json_file_name>_failure.json`; returns their paths."""
    from loadflow.engine.reports.json_report import write_json_report

    success, failure = write_json_report(
        current_session().runs, report_path(json_file_name, "_success.json"), report_path(json_file_name, "_failure.json")
    )
    return str(success), str(failure)


COMMAND = Command(
    "LD_generate_json_report",
    generate_json_report,
    "Write successes and failures as JSON; returns both paths.",
    FILES,
    group="reports",
    returns="list: both paths",
    example={"json_file_name": "nightly"},
)
