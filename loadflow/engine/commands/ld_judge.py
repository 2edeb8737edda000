"""LD_judge: hold a run against the nights before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from loadflow.engine.commands.stored_place import stored_place
from loadflow.engine.history.comparing import share_of
from loadflow.engine.history.judging import judge_run, keep_judgement, sentences
from loadflow.engine.history.kept_runs import every_run, find_run
from loadflow.engine.history.nights import NightKind
from loadflow.engine.history.population import METRICS, accepted_of
from loadflow.engine.script.command import COMPARISON, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake, ThresholdsNotMet

__all__ = ["COMMAND", "judge"]

Share = Annotated[float, Field(ge=0, le=1)]


def judge(
    run: str | int = "latest",
    metrics: Sequence[str] = ("p95",),
    floor: Share | str = "2%",
    fail_on_worse: bool = False,
    database_path: str | None = None,
    *,
    url: str | None = None,
) -> Mapping[str, object]:
    """The run against the last 30 of its label: learning, same, suspect, worse or better, for each metric, and since which run.

    Runs count that are alike in plan, engine and machine, since the last change that `loadflow history accept` accepted; under 10 of them
    it is learning. `metrics`: p50, p95, p99, mean, rate; the failure rate is always judged. `floor`: the share from which on a change
    matters. Raises CommandError for a run that is not there; with `fail_on_worse` ThresholdsNotMet where something is worse, which makes
    the script's verdict failed. The judgement is also kept in the run's folder, as judgement.json.

    >>> judge("latest", metrics=["p95", "p99"])["verdict"]  # doctest: +SKIP
    'same'
    """
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        what = f"{unknown[0]!r} is not a metric" if unknown else "names no metric"
        raise CommandError([Mistake("metrics", what, f"metrics: {', '.join(METRICS)}")])
    share = share_of("floor", floor)
    session = current_session()
    place = stored_place(database_path, url) if database_path is not None or url is not None else None
    if session.rehearsing:  # the runs may be made by the loads before
        return {}
    runs_dir = Path(session.runs_dir)
    kept = find_run("run", run, runs_dir, place)
    judgement = judge_run(every_run(runs_dir, place), kept, metrics, share, accepted_of(runs_dir, kept.group))
    keep_judgement(kept, judgement)
    for observer in session.observers:
        observer.judged(judgement)
    if fail_on_worse and judgement["verdict"] == NightKind.WORSE:
        raise ThresholdsNotMet(sentences(judgement))
    return judgement


COMMAND = Command(
    "LD_judge",
    judge,
    "Hold a run against the nights before it: same, suspect, worse or better.",
    COMPARISON,
    dry=True,
    group="judging",
    returns="object: verdict, metrics, first_bad, nights",
    example={"metrics": ["p95"], "floor": "2%", "fail_on_worse": True},
)
