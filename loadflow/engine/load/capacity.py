"""LD_find_capacity: probe after probe, each a run, until it is known how much the target can bear. Finished probes are the only state."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import NormalDist
from typing import cast

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.history.capacity import Found, Limit, Probe, Search, Wanted, next_probe, usl_of
from loadflow.engine.history.capacity_result import CapacityResult, ForecastJson, MeasuredJson, ProbeJson, UslJson
from loadflow.engine.history.comparing import share_of
from loadflow.engine.history.forecast import forecast_of
from loadflow.engine.load.build import build_plan
from loadflow.engine.load.kept_search import KeptSearch
from loadflow.engine.load.made_of import load_digest
from loadflow.engine.load.start import start_test
from loadflow.engine.load_test.populations import refuse_populations
from loadflow.engine.records.blocks import spreads, student_t
from loadflow.engine.records.generator import generator_limited
from loadflow.engine.records.run import Run
from loadflow.engine.records.sample import LEAST_BLOCK_S, influence, too_short
from loadflow.engine.records.threshold import Expression, parse_expression
from loadflow.engine.reports.capacity_page import write_capacity_page
from loadflow.engine.session.session import Session, current_session, use_session
from loadflow.errors import CommandError, Mistake, RunError

__all__ = ["FORMAT", "find_capacity", "grows", "share_over"]

FORMAT, VERSION = "loadflow-capacity", 1
LABEL = "capacity"
Floats = npt.NDArray[np.float64]
OWN_KEYS = ("rate", "user_count", "spawn_rate", "test_time", "iterations", "load_shape", "shape_config", "stop_when", "thresholds", "label")
MOST_DROPPED = 0.01  # of the passes of a probe
STORM = "50%"  # of the hits of a probe that fail: it goes on no longer
STORM_AFTER_S = 5.0
GROWS = 4.0  # standard errors by which the number in flight must grow to call it growing
GROWTH_DAYS = 30  # in which a peak grows by `peak_growth`
WARM_UP = 6  # the first of so many parts of a probe
LONGEST_WAIT_S = 2.0  # for which room in flight is made


def find_capacity(
    test: JsonMapping,
    limits: Sequence[str],
    start: float = 50.0,
    at_most: float = 2_000.0,
    precision: float | str = "5%",
    budget: float = 1_800.0,
    probe: float = 60.0,
    peak: float | None = None,
    peak_growth: float | str = 0.0,
    label: str = "",
) -> CapacityResult:
    """The highest rate at which all `limits` hold, with its 95 % interval. `test`: arguments of LD_start_test without a rate.

    The probes stand in capacity-LABEL.ndjson in the folder of the runs; a search that was cut off goes on with those it has. With enough
    searches of the same load before it, the result has a forecast, and when it meets `peak`, which grows by `peak_growth` in 30 days.
    Raises CommandError before anything is sent; Interrupted when an observer asked for the end.
    """
    refuse_populations(test, "a search for capacity")
    expressions = _expressions(limits)
    search = Search(
        tuple(Limit(one.text, _allowed(one)) for one in expressions),
        start,
        _capped(at_most),
        share_of("precision", precision),
        budget,
        probe,
        max(5.0, probe / 3),
    )
    growth = share_of("peak_growth", peak_growth)
    session = current_session()
    plain = {key: value for key, value in test.items() if key not in OWN_KEYS}
    name = label or str(test.get("label") or session.label or session.name)
    if session.rehearsing:
        start_test(**{**plain, "rate": start, "test_time": search.bracket_s})
        return {}
    kept = KeptSearch(session.runs_dir, name, *_digests(session, plain, search))
    apart = session.apart()
    with use_session(apart):
        while isinstance(wanted := next_probe(kept.probes, search), Wanted):
            kept.add(_made(apart, plain, name, wanted, expressions))
    result = _result(kept.probes, wanted, name)
    kept.end(result)
    forecast = forecast_of(kept.measured(), peak, (1 + growth) ** (1 / GROWTH_DAYS) - 1)
    result["searches"] = [cast(MeasuredJson, asdict(one)) for one in kept.measured()]
    result["forecast"] = cast(ForecastJson, asdict(forecast)) if forecast else None
    result["page"] = str(write_capacity_page(result, kept.path.with_suffix(".html")))
    for observer in session.observers:
        observer.judged(result)
    return result


def _digests(session: Session, plain: Mapping[str, object], search: Search) -> tuple[str, str]:
    """Of this search, and of all searches whose capacities can be held against it: those of other builds, too."""
    arguments = {**plain, "rate": search.start_per_s, "test_time": search.fit_s}
    plan = build_plan(arguments, session.variables, session.environment, session.target, session.secret, workers=session.workers).plan
    limits = sorted(one.text for one in search.limits)
    asked = json.dumps([load_digest(session, plan, plain)[0], asdict(search)])
    alike = json.dumps([load_digest(session, plan, plain, with_build=False)[0], limits])
    digests = (hashlib.sha256(one.encode()).hexdigest() for one in (asked, alike))
    return next(digests), next(digests)


def _expressions(limits: Sequence[str]) -> list[Expression]:
    found, mistakes = [], []
    for position, text in enumerate(limits):
        try:
            one = parse_expression(text)
        except ValueError as error:
            mistakes.append(Mistake(f"limits[{position}]", *error.args))
            continue
        if not one.is_upper or (one.metric != "failure_rate" and (one.q is None or one.q >= 1)):
            mistakes.append(
                Mistake(f"limits[{position}]", f"{text!r} is no limit of a capacity", "write p99 < 500 ms, or failure_rate < 1%")
            )
        found.append(one)
    if mistakes or not found:
        raise CommandError(mistakes or [Mistake("limits", "names no limit", 'write for example ["p99 < 500 ms", "failure_rate < 1%"]')])
    return found


def _allowed(one: Expression) -> float:
    return one.limit if one.q is None else 1 - one.q


def _capped(at_most: float) -> float:
    cap = current_session().target.max_rate_per_s
    return at_most if cap is None else min(at_most, cap)


def _made(session: Session, plain: JsonMapping, name: str, wanted: Wanted, expressions: Sequence[Expression]) -> Probe:
    """One load, and what it says of the limits."""
    rate = round(wanted.rate_per_s, 3)
    longest_s = max([one.limit / 1e3 for one in expressions if one.q is not None], default=LONGEST_WAIT_S)
    dropped = max(1, math.ceil(MOST_DROPPED * rate * wanted.seconds))
    arguments = {
        "max_in_flight": max(50, math.ceil(2 * rate * max(longest_s, LONGEST_WAIT_S))),
        "max_lateness": max(longest_s, LONGEST_WAIT_S),
        **plain,
        "rate": {"mode": "constant", "rps": rate, "spacing": "poisson"},
        "test_time": wanted.seconds,
        "label": f"{name}-{LABEL}",
        "max_failure_rate": 1.0,
        "thresholds": [
            {"expr": f"dropped < {dropped + 1}", "abort_on_fail": True, "abort_delay": STORM_AFTER_S},
            {"expr": f"failure_rate < {STORM}", "abort_on_fail": True, "abort_delay": STORM_AFTER_S},
        ],
    }
    start_test(**arguments)
    return _probe_of(session.all_runs[-1], wanted, expressions)


def _probe_of(run: Run, wanted: Wanted, expressions: Sequence[Expression]) -> Probe:
    totals, health = run.totals(), run.health()
    overall = totals.overall()
    times = overall.response()
    if times.count == 0:
        raise RunError(f"a probe of {wanted.rate_per_s:.4g}/s recorded no hit; see {run.folder}")
    void = generator_limited(health, totals, run.ceiling, run.lag_limit_ms)
    cut_short = run.load_s < 0.95 * wanted.seconds
    in_flight = [one.in_flight for one in health[: int(run.load_s)]]
    growing = grows(in_flight)
    unsent = totals.passes.achieved < 1 - MOST_DROPPED
    why = ""
    if cut_short:
        why = "ended early: too many passes dropped, or hits failed"
    elif growing:
        why = "the number in flight grew to the end"
    elif unsent:
        why = f"only {totals.passes.achieved:.1%} of the due passes were sent"
    return Probe(
        wanted.step,
        wanted.rate_per_s,
        run.load_s,
        {one.text: _over(run, one) for one in expressions},
        sustained=not why,
        void=bool(void) and not cut_short and not growing,  # what was not sent may be the generator's doing
        why=why or void,
        run=run.facts.id,
        achieved_per_s=times.count / run.load_s if run.load_s > 0 else 0.0,
        mean_ms=times.mean_ns / 1e6,
        p99_ms=times.quantile_ns(0.99) / 1e6,
    )


def grows(in_flight: Sequence[float]) -> bool:
    """Whether the number in flight grows over all of the last two thirds: by more than chance, and by half of what there is on average."""
    rest = np.asarray(in_flight[len(in_flight) // 3 :], dtype=float)
    if len(rest) < 6:
        return False
    seconds = np.arange(len(rest)) - (len(rest) - 1) / 2
    slope = float(seconds @ rest) / float(seconds @ seconds)
    off = rest - rest.mean() - slope * seconds
    error = math.sqrt(float(off @ off) / (len(rest) - 2) / float(seconds @ seconds))
    return slope > GROWS * error and slope * len(rest) > max(5.0, float(rest.mean()) / 2)


def _over(run: Run, one: Expression) -> tuple[float, float]:
    """The share of hits over a limit, and how many independent hits would say as much."""
    rows = [row for row in run.seconds() if row.second < run.load_s]
    hits = np.array([row.succeeded.count + row.failed.count for row in rows], dtype=float)
    if one.q is None:
        over = np.array([row.failed.count for row in rows], dtype=float)
    else:
        over = np.array([row.succeeded.above(one.limit * 1e6) + row.failed.above(one.limit * 1e6) for row in rows], dtype=float)
    return share_over(hits, over)


def share_over(hits: Floats, over: Floats) -> tuple[float, float]:
    """The share of hits over a limit, by the hits that ended in each second and those of them over it; and how many independent hits would
    say as much. The first seconds are left out: a queue that is still filling up shows times that are too short."""
    from_s = len(hits) // WARM_UP
    hits, over = hits[from_s:], over[from_s:]
    count = float(hits.sum())
    share = float(over.sum()) / count if count else 1.0
    if count == 0 or share in (0.0, 1.0):
        return share, count
    if too_short(len(hits)):
        return share, count / 10  # nothing is known of how alike they are: a queue's hits are
    errors, freedoms = spreads(influence(over[None], hits[None]), least=LEAST_BLOCK_S)
    error = float(errors[0]) * student_t(0.975, float(freedoms[0])) / NormalDist().inv_cdf(0.975)  # few clusters know little of their error
    return share, max(1.0, min(count, share * (1 - share) / max(error**2, 1e-18)))


def _result(probes: Sequence[Probe], found: Found, name: str) -> CapacityResult:
    kept = [one for one in probes if one.sustained and not one.void]
    usl = usl_of([one.achieved_per_s * one.mean_ms / 1e3 for one in kept], [one.achieved_per_s for one in kept])
    verdict = "at least" if found.at_least else "unclear" if found.why else "found"
    return {
        "format": FORMAT,
        "version": VERSION,
        "verdict": verdict,
        "label": name,
        "at": time.time(),
        "capacity_per_s": found.capacity_per_s,
        "low": found.low,
        "high": found.high if math.isfinite(found.high) else None,
        "limit": found.limit,
        "at_least": found.at_least,
        "confirmed": found.confirmed,
        "why": found.why,
        "curve": {text: list(line) for text, line in found.curve.items()},
        "usl": cast(UslJson, asdict(usl)) if usl else None,
        "probes": [cast(ProbeJson, asdict(one)) for one in probes],
    }
