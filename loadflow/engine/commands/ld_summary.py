"""LD_summary: return the summary of the runs so far."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "summary"]


def summary(success: list[JsonObject] | None = None, failures: list[JsonObject] | None = None) -> JsonObject:
    """The summary of all runs since the last LD_clear_records, as `Summary.to_json` gives it.

    With `success` or `failures`, lists of records such as a JSON report holds, it is the summary of these instead.
    """
    from loadflow.engine.records.given import summary_of_records
    from loadflow.engine.records.summing import summary_of

    if success is not None or failures is not None:
        return summary_of_records(success or [], failures or []).to_json()
    return summary_of(current_session().runs).to_json()


COMMAND = Command(
    "LD_summary",
    summary,
    "Return the summary of the runs so far.",
    QUICK,
    group="judging",
    returns="object: the summary",
)
