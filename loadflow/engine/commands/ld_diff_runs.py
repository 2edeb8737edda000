"""LD_diff_runs: compare two kept runs: better, worse, same or unclear."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.history.comparing import change_text, compare_kept, limits_of, value_text, where_text
from loadflow.engine.history.kept_runs import KeptRun, NoPrevious, find_pair
from loadflow.engine.records.compare import ChangeKind, Comparison
from loadflow.engine.script.command import COMPARISON, Command
from loadflow.engine.script.part import HIGHEST
from loadflow.engine.session.session import current_session
from loadflow.errors import ThresholdsNotMet

__all__ = ["COMMAND", "diff_runs"]

MOST_BREACHES = 20
Share = Annotated[float, Field(ge=0, le=1_000)]  # of what was there before, so it may be more than 1


def diff_runs(
    baseline: str | int = "previous",
    current: str | int = "latest",
    database_path: str | None = None,
    relative: Share | str = "10%",
    absolute_ms: Annotated[float, Field(ge=0, le=HIGHEST)] = 1.0,
    absolute_failure_rate: Share | str = "0.1%",
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95,
    allow_unlike: bool = False,
    fail_on_worse: bool = False,
    allow_first: bool = False,
    *,
    url: str | None = None,
) -> JsonObject:
    """What changed from one kept run to another: percentiles, mean, failure rate and rate, each with an interval and a verdict.

    A run is named by its folder, its id below the runs folder, `latest`, or `previous`: the one before the latest of the same label;
    with `database_path` or `url` by its number there. `relative` and `absolute_failure_rate` are shares, or texts such as `"10%"`.
    Raises CommandError for a run that is not there, or for runs that are unlike in plan, engine or machine, unless
    `allow_unlike`; with `fail_on_worse` ThresholdsNotMet where something is worse, which makes the script's verdict failed. With
    `allow_first` a label's first run, which has no previous one, is unclear instead; then only `verdict` and `why` are returned.

    >>> diff_runs("previous", "latest", fail_on_worse=True)["verdict"]  # doctest: +SKIP
    'same'
    """
    from loadflow.engine.store.place import place_of

    limits = limits_of(relative, absolute_ms, absolute_failure_rate, confidence)
    place = place_of(database_path, url) if database_path is not None or url is not None else None
    if current_session().rehearsing:  # the runs may be made by the loads before
        return {}
    try:
        ours, theirs = find_pair(baseline, current, Path(current_session().runs_dir), place)
    except NoPrevious as error:
        if not allow_first:
            raise
        return {"format": "loadflow-comparison", "version": 1, "verdict": str(ChangeKind.UNCLEAR), "why": error.mistakes[0].message}
    result, comparison = compare_kept(ours, theirs, limits, allow_unlike=allow_unlike)
    if fail_on_worse and comparison.verdict is ChangeKind.WORSE:
        raise ThresholdsNotMet(_breaches(comparison, ours))
    return result


def _breaches(comparison: Comparison, baseline: KeptRun) -> Sequence[str]:
    worse = comparison.marked(ChangeKind.WORSE)
    lines = [
        f"{change.metric} of {where_text(one)} is worse than in {baseline.name}: {value_text(change.metric, change.baseline)}, "
        f"now {value_text(change.metric, change.current)} ({change_text(change)})"
        for one, change in worse[:MOST_BREACHES]
    ]
    return [*lines, *([f"and {len(worse) - MOST_BREACHES} more are worse"] if len(worse) > MOST_BREACHES else [])]


COMMAND = Command(
    "LD_diff_runs",
    diff_runs,
    "Compare two kept runs: better, worse, same or unclear.",
    COMPARISON,
    dry=True,
    group="judging",
    returns="object: verdict, overall, names, each change with its interval",
    example={"baseline": "previous", "current": "latest", "fail_on_worse": True, "allow_first": True},
)
