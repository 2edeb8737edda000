"""What is left of a shard whose agent was lost: an engine process's entry of a job again, whose times count from where it goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.records.hitlog import iter_rows
from loadflow.engine.records.outcome import HitFlag

__all__ = ["begun_in", "rest_of"]


def begun_in(log: Path) -> int:
    """Passes of which a hit log has the first row; 0 where there is none."""
    chunks = iter_rows(log) if log.exists() else ()
    return sum(int(((rows["flags"] & HitFlag.FIRST) > 0).sum()) for rows in chunks)


def rest_of(entry: JsonObject, plan: Plan, from_s: int, started: Sequence[int]) -> dict[str, object] | None:
    """`entry` from `from_s` seconds on; `started`: passes that were begun of it, by loop. None: nothing is left.

    Users of a closed loop with a number of passes each make those that are left, shared out evenly; what does not divide is not made again,
    and counts as lost.
    """
    if plan.duration_s is not None and from_s >= plan.duration_s:
        return None
    whole = entry["job"]
    loops = whole.get("jobs", [whole])
    later = []
    for loop, begun in zip(loops, started, strict=True):
        own = Plan.from_json(loop["plan"]).later(from_s)
        if own.iterations is not None:
            left = own.iterations - math.ceil(begun / max(1, own.users))
            if left < 1 and own.users:
                return None
            own = replace(own, iterations=max(1, left))
        later.append({**loop, "plan": own.to_json()})
    return {**entry, "job": {"jobs": later} if "jobs" in whole else later[0]}
