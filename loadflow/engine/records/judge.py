"""From counts to a verdict and warnings: pure, and the only place that judges a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from loadflow.engine.calibration.value import Ceiling
from loadflow.engine.plan.pace import LATE_NS
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import OTHER
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.threshold import ThresholdResult, ThresholdState
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.verdict import Verdict, VerdictKind

__all__ = ["EndReason", "RunEnd", "Warning_", "asked_too_much", "ceiling_warnings", "deciding", "judge", "too_many_failed", "warnings_of"]

# The generator's own limits. Above them the latencies are, to a large part, the generator's own queueing.
BUSY_CPU = 0.9  # share of one core
BUSY_SHARE = 0.2  # share of the run's seconds that may be busy
LAG_LIMIT_MS = 100.0  # 95 % of the seconds must stay below, when the CPU is busy too; a calibrated machine has a limit of its own
NEAR_CEILING = 0.9  # of the hits per second that a calibrated machine can make: more than that is as good as all
MUCH_OF_CEILING = 0.7  # to ask for more is worth a word: steps that do more than those of the calibration cost more
RATE_TOLERANCE = 0.01  # share of the passes that were due which may be missing, where the script says nothing else
LATE_SHARE = 0.01  # more late hits than that are worth a word
NS_PER_MS = 1e6
WAYS_OUT = "Use more threads or processes, up to one per core; the native core where Locust makes the load; or more machines."
FEW_HITS = 100  # a p99 of fewer hits is one hit's luck


class EndReason(StrEnum):
    COMPLETED = "completed"  # the load ran as long as planned
    STOPPED = "stopped"  # ended early on request: Ctrl-C, SIGTERM, a cancelled flow run
    BUDGET = "failure budget"  # ended early because too many hits failed
    THRESHOLD = "threshold"  # ended early because a threshold failed that says so
    PARENT_LOST = "parent lost"  # the process that started the load is gone
    DEADLINE = "deadline"  # the supervisor's deadline passed and the engine was ended
    ENGINE_LOST = "engine lost"  # the engine process died, or the supervisor
    UNKNOWN = "unknown"  # the folder has no end: cut off


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How the engine's side of a run ended; `message` says more, e.g. the signal that killed the engine."""

    reason: EndReason
    message: str = ""
    planned_s: float | None = None
    ran_s: float = 0.0  # from the run's start to the end of the load


@dataclass(frozen=True, slots=True)
class Warning_:
    """A doubt about the numbers, with what to do about it."""

    code: str
    message: str
    advice: str


def judge(
    totals: Totals,
    end: RunEnd,
    health: Sequence[Health],
    *,
    max_failure_rate: float,
    rate_tolerance: float = RATE_TOLERANCE,
    thresholds: Sequence[ThresholdResult] = (),
    degraded: str = "",
    ceiling: Ceiling | None = None,
) -> Verdict:
    """The verdict. Attempts that a retry replaced count neither as hits nor as failures here: the last attempt decides.

    `degraded`: why the load was not the one that was asked for, because workers were missing; "" when it was. `ceiling`: what
    the machine can do, where it was calibrated.
    """
    match end.reason:
        case EndReason.ENGINE_LOST | EndReason.DEADLINE:
            return Verdict(VerdictKind.ERROR, (end.message or f"the engine ended: {end.reason}",))
        case EndReason.BUDGET | EndReason.THRESHOLD:
            return Verdict(VerdictKind.FAILED, (end.message,))
        case EndReason.STOPPED | EndReason.PARENT_LOST | EndReason.UNKNOWN:
            planned = f" of {end.planned_s:g} s" if end.planned_s else ""
            why = f" ({end.message})" if end.message else ""
            return Verdict(VerdictKind.INTERRUPTED, (f"stopped after {end.ran_s:.1f} s{planned}{why}",))
        case EndReason.COMPLETED:
            pass
    hits = sum(deciding(series)[0] for series in totals.series.values())
    below = _below_rate(totals.passes, rate_tolerance)
    if hits == 0:
        return Verdict(VerdictKind.INCONCLUSIVE, tuple(filter(None, ("no hit was recorded, so nothing was tested", below))))
    failed = too_many_failed(totals.series.values(), max_failure_rate)
    breached = [one.text for one in thresholds if one.state is ThresholdState.FAILED]
    if failed or breached:
        return Verdict(VerdictKind.FAILED, tuple(filter(None, (failed, *breached))))
    unclear = [one.text for one in thresholds if one.state is ThresholdState.INCONCLUSIVE]
    if doubts := tuple(filter(None, (degraded, below, _generator_limited(health, totals, ceiling), *unclear))):
        return Verdict(VerdictKind.INCONCLUSIVE, doubts)
    return Verdict(VerdictKind.PASSED)


