"""LD_generate_xml: return every hit as a record in XML: successes and failures."""

from __future__ import annotations

from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_xml"]


def generate_xml() -> tuple[str, str]:
    """Every hit as a record in XML, successes and failures; for 100,000 hits and less, because it is all in memory."""
    from loadflow.engine.reports.xml_report import xml_records

    return xml_records(current_session().runs)


COMMAND = Command(
    "LD_generate_xml",
    generate_xml,
    "Return every hit as a record in XML: successes and failures.",
    FILES,
    group="reports",
    returns="list: successes, failures, as text",
)
