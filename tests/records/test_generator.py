"""When a run says more about the generator than about the target: by lag, gaps, CPU and what it ran out of. Each row a sentence."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.load.follow import Follower
from loadflow.engine.process.messages import Done, Tick
from loadflow.engine.records.generator import generator_limited, lag_limit_of
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import EndReason, RunEnd, judge, warnings_of
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.threshold import ThresholdResult, ThresholdState
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals
from loadflow.errors import CommandError
from tests.builders import build_run

A = SeriesName("GET", "/a")
DONE = RunEnd(EndReason.COMPLETED, "", 30.0, 30.0)
CALM = Health(users=5, cpu=0.3, lag_ms=2.0)


def seconds(*parts: tuple[int, dict[str, Any]]) -> list[Health]:
    """So many seconds each, calm but for what is said."""
    return [replace(CALM, **changes) for count, changes in parts for _ in range(count)]


LAGS: list[tuple[str, list[Health], str]] = [
    ("calm", seconds((40, {})), ""),
    ("no health at all", [], ""),
    ("a busy core that is prompt", seconds((40, {"cpu": 1.0})), ""),
    ("a quota that is used up, but never too soon", seconds((40, {"cpu": 0.05, "quota_used": 1.0, "throttled": 0.04})), ""),
    (
        "throttled, though its timers were in time",
        seconds((40, {"cpu": 0.01, "throttled": 0.3})),
        "kept from running; it was throttled in 30%",
    ),
    ("late in one second of twenty, which is 5 %", seconds((19, {}), (1, {"lag_ms": 999})), ""),
    ("late in one second of nineteen", seconds((18, {}), (1, {"lag_ms": 101})), "more than 100 ms late in 5% of the seconds"),
    ("late in every second with an idle CPU", seconds((30, {"lag_ms": 150, "cpu": 0.01})), "more than 100 ms late in 100% of the seconds"),
    ("as late as may be", seconds((30, {"lag_ms": 100})), ""),
    ("one gap of more than a second in ten minutes", seconds((599, {}), (1, {"lag_ms": 1001})), "it stood still for 1.0 s"),
    ("one gap of a second in ten minutes", seconds((599, {}), (1, {"lag_ms": 1000})), ""),
    ("stopped for five of nine seconds", seconds((4, {}), (5, {"lag_ms": 5000})), "it stood still for 5.0 s"),
    (
        "a quota of 5 %",
        seconds((30, {"cpu": 0.05, "quota_used": 1.01, "throttled": 0.95, "lag_ms": 180})),
        "late in 100% of the seconds; its CPU was at 90% or more of its CPU quota in 100% of the seconds; "
        "it was throttled in 95% of the periods of its CPU quota; give its container more CPU",
    ),
    ("a host that is overbooked", seconds((30, {"stolen": 0.4, "lag_ms": 180})), "the machine's host gave 40% of its CPU to others"),
    ("a busy core", seconds((30, {"cpu": 0.98, "lag_ms": 180})), "90% or more of a core in 100% of the seconds; use more `processes`"),
]


@pytest.mark.parametrize(("what", "health", "said"), LAGS, ids=[row[0] for row in LAGS])
def test_lag_and_gaps_decide(what: str, health: list[Health], said: str) -> None:
    found = generator_limited(health, Totals(), None)
    assert bool(found) is bool(said)
    assert said in found


@pytest.mark.parametrize("health", [row[1] for row in LAGS if row[2]])
def test_such_a_run_is_never_passed(health: list[Health]) -> None:
    totals = counted(1_000)
    verdict = judge(totals, DONE, health, max_failure_rate=0.0)
    assert verdict.kind == "inconclusive"
    calmer = [replace(one, throttled=0.0) for one in health]
    assert judge(totals, DONE, calmer, max_failure_rate=0.0, lag_limit_ms=60_000).kind == "passed"


def test_a_used_up_quota_is_a_busy_generator() -> None:
    assert [one.code for one in warnings_of(counted(1_000), seconds((10, {"quota_used": 0.95})))][:1] == ["generator-busy"]


@pytest.mark.parametrize(("given", "limit"), [(None, 100.0), ("", 100.0), ("250", 250.0)])
def test_the_limit_can_be_set_for_a_machine(given: str | None, limit: float) -> None:
    assert lag_limit_of({} if given is None else {"LOADFLOW_LAG_LIMIT_MS": given}) == limit


@pytest.mark.parametrize("given", ["soon", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(CommandError, match="LOADFLOW_LAG_LIMIT_MS"):
        lag_limit_of({"LOADFLOW_LAG_LIMIT_MS": given})


def test_seconds_in_which_an_engine_said_nothing_count_as_a_gap(tmp_path: Path) -> None:
    """It was stopped after its third second, and went on in its ninth; its own clock for lags did not see it."""
    follower = Follower(build_run(tmp_path / "run"), 1, 9.0)
    told = [snapshot for until in (1, 2, 3, 9) for snapshot in follower.tick(Tick(0, until, 0, CALM, Passes(), None))]
    told += follower.done(Done(0, 0, 9.0, "", CALM, 0, 0))
    assert [snapshot.health.lag_ms for snapshot in told] == [2.0] * 3 + [5_000.0] * 6
    assert "it stood still for 5.0 s" in generator_limited([snapshot.health for snapshot in told], Totals(), None)


def test_of_several_engines_the_one_that_was_stopped_is_seen(tmp_path: Path) -> None:
    follower = Follower(build_run(tmp_path / "run"), 2, 9.0)
    told = []
    for until in range(1, 7):
        told += follower.tick(Tick(0, until, 0, CALM, Passes(), None))
        if until in (1, 6):
            told += follower.tick(Tick(1, until, 0, CALM, Passes(), None))
    assert [snapshot.health.lag_ms for snapshot in told] == [2.0] + [4_000.0] * 5


def counted(good: int, replaced: int = 0, **failures: int) -> Totals:
    """Hits of one name; failures by the name of an errno, as a failed connection has them, so many of each of which a retry replaced."""
    series, totals = SeriesTotals(), Totals({A: SeriesTotals()})
    series.succeeded.add(np.full(good, 1_000_000))
    for name, count in failures.items():
        series.failed.add(np.full(count, 1_000))
        text = ErrorText(Outcome.CONNECT, f"OSError: {os.strerror(getattr(errno, name))}")
        totals.errors[A, text] = ErrorCount(count, 0.0, 1.0, replaced)
    series.superseded = series.superseded_failed = replaced * len(failures)
    totals.series[A] = series
    return totals


MISSED = ThresholdResult("failure_rate < 1%", "", ThresholdState.FAILED, 0.01, 0.1, 100, "share")
OWN: list[tuple[str, Totals, EndReason, list[ThresholdResult], str, str]] = [
    (
        "no port was left",
        counted(90, EADDRNOTAVAIL=10),
        EndReason.COMPLETED,
        [],
        "inconclusive",
        "no local port was left for 10 of its hits",
    ),
    ("no file was left", counted(90, EMFILE=10), EndReason.COMPLETED, [], "inconclusive", "raise `ulimit -n`"),
    ("none on the whole machine", counted(90, ENFILE=10), EndReason.COMPLETED, [], "inconclusive", "raise fs.file-max"),
    ("nothing could be sent at all", counted(0, EADDRNOTAVAIL=10), EndReason.COMPLETED, [], "inconclusive", "no local port"),
    ("a refused connection is the target's", counted(90, ECONNREFUSED=10), EndReason.COMPLETED, [], "failed", "10 of 100 hits failed"),
    ("both: the target's failures stay", counted(89, EMFILE=10, ECONNREFUSED=1), EndReason.COMPLETED, [], "failed", "1 of 100 hits failed"),
    (
        "retries that met the target's failures",
        Totals.merged([counted(0, replaced=10, EADDRNOTAVAIL=10), counted(90, ECONNREFUSED=10)]),
        EndReason.COMPLETED,
        [],
        "failed",
        "10 of 100 hits failed",
    ),
    (
        "retries that went well",
        counted(100, replaced=10, EADDRNOTAVAIL=10),
        EndReason.COMPLETED,
        [],
        "inconclusive",
        "no local port was left for 10 of its hits",
    ),
    ("a threshold that only they missed", counted(90, EMFILE=10), EndReason.COMPLETED, [MISSED], "inconclusive", "no file descriptor"),
    ("a budget that they used up", counted(90, EMFILE=10), EndReason.BUDGET, [], "inconclusive", "no file descriptor"),
    ("a budget that the target used up", counted(80, ECONNREFUSED=20), EndReason.BUDGET, [], "failed", "the budget"),
]


@pytest.mark.parametrize(("what", "totals", "reason", "thresholds", "kind", "said"), OWN, ids=[row[0] for row in OWN])
def test_what_the_generator_ran_out_of_is_no_failure_of_the_target(
    what: str, totals: Totals, reason: EndReason, thresholds: list[ThresholdResult], kind: str, said: str
) -> None:
    verdict = judge(totals, replace(DONE, reason=reason, message="the budget"), [CALM], max_failure_rate=0.0, thresholds=thresholds)
    assert verdict.kind == kind
    assert said in " ".join(verdict.reasons)


def test_words_of_an_answer_are_not_taken_for_it() -> None:
    totals = counted(90, ECONNREFUSED=10)
    totals.errors = {(A, ErrorText(Outcome.ASSERTION, "body contains 'Too many open files'")): ErrorCount(10, 0.0, 1.0)}
    assert judge(totals, DONE, [CALM], max_failure_rate=0.0).kind == "failed"
