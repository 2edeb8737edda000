"""How far the numbers of a run on disk can be trusted: intervals, steadiness, and what its closed loop hides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loadflow.engine.records.closed_loop import Hidden, hidden_of
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import Warning_
from loadflow.engine.records.kept_seconds import seconds_of_run
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.precision import NO_SECONDS, Precision, precision_of
from loadflow.engine.records.sample import Counted, too_short
from loadflow.engine.records.steadiness import Steadiness, steadiness_of

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["Trust", "trust_of", "trust_warnings"]

HIDES = 1.5  # times the measured p99 from which on what a closed loop hides is worth a warning


@dataclass(frozen=True, slots=True)
class Trust:
    """`steadiness` None: the load is too short to say, has gaps, or changed as it was planned. `hidden` None: a rate decided."""

    precision: Precision
    steadiness: Steadiness | None
    hidden: Hidden | None

    def to_json(self, keys: Mapping[SeriesName, str]) -> dict[str, Any]:
        """`keys`: what each name is called in the summary's `per_name`."""
        steady = self.steadiness
        return {
            "confidence": self.precision.confidence,
            "why": self.precision.why,
            "overall": self.precision.overall.to_json(),
            "per_name": {keys[name]: one.to_json() for name, one in self.precision.names.items() if name in keys},
            "steadiness": {**asdict(steady), "steady": steady.steady} if steady else None,
            "closed_loop": asdict(self.hidden) if self.hidden else None,
        }


def trust_of(run: Run, health: Sequence[Health]) -> Trust | None:
    """Of a run that has ended; None for one that is going on or was cut off. Costs a pass over its hits, once."""
    if not (run.folder / "end.json").exists():
        return None
    totals, duration_s = run.totals(), run.load_s
    why = too_short(int(duration_s))
    seconds = None if why else seconds_of_run(run)
    precision = precision_of(Counted(totals, duration_s, lambda: seconds), why_no_seconds=why or NO_SECONDS)
    ramp_s = _ramp_s(run.facts.plan, health)
    steadiness = steadiness_of(seconds, ramp_s) if seconds is not None and ramp_s is not None else None
    times = totals.overall().response()
    return Trust(precision, steadiness, hidden_of(times, duration_s, health) if run.pace is None and seconds is not None else None)


def _ramp_s(plan: Mapping[str, Any], health: Sequence[Health]) -> int | None:
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
