"""LD_clear_records: start anew: later summaries and reports leave out the runs so far."""

from __future__ import annotations

from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "clear_records"]


def clear_records() -> dict[str, str]:
    """Let later summaries and reports start from nothing. Run folders stay, and so does their part in the verdict."""
    current_session().clear_records()
    return {"status": "cleared"}


COMMAND = Command(
    "LD_clear_records",
    clear_records,
    "Start anew: later summaries and reports leave out the runs so far.",
    QUICK,
    dry=True,
    group="judging",
    returns='`{"status": "cleared"}`',
)
