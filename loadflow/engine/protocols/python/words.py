"""What is said of a function of Python that failed: the same in both engines."""

from __future__ import annotations

import linecache

__all__ = ["AWAITED", "NOTHING_SENT", "words_of"]

NOTHING_SENT = "made no request"
AWAITED = "what can be awaited is requests, asyncio.sleep and asyncio.gather"
OF_SCENARIO = "loadflow_scenario_"  # how the names of scenarios' modules begin; see scenario/loading.py


def words_of(error: BaseException) -> str:
    """The error, with the line of the scenario that it comes from; of an assertion without words, the line itself."""
    place, frame = "", error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if OF_SCENARIO in str(frame.tb_frame.f_globals.get("__name__")):
            place = f" (line {frame.tb_lineno})"
            source = linecache.getline(code.co_filename, frame.tb_lineno).strip()
            if isinstance(error, AssertionError) and not str(error):
                return f"{source}{place}"
        frame = frame.tb_next
    name = type(error).__name__
    said = str(error) if isinstance(error, AssertionError) else f"{name}: {error}" if str(error) else name
    if isinstance(error, RuntimeError) and "event loop" in said:
        said = f"{said}; {AWAITED}"
    return f"{said}{place}"
