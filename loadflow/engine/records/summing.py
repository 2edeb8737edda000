"""One summary of runs on disk: what was counted, how it is judged, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loadflow.engine.base.verdict import Verdict, VerdictKind, worst
from loadflow.engine.records.in_python import InPython, in_python_warnings
from loadflow.engine.records.judge import Warning_, ceiling_warnings, warnings_of
from loadflow.engine.records.knee import knee_of
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.passes import Passes, RateSummary
from loadflow.engine.records.proxies import proxy_warnings
from loadflow.engine.records.rate_changes import rate_change_warnings
from loadflow.engine.records.revisions import revision_warnings
from loadflow.engine.records.side_by_side import health_of, seconds_of, thresholds_of, verdicts_of
from loadflow.engine.records.standing import read_standings, standing_warnings
from loadflow.engine.records.summary import Summary, summarise
from loadflow.engine.records.totals import Totals
from loadflow.engine.records.trust import Trust, trust_of, trust_warnings
from loadflow.engine.records.workers import WorkerRecord

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["summary_of"]


def summary_of(runs: Sequence[Run]) -> Summary:
    """One summary over all `runs`: counts merged, the worst verdict, every run's warnings."""
    totals = Totals.merged(run.totals() for run in runs)
    of_ceilings = [warning for run in runs for warning in ceiling_warnings(run.ceiling, run.totals())]
    standing = [warning for run in runs for warning in standing_warnings(read_standings(run.standing_path))]
    proxies = [warning for run in runs for warning in proxy_warnings(run.facts)]
    changes = [warning for run in runs for warning in rate_change_warnings(run)]
    revisions = [warning for run in runs for warning in revision_warnings(run.facts)]
    samples: dict[tuple[SeriesName, ErrorText], list[dict[str, object]]] = {}
    of_run = {id(run): run.health() for run in runs}
    health = health_of(runs, lambda run: of_run[id(run)])
    verdicts = list(verdicts_of(runs, lambda run: of_run[id(run)])) if len(runs) != 1 else [runs[0].verdict(of_run[id(runs[0])])]
    unreached: list[Warning_] = []
    paced = [run for run in runs if run.pace is not None]
    workers: list[WorkerRecord] = []
    trust: Trust | None = None
    for run in runs:
        own_health = of_run[id(run)]
        trust = trust_of(run, own_health) if len(runs) == 1 else None
        workers.extend(run.workers())
        unreached += [one.warning for one in run.shortfalls(own_health)]
        for key, entries in run.samples().items():
            samples.setdefault(key, []).extend(entries)
    slow = list(in_python_warnings(InPython.of(health, [run.facts for run in runs])))
    doubts = trust_warnings(trust, totals.overall().response().quantile_ns(0.99) / 1e6)
    return summarise(
        totals,
        duration_s=seconds_of(runs, lambda run: run.totals().duration_s),
        runs=[run.facts for run in runs],
        verdict=worst(verdicts) if runs else Verdict(VerdictKind.INCONCLUSIVE, ("no test was run, so there is nothing to judge",)),
        warnings=list(
            dict.fromkeys(
                [*warnings_of(totals, health), *of_ceilings, *unreached, *standing, *slow, *changes, *revisions, *proxies, *doubts]
            )
        ),
        health=health,
        samples=samples,
        workers=workers,
        trust=trust,
        knee=knee_of(runs[0]) if len(runs) == 1 else None,
        thresholds=thresholds_of(runs),
        rate=RateSummary.of(Passes.merged(run.totals().passes for run in paced), seconds_of(paced, lambda run: run.load_s))
        if paced
        else None,
    )
