"""Which test cases a run is: one for its verdict, one for each name, or one for each hit.

The verdict is the run's own, judged once; no case fails in a run that passed. A name fails when more of its hits failed than
the run's `max_failure_rate` allows. A name without such failures has passed only if the run was brought to its end and its
numbers can be trusted (verdict passed or failed); else it is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from loadflow.engine.base.counted import counted
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.records.judge import deciding, too_many_failed
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import HitFlag
from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import ErrorSummary, SeriesSummary, Summary
from loadflow.engine.records.threshold import ThresholdState
from loadflow.engine.records.totals import SeriesTotals
from loadflow.engine.reports.bounds import Budget, clip, sample_parts
from loadflow.engine.reports.junit_xml import Case, Counts, Problem
from loadflow.engine.reports.pieces import Constant, Label, Labels, Number, Piece
from loadflow.engine.reports.run_hits import Hits, RunHits
from loadflow.engine.reports.trusting import interval_lines, trust_words
from loadflow.engine.reports.xml_text import xml_attribute, xml_text

__all__ = ["HitCases", "group_of", "name_cases", "threshold_cases", "verdict_case"]

GROUP = "loadflow"  # classname of what is of no one method
MOST_ERRORS = 20  # kinds of failure listed for one name
SAMPLE_CHARACTERS = 4_000
BODIES_BYTES = 2_000_000  # of all names together
ELEMENTS: Mapping[VerdictKind, Problem] = {
    VerdictKind.FAILED: Problem("failure", "failed", "too many hits failed"),
    # an error, not skipped: CI servers take a suite of passed and skipped cases for a passed one
    VerdictKind.INCONCLUSIVE: Problem("error", "inconclusive", "the run says nothing"),
    VerdictKind.INTERRUPTED: Problem("error", "interrupted", "the run was ended early"),
    VerdictKind.ERROR: Problem("error", "error", "the run could not be made"),
}


def group_of(run: Run, group: str) -> str:
    """The group of a case, with the population that it is of: servers take cases of one group and name for one, also in two suites."""
    return f"{run.facts.population}.{group}" if run.facts.population else group


def verdict_case(summary: Summary) -> Case:
    """The run's verdict; its time is how long the load ran."""
    verdict = summary.verdict
    problem = ELEMENTS.get(verdict.kind)
    if problem is not None:
        body = "\n".join(verdict.reasons)
        problem = Problem(problem.element, problem.kind, clip(verdict.reasons[0], 1_000) if verdict.reasons else problem.message, body)
    lines = [f"warning {warning.code}: {warning.message} {warning.advice}" for warning in summary.warnings]
    words = trust_words(summary)
    return Case(GROUP, "verdict", summary.duration_s, problem, "\n".join([*lines, *(words.sentences if words else ())]))


def threshold_cases(summary: Summary) -> list[Case]:
    """One case per threshold; one that can't be said is an error, like a run that says nothing."""
    cases = []
    for one in summary.thresholds:
        element: Literal["failure", "error"] = "failure" if one.state is ThresholdState.FAILED else "error"
        problem = None if one.state is ThresholdState.PASSED else Problem(element, f"threshold {one.state}", clip(one.text, 1_000))
        name = f"{one.expression} {one.scope}".strip()
        figures = f"limit: {one.limit_text}\nobserved: {one.observed_text}\nsamples: {one.samples:,}"
        cases.append(Case(f"{GROUP}.thresholds", name, 0.0, problem, figures))
    return cases


def name_cases(run: Run, summary: Summary) -> list[Case]:
    """One case per name; its time is the mean response time. A run without a hit has one skipped case that says so."""
    if summary.overall.count == 0:
        return [Case(GROUP, "hits", 0.0, Problem("skipped", "empty", "no hit was recorded"))]
    budget = Budget(BODIES_BYTES)
    errors_of: dict[SeriesName, list[ErrorSummary]] = {}
    for error in summary.errors:
        errors_of.setdefault(SeriesName(error.method, error.name), []).append(error)
    cases = []
    intervals = interval_lines(summary)
    for one in summary.series:
        name = SeriesName(one.method, one.name)
        totals = run.totals().series[name]
        problem = _name_problem(totals, errors_of.get(name, []), summary.verdict, run.max_failure_rate, budget)
        figures = "\n".join([_figures(one, totals), *intervals.get((one.method, one.name), [])])
        cases.append(Case(one.method or GROUP, one.name or "(no name)", one.latency.mean_ms / 1e3, problem, figures))
    return cases


