"""The action document around the steps of a recording."""

from __future__ import annotations

from pydantic import ValidationError

from loadflow.engine.base.counted import counted
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.recording.convert import Conversion
from loadflow.engine.script.mistakes import faults_of, mistakes_of
from loadflow.engine.script.visit import ROOT_KEY
from loadflow.errors import CommandError, Mistake

__all__ = ["action_document"]


def action_document(conversion: Conversion, user: str, user_count: int, spawn_rate: float, test_time: float | None) -> dict[str, object]:
    """One LD_start_test that plays the recording's steps in their order.

    Raises CommandError where nothing can be played, and for arguments that a load test can't take.
    """
    if not conversion.tasks:
        reasons = "; ".join(dict.fromkeys(one.reason for one in conversion.report.left_out[:20])) or "the recording has no entries"
        if conversion.report.excluded:
            reasons = f"include and exclude left out {counted(conversion.report.excluded, 'entry')}"
        raise CommandError([Mistake("har", "nothing in the recording can be played", reasons)])
    arguments: dict[str, object] = {
        "user_detail_dict": {"user": user},
        "tasks": {"mode": "sequence", "tasks": conversion.tasks},
        "user_count": user_count,
        "spawn_rate": spawn_rate,
        "test_time": test_time,
    }
    if conversion.variables:
        arguments["variables"] = conversion.variables
    try:
        StartTest.model_validate(arguments)
    except ValidationError as error:
        raise CommandError(mistakes_of(faults_of(error, keys=StartTest.keys(), noun=StartTest.noun), arguments, "")) from None
    return {ROOT_KEY: [["LD_start_test", arguments]]}
