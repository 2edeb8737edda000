"""From counts to a verdict and warnings: pure, and the only place that judges a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loadflow.engine.base.counted import counted
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.machine.calibration import Ceiling
from loadflow.engine.plan.pace import LATE_NS
from loadflow.engine.records.generator import (
    BUSY_CPU,
    LAG_LIMIT_MS,
    NEAR_CEILING,
    busy_share,
    exhausted,
    generator_limited,
    own_failures,
    share_of,
)
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import OTHER
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.threshold import SHORTEST_RATE_S, ThresholdResult, ThresholdState
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["EndReason", "RunEnd", "Warning_", "asked_too_much", "ceiling_warnings", "deciding", "judge", "too_many_failed", "warnings_of"]

MUCH_OF_CEILING = 0.7  # to ask for more is worth a word: steps that do more than those of the calibration cost more
RATE_TOLERANCE = 0.01  # share of the passes that were due which may be missing, where the script says nothing else
CUT_OFF_SHARE = 0.1  # more passes than that, of those that began, cut off by the end are worth a word
LATE_SHARE = 0.01  # more late hits than that are worth a word
NS_PER_MS = 1e6
WAYS_OUT = "Use more threads or processes, up to one per core; the native core where Locust makes the load; or more machines."
FEW_HITS = 100  # a p99 of fewer hits is one hit's luck


class EndReason(StrEnum):
    COMPLETED = "completed"  # the load ran as long as planned
    PRECISE = "precise enough"  # ended early because its numbers are known as well as `stop_when` asks
    STOPPED = "stopped"  # ended early on request: Ctrl-C, SIGTERM, a cancelled flow run
    BUDGET = "failure budget"  # ended early because too many hits failed
    CONDITION = "condition"  # ended early by an interlock: a condition of `only_if` did not hold
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
    unreached: Sequence[str] = (),
    paced: bool = True,
    lag_limit_ms: float = LAG_LIMIT_MS,
) -> Verdict:
    """The verdict. Attempts that a retry replaced count neither as hits nor as failures here: the last attempt decides.

    `degraded`: why the load was not the one that was asked for, because workers were missing; "" when it was. `ceiling`: what
    the machine can do, where it was calibrated. `unreached`: what else of the load that was asked for was not there. `paced`: a rate said
    when passes were due; else `passes` are those of `iterations`. `lag_limit_ms`: how late the generator's event loop may be.
    Hits of `on_start` and `on_stop` are held against `max_failure_rate` by themselves.
    Hits that failed because the generator had no port or file descriptor left are none of the target's failures, but a doubt.
    """
    lack, own = exhausted(totals), sum(own_failures(totals).values())
    match end.reason:
        case EndReason.ENGINE_LOST | EndReason.DEADLINE:
            return Verdict(VerdictKind.ERROR, (end.message or f"the engine ended: {end.reason}",))
        case EndReason.BUDGET | EndReason.THRESHOLD:
            if lack and not too_many_failed(totals.load, max_failure_rate, own):
                return Verdict(VerdictKind.INCONCLUSIVE, (lack, end.message))
            return Verdict(VerdictKind.FAILED, (end.message,))
        case EndReason.CONDITION:
            return Verdict(VerdictKind.INCONCLUSIVE, (end.message,))
        case EndReason.STOPPED | EndReason.PARENT_LOST | EndReason.UNKNOWN:
            planned = f" of {end.planned_s:g} s" if end.planned_s else ""
            why = f" ({end.message})" if end.message else ""
            return Verdict(VerdictKind.INTERRUPTED, (f"stopped after {end.ran_s:.1f} s{planned}{why}",))
        case EndReason.COMPLETED | EndReason.PRECISE:
            pass
    hits = sum(deciding(series)[0] for series in totals.load)
    below = _below_rate(totals.passes, rate_tolerance) if paced else _below_iterations(totals.passes, rate_tolerance)
    setup = too_many_failed(totals.setup, max_failure_rate, noun="set-up hit")
    if hits == 0 and setup:
        return Verdict(VerdictKind.FAILED, (setup,))
    if hits == 0:
        return Verdict(VerdictKind.INCONCLUSIVE, tuple(filter(None, ("no hit was recorded, so nothing was tested", below))))
    failed = too_many_failed(totals.load, max_failure_rate, own) or setup
    breached = [one.text for one in thresholds if one.state is ThresholdState.FAILED]
    if failed or (breached and not lack):
        return Verdict(VerdictKind.FAILED, tuple(filter(None, (failed, *breached))))
    unclear = [one.text for one in thresholds if one.state is ThresholdState.INCONCLUSIVE]
    load = (degraded, below, *unreached, _unbalanced(totals.passes))
    generator = (lack, generator_limited(health, totals, ceiling, lag_limit_ms))
    if doubts := tuple(filter(None, (*load, *generator, *breached, *unclear))):
        return Verdict(VerdictKind.INCONCLUSIVE, doubts)
    return Verdict(VerdictKind.PASSED)


def deciding(series: SeriesTotals) -> tuple[int, int]:
    """The hits and failures that count for the verdict: without attempts that a retry replaced."""
    return series.final_hits, series.final_failures


def too_many_failed(series: Iterable[SeriesTotals], max_failure_rate: float, own: int = 0, *, noun: str = "hit") -> str:
    """Why the failures of all `series` together are more than `max_failure_rate` allows; "" if they are not. `own`: failures of loadflow
    itself, not counted.
    """
    counts = [deciding(one) for one in series]
    hits, failures = sum(count[0] for count in counts), max(0, sum(count[1] for count in counts) - own)
    if hits == 0 or failures / hits <= max_failure_rate:
        return ""
    allowed = f"max_failure_rate allows {max_failure_rate:.2%}" if max_failure_rate else "max_failure_rate allows none"
    return f"{failures:,} of {counted(hits, noun)} failed ({failures / hits:.2%}); {allowed}"


def _below_rate(passes: Passes, tolerance: float) -> str:
    if passes.achieved >= 1 - tolerance:
        return ""
    if passes.lost > passes.dropped:
        advice = f"{passes.lost:,} were lost with the process that had them"
    else:
        advice = "raise max_in_flight if the answers were slow, or the throttle if one limited them; else use more `processes`"
    return (
        f"below the rate: {passes.started:,} of {counted(passes.due, 'due pass')} sent ({passes.achieved:.2%}; at least "
        f"{1 - tolerance:.2%} are required), so the measured load is not the load that was asked for; {advice}"
    )


def _below_iterations(passes: Passes, tolerance: float) -> str:
    if passes.achieved >= 1 - tolerance:
        return ""
    return (
        f"fewer passes than iterations: {passes.started:,} of {counted(passes.due, 'pass')} began before the load ended "
        f"({passes.achieved:.2%}; at least "
        f"{1 - tolerance:.2%} are required); use a longer test_time"
    )


def _unbalanced(passes: Passes) -> str:
    if passes.balanced:
        return ""
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in passes.to_json().items())
    return f"the numbers of passes do not add up ({counts}), so some are missing or counted twice; please report it"


def warnings_of(totals: Totals, health: Sequence[Health]) -> tuple[Warning_, ...]:
    """What a reader should know before trusting the numbers."""
    found: list[Warning_] = []
    if busy := busy_share(health):
        found.append(
            Warning_(
                "generator-busy",
                f"The generator used {BUSY_CPU:.0%} or more of a core, or of its CPU quota, in {busy:.0%} of the seconds.",
                "Latencies then include time spent waiting inside the generator: use more processes, fewer users or a wait_time.",
            )
        )
    hits = totals.hits
    if hits and 0 < totals.duration_s < SHORTEST_RATE_S:
        found.append(
            Warning_(
                "short-load",
                f"The load ran for {totals.duration_s:.3g} s, which is too short to measure a rate.",
                f"Hits per second are meaningful from {SHORTEST_RATE_S:g} s on: use a longer test_time.",
            )
        )
    if 0 < hits < FEW_HITS:
        found.append(
            Warning_(
                "few-hits",
                f"Only {counted(hits, 'hit was', 'hits were')} recorded.",
                "High percentiles need more hits: use a longer test_time or more users.",
            )
        )
    found += _pace_warnings(totals)
    if stopped := sum(series.out_of_rows for series in totals.load):
        found.append(
            Warning_(
                "out-of-rows",
                f"{counted(stopped, 'user')} stopped early: a csv source with mode once had no row left.",
                "Each shows as one failed hit under Errors. Add rows to the source, lower `iterations`, or use mode `cycle`.",
            )
        )
    unfinished = sum(count.count for (_, error), count in totals.errors.items() if error.outcome is Outcome.UNFINISHED)
    if unfinished:
        found.append(
            Warning_(
                "unfinished",
                f"{counted(unfinished, 'hit was', 'hits were')} still in flight when drain_time was over, and counted as failed.",
                "Use a longer drain_time, or set a timeout in the steps.",
            )
        )
    retries = sum(series.retries for series in totals.load)
    if retries:
        found.append(
            Warning_(
                "retries",
                f"{counted(retries, 'hit is a retry', 'hits are retries')} of a failed attempt.",
                "Each attempt counts as a request with its own latency. Failures, the failure rate and the verdict count only the last "
                "attempt of each step.",
            )
        )
    own = sum(count.count for (_, error), count in totals.errors.items() if error.outcome is Outcome.ENGINE)
    if own:
        found.append(
            Warning_(
                "engine-errors",
                f"{counted(own, 'hit')} failed inside loadflow itself.",
                "Please report it, with the engine log of the run folder.",
            )
        )
    if any(name.name == OTHER for name in totals.series):
        found.append(
            Warning_(
                "names-capped",
                "The steps made too many different names; further names are counted as (other).",
                "Give each step a fixed `name`.",
            )
        )
    return tuple(found)


def _pace_warnings(totals: Totals) -> Iterable[Warning_]:
    late, hits = sum(series.late for series in totals.load), totals.hits
    if late > LATE_SHARE * hits:
        yield Warning_(
            "late",
            f"{late:,} of {counted(hits, 'hit')} ({late / hits:.2%}) started later than due.",
            "Response times count from when a hit was due, service times from when it was sent. If they differ, the hit waited for a "
            "free user or for the generator. Raise max_in_flight, or use more processes.",
        )
    if dropped := totals.passes.dropped:
        yield Warning_(
            "dropped",
            f"{dropped:,} of {counted(totals.passes.due, 'due pass')} dropped: nothing was sent for them.",
            "They are not part of any latency. With a rate, no user was free in time, or a throttle held them until the end: raise "
            "max_in_flight or "
            "the throttle, or raise max_lateness so that they wait longer. With iterations, use a longer test_time.",
        )
    if (cut := totals.passes.cut_off) > CUT_OFF_SHARE * totals.passes.started:
        yield Warning_(
            "cut-off",
            f"{cut:,} of {counted(totals.passes.started, 'started pass')} cut off before all their steps were made.",
            "Later steps have fewer hits than earlier ones: use a test_time that is much longer than one pass.",
        )
    if lost := totals.passes.lost:
        yield Warning_(
            "lost-passes",
            f"{lost:,} of {counted(totals.passes.due, 'due pass')} lost with the process that had them.",
            "See engine-N.log in the run folder, or what the agents said; what an agent had begun when it was lost is among them.",
        )


def asked_too_much(ceiling: Ceiling | None) -> Warning_ | None:
    """Before the load: a warning about a rate that is too close to this machine's calibrated ceiling."""
    if ceiling is None or ceiling.unused or ceiling.asked_per_s is None or ceiling.asked_per_s <= MUCH_OF_CEILING * ceiling.hits_per_s:
        return None
    return Warning_(
        "rate-near-ceiling",
        f"The rate asks for up to {ceiling.asked_per_s:,.0f} hits/s, {_of_ceiling(ceiling.asked_per_s, ceiling)}.",
        WAYS_OUT,
    )