def _name_problem(
    totals: SeriesTotals, errors: list[ErrorSummary], verdict: Verdict, max_failure_rate: float, budget: Budget
) -> Problem | None:
    if verdict.kind is VerdictKind.PASSED:
        return None
    if failed := too_many_failed([totals], max_failure_rate):
        kind = errors[0].kind if errors else "unknown"
        return Problem("failure", kind, failed, budget.take(_errors_text(errors), 100_000) or "(left out here; the summary has it)")
    if verdict.kind is VerdictKind.FAILED:
        return None
    return Problem("skipped", str(verdict.kind), clip(f"{verdict.kind}: {'; '.join(verdict.reasons)}", 1_000))


def _errors_text(errors: list[ErrorSummary]) -> str:
    """How often each kind of failure came, and the first sample there is."""
    lines = [f"{error.count:,} × {error.kind}: {error.message}" for error in errors[:MOST_ERRORS]]
    if len(errors) > MOST_ERRORS:
        lines.append(f"and {counted(len(errors) - MOST_ERRORS, 'more kind of failure', 'more kinds of failure')}")
    sampled = next((error for error in errors if error.samples), None)
    if sampled is not None:
        values, blocks = sample_parts(sampled.samples[0])
        text = "\n".join([*(f"{key}: {value}" for key, value in values), *(f"\n{key}\n{block}" for key, block in blocks)])
        lines += ["", f"a sample of {sampled.kind}: {sampled.message}", clip(text, SAMPLE_CHARACTERS)]
    return "\n".join(lines)


def _figures(one: SeriesSummary, totals: SeriesTotals) -> str:
    hits, failures = deciding(totals)
    latency = one.latency
    times = {"min": latency.min_ms, "mean": latency.mean_ms, "p50": latency.p50_ms, "p90": latency.p90_ms}
    times |= {"p95": latency.p95_ms, "p99": latency.p99_ms, "p99.9": latency.p999_ms, "max": latency.max_ms}
    retried = f"; {counted(one.count - hits, 'more attempt was', 'more attempts were')} retried" if one.count != hits else ""
    lines = [f"hits: {hits:,}, {failures:,} failed{retried}", f"rate: {one.rate_per_s:.3f}/s"]
    lines.append("response time, ms: " + ", ".join(f"{name} {value:.3f}" for name, value in times.items()))
    return "\n".join(lines)


class HitCases:
    """One case per hit, streamed. A failed attempt that was to be tried again is skipped: it decides nothing."""

    def __init__(self, run: Run) -> None:
        self._hits = RunHits(run)
        self._groups = Labels.of([group_of(run, name.method or GROUP) for name in self._hits.series], xml_attribute)
        self._names = Labels.of([name.name for name in self._hits.series], xml_attribute)
        errors = self._hits.errors
        self._tails = Labels(["/>\n", *map(_failed, errors), *map(_retried, errors)])

    def counts(self) -> Counts:
        tests = failed = retried = 0
        for _, rows in self._hits.run.iter_hits():
            bad = rows["outcome"] != 0
            tests += len(rows)
            failed += int(np.count_nonzero(bad))
            retried += int(np.count_nonzero(bad & (rows["flags"] & HitFlag.SUPERSEDED != 0)))
        return Counts(tests, failures=failed - retried, skipped=retried)

    def __iter__(self) -> Iterator[tuple[list[Piece], int]]:
        """Pieces for `render`, and how many rows they are of; each hit's name ends in its number, so that no two are alike."""
        done = 0
        for hits in self._hits:
            yield self._pieces(hits, done), len(hits)
            done += len(hits)

    def _pieces(self, hits: Hits, done: int) -> list[Piece]:
        numbers = np.arange(done + 1, done + len(hits) + 1)
        time_ms = (hits.rows["end_ns"] - hits.rows["due_ns"] + 500_000) // 1_000_000
        retried = hits.failed & (hits.rows["flags"] & HitFlag.SUPERSEDED != 0)
        tails = np.where(hits.failed, 1 + hits.error + retried * len(self._hits.errors), 0)
        return [
            Constant('\t\t<testcase classname="'),
            Label(self._groups, hits.series),
            Constant('" name="'),
            Label(self._names, hits.series),
            Constant(" #"),
            Number(numbers),
            Constant('" time="'),
            Number(time_ms, 3),
            Constant('"'),
            Label(self._tails, tails),
        ]


def _failed(error: ErrorText) -> str:
    kind = error.outcome.label
    text = error.text or kind
    return f'><failure type="{kind}" message="{xml_attribute(text)}">{xml_text(text)}</failure></testcase>\n'


def _retried(error: ErrorText) -> str:
    return f'><skipped message="{xml_attribute(f"to be tried again: {error.outcome.label}: {error.text}")}"/></testcase>\n'