def deciding(series: SeriesTotals) -> tuple[int, int]:
    """The hits and failures that count for the verdict: without attempts that a retry replaced."""
    return series.hits - series.superseded, series.failures - series.superseded_failed


def too_many_failed(series: Iterable[SeriesTotals], max_failure_rate: float) -> str:
    """Why so many failures, of all `series` together, are more than is allowed; "" when they are not."""
    counts = [deciding(one) for one in series]
    hits, failures = sum(count[0] for count in counts), sum(count[1] for count in counts)
    if hits == 0 or failures / hits <= max_failure_rate:
        return ""
    allowed = f"{max_failure_rate:.2%} may" if max_failure_rate else "none may"
    return f"{failures:,} of {hits:,} hits failed ({failures / hits:.2%}); {allowed}"


def _below_rate(passes: Passes, tolerance: float) -> str:
    if passes.achieved >= 1 - tolerance:
        return ""
    return (
        f"below the rate: {passes.started:,} of {passes.due:,} passes that were due could start ({passes.achieved:.2%}; at least "
        f"{1 - tolerance:.2%} must), so what was measured is not the load that was asked for; raise max_in_flight if the answers were "
        f"slow, else use more `processes`"
    )


def _generator_limited(health: Sequence[Health], totals: Totals, ceiling: Ceiling | None) -> str:
    if not health:
        return ""
    ceiling = None if ceiling is None or ceiling.unused else ceiling
    busy = sum(one.cpu >= BUSY_CPU for one in health) / len(health)
    lag = float(np.quantile([one.lag_ms for one in health], 0.95))
    limit, by = (LAG_LIMIT_MS, "") if ceiling is None else (ceiling.lag_limit_ms, f" by the calibration of {ceiling.date}")
    share = _share_of(ceiling, totals)
    if lag <= limit or (busy <= BUSY_SHARE and share < NEAR_CEILING):
        return ""
    if busy > BUSY_SHARE:
        did = f"its CPU was at {BUSY_CPU:.0%} or more in {busy:.0%} of the seconds"
    else:
        did = f"it made {share:.0%} of the hits per second that this machine can make"
    return (
        f"generator-limited: {did} and its event loop {lag:.0f} ms late (limit {limit:.0f} ms{by}); "
        f"use more `processes`, fewer users or a wait_time"
    )


def _share_of(ceiling: Ceiling | None, totals: Totals) -> float:
    """How much of a known ceiling was reached; 0.0 where none is: what a busy machine made may not have been all."""
    if ceiling is None or ceiling.at_least or totals.duration_s <= 0:
        return 0.0
    return totals.hits / totals.duration_s / ceiling.hits_per_s


def warnings_of(totals: Totals, health: Sequence[Health]) -> tuple[Warning_, ...]:
    """What a careful reader should know before believing the numbers."""
    found: list[Warning_] = []
    if health:
        busy = sum(one.cpu >= BUSY_CPU for one in health) / len(health)
        if busy > BUSY_SHARE:
            found.append(
                Warning_(
                    "generator-busy",
                    f"The generator used {BUSY_CPU:.0%} or more of a core in {busy:.0%} of the seconds.",
                    "Latencies then include waiting inside the generator: use more processes, fewer users or a wait_time.",
                )
            )
    hits = totals.hits
    if 0 < hits < FEW_HITS:
        found.append(
            Warning_(
                "few-hits", f"Only {hits} hits were recorded.", "High percentiles of so few hits say little: run longer or with more users."
            )
        )
    found += _pace_warnings(totals)
    if stopped := sum(series.out_of_rows for series in totals.series.values()):
        found.append(
            Warning_(
                "out-of-rows",
                f"{stopped:,} {'user' if stopped == 1 else 'users'} stopped early: a csv source with mode once had no row left.",
                "Each has one failed hit for it, under errors. Give the source more rows, fewer iterations to the users, or mode cycle.",
            )
        )
    unfinished = sum(count.count for (_, error), count in totals.errors.items() if error.outcome is Outcome.UNFINISHED)
    if unfinished:
        found.append(
            Warning_(
                "unfinished",
                f"{unfinished:,} hits were still in flight when the drain at the end was over; they count as failed.",
                "Give a longer drain_time, or a timeout per step.",
            )
        )
    retries = sum(series.retries for series in totals.series.values())
    if retries:
        found.append(
            Warning_(
                "retries",
                f"{retries:,} {'hit is a retry' if retries == 1 else 'hits are retries'} of a failed attempt.",
                "Each attempt is counted; only the last one decides the verdict.",
            )
        )
    own = sum(count.count for (_, error), count in totals.errors.items() if error.outcome is Outcome.ENGINE)
    if own:
        found.append(
            Warning_(
                "engine-errors", f"{own:,} hits failed inside loadflow itself.", "Please report it, with the engine log of the run folder."
            )
        )
    if any(name.name == OTHER for name in totals.series):
        found.append(
            Warning_(
                "names-capped", "More names were used than are kept apart; the rest is counted as (other).", "Give the steps a fixed name."
            )
        )
    return tuple(found)


