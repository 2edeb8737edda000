"""The verdict and the warnings: each row a sentence."""

from typing import Any

import numpy as np
import pytest

from loadflow.engine.base.verdict import EXIT_CODES, Verdict, VerdictKind, worst
from loadflow.engine.machine.calibration import Ceiling, Jitter
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import EndReason, RunEnd, asked_too_much, ceiling_warnings, judge, warnings_of
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals

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
    (
        "one failure where none may",
        counted(999, 1),
        DONE,
        CALM,
        0.0,
        "failed",
        "1 of 1,000 hits failed (0.10%); max_failure_rate allows none",
    ),
    ("as many failures as may", counted(990, 10), DONE, CALM, 0.01, "passed", ""),
    (
        "one failure more than may",
        counted(989, 11),
        DONE,
        CALM,
        0.01,
        "failed",
        "11 of 1,000 hits failed (1.10%); max_failure_rate allows 1.00%",
    ),
    ("a retry made it good", counted(1000, 1, superseded=1, superseded_failed=1), DONE, CALM, 0.0, "passed", ""),
    ("the retry failed too", counted(999, 2, superseded=1, superseded_failed=1), DONE, CALM, 0.0, "failed", "1 of 1,000 hits"),
    ("nothing was sent", Totals(), DONE, CALM, 0.0, "inconclusive", "no hit was recorded"),
    ("the generator was the limit", counted(1000, 0), DONE, BUSY, 0.0, "inconclusive", "generator-limited"),
    ("busy but prompt is not a limit", counted(1000, 0), DONE, BUSY_BUT_PROMPT, 0.0, "passed", ""),
    ("failures weigh more than a busy generator", counted(0, 10), DONE, BUSY, 0.0, "failed", "10 of 10"),
    ("the rate was reached, within 1 %", counted(990, 0, passes=Passes(1000, 990, 10, 990)), DONE, CALM, 0.0, "passed", ""),
    (
        "the rate was missed by more",
        counted(989, 0, passes=Passes(1000, 989, 11, 989)),
        DONE,
        CALM,
        0.0,
        "inconclusive",
        "below the rate: 989 of 1,000 due passes sent (98.90%; at least 99.00% are required)",
    ),
    ("failures weigh more than a missed rate", counted(9, 1, passes=Passes(1000, 10, 990)), DONE, CALM, 0.0, "failed", "1 of 10"),
    ("every pass was dropped", Totals(passes=Passes(10, 0, 10)), DONE, CALM, 0.0, "inconclusive", "below the rate: 0 of 10"),
    ("both doubts are told", counted(1, 0, passes=Passes(9, 1, 8, 1)), DONE, BUSY, 0.0, "inconclusive", "processes` generator-limited"),
    (
        "books that do not balance",
        counted(1000, 0, passes=Passes(1000, 1000, 0, 990, 9)),
        DONE,
        CALM,
        0.0,
        "inconclusive",
        "the numbers of passes do not add up (1,000 due, 1,000 started, 0 dropped, 990 made, 9 cut off, 0 lost)",
    ),
    ("no health is not a doubt", counted(10, 0), DONE, [], 0.0, "passed", ""),
    (
        "ended early on request",
        counted(10, 0),
        RunEnd(EndReason.STOPPED, "SIGTERM", 30.0, 7.04),
        CALM,
        0.0,
        "interrupted",
        "stopped after 7.0 s of 30 s (SIGTERM)",
    ),
    (
        "stopped with failures",
        counted(0, 10),
        RunEnd(EndReason.STOPPED, "", None, 7.0),
        CALM,
        0.0,
        "interrupted",
        "stopped after 7.0 s",
    ),
    ("stopped before a hit", Totals(), RunEnd(EndReason.STOPPED), CALM, 0.0, "interrupted", "stopped after 0.0 s"),
    ("the parent is gone", counted(1, 0), RunEnd(EndReason.PARENT_LOST), CALM, 0.0, "interrupted", "stopped after"),
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
    totals = counted(900, 0, passes=Passes(1000, 900, 100, 900))
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


def lasting(seconds: float) -> Totals:
    totals = counted(1000, 0)
    totals.duration_s = seconds
    return totals


def unfinished(outcome: Outcome) -> Totals:
    totals = counted(1000, 3)
    totals.errors[A, ErrorText(outcome, "x")] = ErrorCount(3, 1.0, 2.0)
    return totals


WARNINGS = [
    ("nothing to doubt", counted(1000, 0), CALM, []),
    ("few hits", counted(99, 0), CALM, ["few-hits"]),
    ("a load too short for a rate", lasting(0.9), CALM, ["short-load"]),
    ("one that is just long enough", lasting(1.0), CALM, []),
    ("no hits at all is the verdict's matter", Totals(), CALM, []),
    ("a busy generator", counted(1000, 0), BUSY_BUT_PROMPT, ["generator-busy"]),
    ("hits in flight at the end", unfinished(Outcome.UNFINISHED), CALM, ["unfinished"]),
    ("our own mistakes", unfinished(Outcome.ENGINE), CALM, ["engine-errors"]),
    ("retries", counted(1000, 0, retries=2), CALM, ["retries"]),
    ("a hit in a hundred was late", counted(1000, 0, late=10), CALM, []),
    ("more were late", counted(1000, 0, late=11), CALM, ["late"]),
    ("passes were dropped", counted(1000, 0, passes=Passes(1001, 1000, 1, 1000)), CALM, ["dropped"]),
    ("passes were cut off", counted(1000, 0, passes=Passes(1000, 1000, 0, 899, 101)), CALM, ["cut-off"]),
    ("passes were lost", counted(1000, 0, passes=Passes(1001, 1000, 0, 1000, 0, 1)), CALM, ["lost-passes"]),
    ("too many names", Totals({SeriesName("", "(other)"): counted(1000, 0).series[A]}), CALM, ["names-capped"]),
]


