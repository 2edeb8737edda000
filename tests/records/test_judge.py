"""The verdict and the warnings: each row a sentence."""

import numpy as np
import pytest

from loadflow.engine.records.judge import EndReason, RunEnd, judge, warnings_of
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.snapshot import Health
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals
from loadflow.engine.verdict import EXIT_CODES, Verdict, VerdictKind, worst

A = SeriesName("GET", "/a")
DONE = RunEnd(EndReason.COMPLETED, "", 30.0, 30.0)
CALM = [Health(users=5, cpu=0.3, lag_ms=2.0)] * 30
BUSY = [Health(users=5, cpu=0.99, lag_ms=300.0)] * 30
BUSY_BUT_PROMPT = [Health(users=5, cpu=0.99, lag_ms=5.0)] * 30


def counted(good: int, bad: int, *, passes: Passes | None = None, superseded: int = 0, superseded_failed: int = 0, **counts: int) -> Totals:
    series = SeriesTotals(superseded=superseded, superseded_failed=superseded_failed, **counts)
    series.succeeded.add(np.full(good, 1_000_000))
    series.failed.add(np.full(bad, 1_000_000))
    return Totals({A: series}, passes=passes or Passes())


TABLE = [
    ("all hits succeeded", counted(1000, 0), DONE, CALM, 0.0, "passed", ""),
    ("one failure where none may", counted(999, 1), DONE, CALM, 0.0, "failed", "1 of 1,000 hits failed (0.10%); none may"),
    ("as many failures as may", counted(990, 10), DONE, CALM, 0.01, "passed", ""),
    ("one failure more than may", counted(989, 11), DONE, CALM, 0.01, "failed", "11 of 1,000 hits failed (1.10%); 1.00% may"),
    ("a retry made it good", counted(1000, 1, superseded=1, superseded_failed=1), DONE, CALM, 0.0, "passed", ""),
    ("the retry failed too", counted(999, 2, superseded=1, superseded_failed=1), DONE, CALM, 0.0, "failed", "1 of 1,000 hits"),
    ("nothing was sent", Totals(), DONE, CALM, 0.0, "inconclusive", "no hit was recorded"),
    ("the generator was the limit", counted(1000, 0), DONE, BUSY, 0.0, "inconclusive", "generator-limited"),
    ("busy but prompt is no limit", counted(1000, 0), DONE, BUSY_BUT_PROMPT, 0.0, "passed", ""),
    ("failures weigh more than a busy generator", counted(0, 10), DONE, BUSY, 0.0, "failed", "10 of 10"),
    ("the rate was reached, within 1 %", counted(990, 0, passes=Passes(1000, 990, 10)), DONE, CALM, 0.0, "passed", ""),
    (
        "the rate was missed by more",
        counted(989, 0, passes=Passes(1000, 989, 11)),
        DONE,
        CALM,
        0.0,
        "inconclusive",
        "below the rate: 989 of 1,000 passes that were due could start (98.90%; at least 99.00% must)",
    ),
    ("failures weigh more than a missed rate", counted(9, 1, passes=Passes(1000, 10, 990)), DONE, CALM, 0.0, "failed", "1 of 10"),
    ("every pass was dropped", Totals(passes=Passes(10, 0, 10)), DONE, CALM, 0.0, "inconclusive", "below the rate: 0 of 10"),
    ("both doubts are told", counted(1, 0, passes=Passes(9, 1, 8)), DONE, BUSY, 0.0, "inconclusive", "processes` generator-limited"),
    ("no health is no doubt", counted(10, 0), DONE, [], 0.0, "passed", ""),
    (
        "ended early on request",
        counted(10, 0),
        RunEnd(EndReason.STOPPED, "SIGTERM", 30.0, 7.04),
        CALM,
        0.0,
        "interrupted",
        "interrupted after 7.0 s of 30 s (SIGTERM)",
    ),
    (
        "stopped with failures",
        counted(0, 10),
        RunEnd(EndReason.STOPPED, "", None, 7.0),
        CALM,
        0.0,
        "interrupted",
        "interrupted after 7.0 s",
    ),
    ("stopped before a hit", Totals(), RunEnd(EndReason.STOPPED), CALM, 0.0, "interrupted", "interrupted after 0.0 s"),
    ("the parent is gone", counted(1, 0), RunEnd(EndReason.PARENT_LOST), CALM, 0.0, "interrupted", "interrupted"),
    ("cut off", counted(1, 0), RunEnd(EndReason.UNKNOWN, "the run was cut off"), CALM, 0.0, "interrupted", "cut off"),
    ("the engine died", counted(1, 0), RunEnd(EndReason.ENGINE_LOST, "killed by signal 9"), CALM, 0.0, "error", "killed by signal 9"),
    ("past the deadline", counted(1, 0), RunEnd(EndReason.DEADLINE), CALM, 1.0, "error", "the engine ended: deadline"),
]


