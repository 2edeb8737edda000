"""LD_generate_json: return every hit as a record: successes and failures."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "generate_json"]


def generate_json() -> tuple[JsonObject, JsonObject]:
    """Every hit as a record, successes and failures; for 100,000 hits and less, because it is all in memory."""
    from loadflow.engine.reports.json_report import json_records

    return json_records(current_session().runs)


COMMAND = Command(
    "LD_generate_json",
    generate_json,
    "Return every hit as a record: successes and failures.",
    FILES,
    group="reports",
    returns="list: successes, failures",
)