@pytest.mark.parametrize(("totals", "health", "codes"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS])
def test_warnings(totals: Totals, health: list[Health], codes: list[str]) -> None:
    found = warnings_of(totals, health)
    assert [warning.code for warning in found] == codes
    assert all(warning.message and warning.advice for warning in found)


QUIET = Jitter(0.1, 0.5, 2.0)
NOISY = Jitter(1.0, 10.0, 40.0)


def ceiling(hits_per_s: float = 1000.0, *, late: Jitter = QUIET, lag_limit_ms: float = 20.0, **changes: Any) -> Ceiling:
    return Ceiling("2026-11-21T08:00:00+00:00", hits_per_s, late=late, lag_limit_ms=lag_limit_ms, **changes)


def at(hits_per_s: int, *, late: int = 0) -> Totals:
    """Ten seconds of so many hits."""
    totals = counted(10 * hits_per_s, 0, late=late)
    totals.duration_s = 10.0
    return totals


SLUGGISH = [Health(users=5, cpu=0.5, lag_ms=21.0)] * 30
BUSY_AND_SLUGGISH = [Health(users=5, cpu=0.95, lag_ms=21.0)] * 30

CALIBRATED = [
    ("without a calibration 21 ms are no lag", at(900), BUSY_AND_SLUGGISH, None, ""),
    ("the calibrated limit of the lag is stricter", at(100), BUSY_AND_SLUGGISH, ceiling(), "21 ms late (limit 20 ms by the calibration of"),
    ("a lag alone is not a limit", at(100), SLUGGISH, ceiling(), ""),
    ("a throttled generator is at its limit without a busy core", at(900), SLUGGISH, ceiling(), "it made 90% of the hits per second"),
    ("below nine tenths it is not", at(899), SLUGGISH, ceiling(), ""),
    ("at the ceiling, but prompt", at(1000), CALM, ceiling(), ""),
    ("the ceiling of a busy machine is none", at(1000), SLUGGISH, ceiling(at_least=True), ""),
    ("a calibration that does not hold changes nothing", at(1000), BUSY_AND_SLUGGISH, Ceiling(unused="it is of another host"), ""),
]


@pytest.mark.parametrize(("totals", "health", "known", "said"), [row[1:] for row in CALIBRATED], ids=[row[0] for row in CALIBRATED])
def test_generator_limited_by_calibrated_numbers(totals: Totals, health: list[Health], known: Ceiling | None, said: str) -> None:
    verdict = judge(totals, DONE, health, max_failure_rate=0.0, ceiling=known)
    assert verdict.kind == ("inconclusive" if said else "passed")
    assert said in " ".join(verdict.reasons)


CEILING_WARNINGS: list[tuple[str, Totals, Ceiling | None, list[str]]] = [
    ("no calibration", at(1000, late=9999), None, []),
    ("far below the ceiling", at(100), ceiling(asked_per_s=700.0), []),
    ("a rate above 70 % of it", at(100), ceiling(asked_per_s=701.0), ["rate-near-ceiling"]),
    ("a rate that asked for it is told once", at(950), ceiling(asked_per_s=950.0), ["rate-near-ceiling"]),
    ("nine tenths were reached in a closed loop", at(900), ceiling(), ["near-ceiling"]),
    ("what a busy machine made may not have been all", at(900), ceiling(at_least=True), []),
    ("hits were late", at(100, late=11), ceiling(), ["jitter"]),
    ("it does not hold", at(1000, late=9999), Ceiling(unused="it is of another host", asked_per_s=9e9), ["calibration-unused"]),
    ("no hit at all", Totals(), ceiling(), []),
]


@pytest.mark.parametrize(("totals", "known", "codes"), [row[1:] for row in CEILING_WARNINGS], ids=[row[0] for row in CEILING_WARNINGS])
def test_warnings_of_a_calibrated_machine(totals: Totals, known: Ceiling | None, codes: list[str]) -> None:
    found = list(ceiling_warnings(known, totals))
    assert [warning.code for warning in found] == codes
    assert all(warning.message and warning.advice for warning in found)


def test_a_rate_that_is_too_high_is_told_with_its_numbers_and_the_way_out() -> None:
    warning = asked_too_much(ceiling(20_000.0, at_least=True, asked_per_s=30_000.0))
    assert warning is not None
    assert warning.message == (
        "The rate asks for up to 30,000 hits/s, 150% of what this machine can make with this number of processes and threads "
        "(at least 20,000/s by the calibration of 2026-11-21)."
    )
    assert warning.advice.startswith("Use more threads or processes")


@pytest.mark.parametrize(("late", "said"), [(QUIET, "the timers are not the reason"), (NOISY, "use a quieter machine")])
def test_lateness_is_held_against_the_machines_own(late: Jitter, said: str) -> None:
    (warning,) = ceiling_warnings(ceiling(late=late), at(100, late=11))
    assert said in warning.advice