def _pace_warnings(totals: Totals) -> Iterable[Warning_]:
    late, hits = sum(series.late for series in totals.series.values()), totals.hits
    if late > LATE_SHARE * hits:
        yield Warning_(
            "late",
            f"{late:,} of {hits:,} hits ({late / hits:.2%}) started later than they were due.",
            "Response times count from when a hit was due, service times from when it was sent: where they differ, the hit waited for a "
            "free user or for the generator. Raise max_in_flight, or use more processes.",
        )
    if dropped := totals.passes.dropped:
        yield Warning_(
            "dropped",
            f"{dropped:,} of {totals.passes.due:,} passes that were due were dropped: no user was free in time.",
            "They are in no latency: raise max_in_flight, or max_lateness so that they wait.",
        )


def asked_too_much(ceiling: Ceiling | None) -> Warning_ | None:
    """Known before the load: a rate that comes too near to what the machine can make, with which a run may go wrong."""
    if ceiling is None or ceiling.unused or ceiling.asked_per_s is None or ceiling.asked_per_s <= MUCH_OF_CEILING * ceiling.hits_per_s:
        return None
    return Warning_(
        "rate-near-ceiling",
        f"Up to {ceiling.asked_per_s:,.0f} hits/s are asked for, {_of_ceiling(ceiling.asked_per_s, ceiling)}.",
        WAYS_OUT,
    )


def ceiling_warnings(ceiling: Ceiling | None, totals: Totals) -> Iterator[Warning_]:
    """What the machine's calibration has to say of one run."""
    if ceiling is None:
        return
    if ceiling.unused:
        yield Warning_(
            "calibration-unused", f"This machine's calibration was not used: {ceiling.unused}.", "Run `loadflow calibrate` again."
        )
        return
    if asked := asked_too_much(ceiling):
        yield asked
    elif (share := _share_of(ceiling, totals)) >= NEAR_CEILING:
        yield Warning_(
            "near-ceiling",
            f"{totals.hits / totals.duration_s:,.0f} hits/s were made, {_of_ceiling(share * ceiling.hits_per_s, ceiling)}.",
            f"This throughput may be the generator's, not the target's. {WAYS_OUT}",
        )
    if sum(series.late for series in totals.series.values()) > LATE_SHARE * totals.hits:
        own = ceiling.late.p99_ms * NS_PER_MS >= LATE_NS
        yield Warning_(
            "jitter",
            f"When this machine was calibrated ({ceiling.date}), 99 % of the hits of an easy rate started within "
            f"{ceiling.late.p99_ms:g} ms, the latest after {ceiling.late.max_ms:g} ms.",
            "So late are its own timers: use a quieter machine, or one with more cores."
            if own
            else "So it is not its timers that were late: hits waited for a free user, or the generator had too much to do.",
        )


def _of_ceiling(hits_per_s: float, ceiling: Ceiling) -> str:
    least = "at least " if ceiling.at_least else ""
    return (
        f"{hits_per_s / ceiling.hits_per_s:.0%} of what this machine can make with so many processes and threads "
        f"({least}{ceiling.hits_per_s:,.0f}/s by the calibration of {ceiling.date})"
    )
