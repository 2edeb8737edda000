"""LD_generate_xml_report: write successes and failures as XML; returns both paths."""

from __future__ import annotations

from loadflow.engine.commands.report_path import report_path
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_xml_report"]


def generate_xml_report(xml_file_name: str = "default_name") -> tuple[str, str]:
    """Write `<xml_file_name>_success.xml` and `<xml_file_name>_failure.xml`; returns their paths."""
    from loadflow.engine.reports.xml_report import write_xml_report

    success, failure = write_xml_report(
        current_session().runs, report_path(xml_file_name, "_success.xml"), report_path(xml_file_name, "_failure.xml")
    )
    return str(success), str(failure)


COMMAND = Command(
    "LD_generate_xml_report",
    generate_xml_report,
    "Write successes and failures as XML; returns both paths.",
    FILES,
    group="reports",
    returns="list: both paths",
    example={"xml_file_name": "nightly"},
)
