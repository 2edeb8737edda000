"""How far the numbers of a run on disk can be trusted: intervals, steadiness, and what its closed loop hides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.machine.calibration import HTTP_USERS
from loadflow.engine.records.books import Books, Ours, books_of, ours_of
from loadflow.engine.records.closed_loop import Hidden, hidden_of
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import EndReason, Warning_
from loadflow.engine.records.kept_seconds import seconds_of_run
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.precision import NO_SECONDS, Precision, precision_of
from loadflow.engine.records.sample import Counted, too_short
from loadflow.engine.records.seconds import SecondCounts
from loadflow.engine.records.steadiness import Steadiness, steadiness_of

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["Stop", "Trust", "steady_from_s", "trust_of", "trust_warnings"]

OURS = 0.2  # of the p99 that may be the generator's own without a word
HIDES = 1.5  # times the measured p99 from which on what a closed loop hides is worth a warning


@dataclass(frozen=True, slots=True)
class Stop:
    """Whether `stop_when` was met, and what its last look found."""

    met: bool
    said: str


@dataclass(frozen=True, slots=True)
class Trust:
    """`steadiness` None: the load is too short to say, has gaps, or changed as it was planned. `hidden` None: a rate decided.

    `books` None: too short, too few in flight, or users that are not HTTP's; `ours` None: the machine was not calibrated for such a load;
    `stop` None: nothing was asked by `stop_when`.
    """

    precision: Precision
    steadiness: Steadiness | None
    hidden: Hidden | None
    books: Books | None = None
    ours: Ours | None = None
    stop: Stop | None = None

    def to_json(self, keys: Mapping[SeriesName, str]) -> JsonObject:
        """`keys`: what each name is called in the summary's `per_name`."""
        steady = self.steadiness
        return {
            "confidence": self.precision.confidence,
            "why": self.precision.why,
            "overall": self.precision.overall.to_json(),
            "per_name": {keys[name]: one.to_json() for name, one in self.precision.names.items() if name in keys},
            "steadiness": {**asdict(steady), "steady": steady.steady} if steady else None,
            "closed_loop": asdict(self.hidden) if self.hidden else None,
            "littles_law": {**asdict(self.books), "off": self.books.off} if self.books else None,
            "generators_share": asdict(self.ours) if self.ours else None,
            "stop_when": asdict(self.stop) if self.stop else None,
        }


def trust_of(run: Run, health: Sequence[Health]) -> Trust | None:
    """Of a run that has ended; None for one that is going on or was cut off. Costs a pass over its hits, once."""
    if not (run.folder / "end.json").exists():
        return None
    totals, duration_s = run.totals(), run.load_s
    why = too_short(int(duration_s))
    seconds = None if why else seconds_of_run(run)
    precision = precision_of(Counted(totals, duration_s, lambda: seconds), why_no_seconds=why or NO_SECONDS)
    everything = totals.overall()
    times = everything.response()
    return Trust(
        precision,
        _steadiness(run, seconds, health),
        hidden_of(times, duration_s, health) if run.pace is None and seconds is not None else None,
        books_of(seconds, health, run.shards) if seconds is not None and run.facts.protocol in HTTP_USERS else None,
        ours_of(run.ceiling, times, everything.service),
        _stop(run),
    )


def steady_from_s(run: Run, health: Sequence[Health]) -> float | None:
    """The second from which on the load is past its ramp and its warm-up; None where that can't be said."""
    seconds = None if too_short(int(run.load_s)) else seconds_of_run(run)
    found = _steadiness(run, seconds, health)
    return found.from_s if found else None


def _steadiness(run: Run, seconds: SecondCounts | None, health: Sequence[Health]) -> Steadiness | None:
    ramp_s = _ramp_s(run.facts.plan, health)
    return steadiness_of(seconds, ramp_s, paced=run.pace is not None) if seconds is not None and ramp_s is not None else None


def _stop(run: Run) -> Stop | None:
    end = run.end()
    if run.stop_when is None or end.reason not in (EndReason.COMPLETED, EndReason.PRECISE):
        return None
    return Stop(end.reason is EndReason.PRECISE, end.message)


def _ramp_s(plan: JsonMapping, health: Sequence[Health]) -> int | None:
    """The second from which on the plan asks for the same load to the end; None where it never does."""
    pace = plan.get("pace")
    if pace:
        rates = {rate for _, begin_per_s, end_per_s in pace["segments"] for rate in (begin_per_s, end_per_s)}
        return 0 if len(rates) == 1 else None
    stages = plan.get("stages") or []
    if len(stages) != 1:
        return None
    wanted = int(stages[0]["users"])
    return next((second for second, one in enumerate(health, start=1) if one.users >= wanted), None)


def trust_warnings(trust: Trust | None, p99_ms: float) -> Iterator[Warning_]:
    if trust is None:
        return
    yield from _doubts(trust)
    steady, hidden = trust.steadiness, trust.hidden
    if steady and steady.warm_up_s:
        yield Warning_(
            "warm-up",
            f"The first {steady.warm_up_s:.0f} s are warm-up: their response times differ from those of the rest.",
            'They are in every number. Give thresholds "phase": "steady" to leave them out, or warm the target up before.',
        )
    if steady and not steady.times_are_steady:
        yield Warning_(
            "not-steady",
            f"Response times were not steady from {steady.from_s:.0f} s to {steady.to_s:.0f} s: {steady.first_ms:.3g} ms on average in the "
            f"first third, {steady.last_ms:.3g} ms in the last.",
            "The target drifts, fills up or changed during the load: look at the course of the run, and run longer.",
        )
    elif steady and not steady.rate_is_steady:
        yield Warning_(
            "not-steady",
            f"The rate was not steady from {steady.from_s:.0f} s to {steady.to_s:.0f} s: {steady.first_per_s:,.4g} requests/s in the first "
            f"third, {steady.last_per_s:,.4g}/s in the last.",
            "The target drifts, fills up or changed during the load: look at the course of the run, and run longer.",
        )
    if hidden and hidden.p99_ms > HIDES * p99_ms:
        yield Warning_(
            "closed-loop",
            f"Users wait for an answer before they ask again, which hides slow times: the p99 is {p99_ms:,.3g} ms, and visitors who do not "
            f"wait would have met about {hidden.p99_ms:,.3g} ms.",
            "Give the load a `rate` to measure what such visitors meet.",
        )


def _doubts(trust: Trust) -> Iterator[Warning_]:
    """About the generator itself, and what it was asked."""
    stop, books, ours = trust.stop, trust.books, trust.ours
    if stop and not stop.met:
        advice = "Let the load go on for longer: raise at_most, or ask for less."
        yield Warning_("not-precise", f"stop_when was not met: {stop.said}.", advice)
    if books and not books.balance:
        yield Warning_(
            "books-do-not-balance",
            f"By their times {books.by_times:,.4g} requests were in flight on average, and the generator counted {books.counted:,.4g} "
            f"({books.off:.1%} apart).",
            "Requests are missing in the records, or times are wrong. Please report it, with the run folder.",
        )
    if ours and ours.share > OURS:
        yield Warning_(
            "generators-share",
            f"Of the p99 of {ours.p99_ms:,.3g} ms up to {ours.ours_ms:,.3g} ms ({ours.share:.0%}) is the generator's own: "
            f"{ours.floor_ms:,.3g} ms against a target that does nothing, {ours.late_ms:,.3g} ms from requests sent late.",
            "Use a quieter machine, or one with more cores, or a lower rate.",
        )