@pytest.mark.parametrize(("totals", "end", "health", "allowed", "kind", "said"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_verdict(totals: Totals, end: RunEnd, health: list[Health], allowed: float, kind: str, said: str) -> None:
    verdict = judge(totals, end, health, max_failure_rate=allowed)
    assert verdict.kind == kind
    assert said in " ".join(verdict.reasons)
    assert bool(verdict.reasons) == (kind != "passed")


def test_the_tolerance_of_a_rate_is_the_scripts() -> None:
    totals = counted(900, 0, passes=Passes(1000, 900, 100))
    assert judge(totals, DONE, CALM, max_failure_rate=0, rate_tolerance=0.1).kind == "passed"
    assert judge(totals, DONE, CALM, max_failure_rate=0, rate_tolerance=0.09).kind == "inconclusive"


def test_every_verdict_has_an_exit_code_of_its_own_and_only_a_pass_is_zero() -> None:
    assert set(EXIT_CODES) == set(VerdictKind)
    assert len(set(EXIT_CODES.values())) == len(VerdictKind)
    assert [kind for kind in VerdictKind if kind.exit_code == 0] == [VerdictKind.PASSED]


def test_the_worst_verdict_counts_with_every_reason_of_its_kind_once() -> None:
    failed = [Verdict(VerdictKind.FAILED, ("a",)), Verdict(VerdictKind.FAILED, ("b", "a"))]
    assert worst([Verdict(VerdictKind.PASSED), *failed, Verdict(VerdictKind.INCONCLUSIVE, ("c",))]) == Verdict(
        VerdictKind.FAILED, ("a", "b")
    )
    assert worst([]) == Verdict(VerdictKind.PASSED)


def unfinished(outcome: Outcome) -> Totals:
    totals = counted(1000, 3)
    totals.errors[A, ErrorText(outcome, "x")] = ErrorCount(3, 1.0, 2.0)
    return totals


WARNINGS = [
    ("nothing to doubt", counted(1000, 0), CALM, []),
    ("few hits", counted(99, 0), CALM, ["few-hits"]),
    ("no hits at all is the verdict's matter", Totals(), CALM, []),
    ("a busy generator", counted(1000, 0), BUSY_BUT_PROMPT, ["generator-busy"]),
    ("hits in flight at the end", unfinished(Outcome.UNFINISHED), CALM, ["unfinished"]),
    ("our own mistakes", unfinished(Outcome.ENGINE), CALM, ["engine-errors"]),
    ("retries", counted(1000, 0, retries=2), CALM, ["retries"]),
    ("a hit in a hundred was late", counted(1000, 0, late=10), CALM, []),
    ("more were late", counted(1000, 0, late=11), CALM, ["late"]),
    ("passes were dropped", counted(1000, 0, passes=Passes(1001, 1000, 1)), CALM, ["dropped"]),
    ("too many names", Totals({SeriesName("", "(other)"): counted(1000, 0).series[A]}), CALM, ["names-capped"]),
]


@pytest.mark.parametrize(("totals", "health", "codes"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS])
def test_warnings(totals: Totals, health: list[Health], codes: list[str]) -> None:
    found = warnings_of(totals, health)
    assert [warning.code for warning in found] == codes
    assert all(warning.message and warning.advice for warning in found)
