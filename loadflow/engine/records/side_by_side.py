"""Runs that one test made side by side, its populations: what counts once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from loadflow.engine.base.verdict import Verdict
from loadflow.engine.records.health import Health
from loadflow.engine.records.threshold import ThresholdResult

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["health_of", "seconds_of", "tests_of", "thresholds_of", "verdicts_of"]


def tests_of(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs by the test that made them."""
    found: dict[str | int, list[Run]] = {}
    for run in runs:
        found.setdefault(run.facts.test or len(found), []).append(run)
    return list(found.values())


def seconds_of(runs: Iterable[Run], own: Callable[[Run], float]) -> float:
    """A time over all tests: runs side by side take no longer than the longest of them."""
    return sum(max(map(own, together)) for together in tests_of(runs))


def health_of(runs: Sequence[Run], own: Callable[[Run], Sequence[Health]]) -> list[Health]:
    """Second by second; users of runs side by side are there at the same time."""
    found: list[Health] = []
    for together in tests_of(runs):
        if len(together) == 1:
            found += own(together[0])
        else:
            found += [Health.merged(one for one in of_second if one is not None) for of_second in zip_longest(*map(own, together))]
    return found


def verdicts_of(runs: Iterable[Run], own: Callable[[Run], Sequence[Health]]) -> Iterator[Verdict]:
    """Of each run; a population says in its reasons that they are its."""
    for run in runs:
        verdict = run.verdict(own(run))
        name = run.facts.population
        yield replace(verdict, reasons=tuple(f"{name}: {reason}" for reason in verdict.reasons)) if name else verdict


def thresholds_of(runs: Sequence[Run]) -> list[ThresholdResult]:
    """Each with its population, where the test had several."""
    found: list[ThresholdResult] = []
    for run in runs:
        said = f"in {run.facts.population}" if run.facts.population and len(runs) > 1 else ""
        for one in run.threshold_results():
            found.append(replace(one, scope=" ".join(filter(None, (one.scope, said)))))
    return found