def ceiling_warnings(ceiling: Ceiling | None, totals: Totals) -> Iterator[Warning_]:
    """Warnings about one run that follow from this machine's calibration."""
    if ceiling is None:
        return
    if ceiling.unused:
        yield Warning_(
            "calibration-unused", f"This machine's calibration was not used: {ceiling.unused}.", "Run `loadflow calibrate` again."
        )
        return
    if asked := asked_too_much(ceiling):
        yield asked
    elif (share := share_of(ceiling, totals)) >= NEAR_CEILING:
        yield Warning_(
            "near-ceiling",
            f"The run made {totals.hits / totals.duration_s:,.0f} hits/s, {_of_ceiling(share * ceiling.hits_per_s, ceiling)}.",
            f"This throughput may be the limit of the generator, not of the target. {WAYS_OUT}",
        )
    if sum(series.late for series in totals.load) > LATE_SHARE * totals.hits:
        own = ceiling.late.p99_ms * NS_PER_MS >= LATE_NS
        yield Warning_(
            "jitter",
            f"When this machine was calibrated ({ceiling.date}), 99 % of the hits of an easy rate started within "
            f"{ceiling.late.p99_ms:g} ms, the latest after {ceiling.late.max_ms:g} ms.",
            "The timers of this machine are that late: use a quieter machine, or one with more cores."
            if own
            else "So the timers are not the reason: hits waited for a free user, or the generator was too busy.",
        )


def _of_ceiling(hits_per_s: float, ceiling: Ceiling) -> str:
    least = "at least " if ceiling.at_least else ""
    return (
        f"{hits_per_s / ceiling.hits_per_s:.0%} of what this machine can make with this number of processes and threads "
        f"({least}{ceiling.hits_per_s:,.0f}/s by the calibration of {ceiling.date})"
    )
