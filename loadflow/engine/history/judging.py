"""One run against the nights before it: what is worse, since which run, and what would have been seen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadflow.engine.base.files import write_atomically
from loadflow.engine.history.comparing import value_text
from loadflow.engine.history.failures import as_many_by_chance
from loadflow.engine.history.judgement import AboutJudgement, FirstBad, JudgedMetric, JudgedNight, Judgement, LikelyBad
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.history.nights import (
    LEAST_NIGHTS,
    Baseline,
    Found,
    Night,
    NightKind,
    baseline_of,
    detectable,
    judged,
    onset,
)
from loadflow.engine.history.population import JUDGEMENT, METRICS, Accepted, KeptNight, nights_of

__all__ = ["FORMAT", "judge_run", "keep_judgement", "sentences"]

FORMAT, VERSION = "loadflow-judgement", 1
FLOOR_OF_FAILURES = 0.001  # by which the share of failures must be off
FAILURES_BY_CHANCE = 0.001  # share of nights on which as many failures as before may be called worse: those that matter are far beyond
ORDER = (NightKind.WORSE, NightKind.SUSPECT, NightKind.BETTER, NightKind.SAME, NightKind.LEARNING)  # the first that there is counts
BAND = 2.0  # standard deviations to each side, in pictures


@dataclass(frozen=True, slots=True)
class _Split:
    """The nights that nothing was found in, and those since: tonight, and those before it that were called worse."""

    before: Sequence[KeptNight]
    last: Sequence[KeptNight]

    @classmethod
    def of(cls, nights: Sequence[KeptNight]) -> _Split:
        first = len(nights) - 1
        while first > 0 and nights[first - 1].verdict == NightKind.WORSE:
            first -= 1
        return cls([one for one in nights[:first] if one.verdict != NightKind.WORSE], nights[first:])


def judge_run(newest_first: Iterable[KeptRun], run: KeptRun, metrics: Sequence[str], floor: float, since: Accepted | None) -> Judgement:
    """The judgement, as plain JSON values. A run that says nothing (inconclusive, interrupted) has the verdict "learning" and says why.

    `metrics`: of METRICS; the share of failures is judged besides. `floor`: the share from which on a change matters.
    """
    nights = nights_of(newest_first, run, since)
    about: AboutJudgement = {
        "format": FORMAT,
        "version": VERSION,
        "label": run.group,
        "run": run.name,
        "revision": run.facts.revision,
        "floor": floor,
        "since": since.run if since else None,
    }
    if not nights or nights[-1].run.name != run.name:
        why = f"{run.name} is {run.verdict}: its numbers are held against nothing"
        return {**about, "verdict": str(NightKind.LEARNING), "why": why, "nights": [], "metrics": [], "first_bad": None}
    split = _Split.of(nights)
    tests = len(metrics)
    overall = [_metric("", metric, split, [one.values for one in nights], floor, tests) for metric in metrics]
    names = list(_of_names(nights, split, metrics, floor))
    every = [*filter(None, overall), _failures(split), *names]
    kinds = {NightKind(one["verdict"]) for one in every}
    verdict = next(kind for kind in ORDER if kind in kinds)
    return {
        **about,
        "verdict": str(verdict),
        "why": f"learning ({len(split.before)} of {LEAST_NIGHTS} nights)" if verdict is NightKind.LEARNING else "",
        "nights": [_told(one) for one in nights],
        "metrics": every,
        "first_bad": _first_bad(nights, split, every) if verdict is NightKind.WORSE else None,
    }


def keep_judgement(run: KeptRun, judgement: Mapping[str, object]) -> None:
    """In the run's folder: what was called worse is no part of what later nights are held against."""
    if run.folder is not None:
        write_atomically(run.folder / JUDGEMENT, json.dumps(judgement, indent=2, ensure_ascii=False))


def _metric(name: str, metric: str, split: _Split, values: Sequence[Mapping[str, Night]], floor: float, tests: int) -> JudgedMetric | None:
    """`values`: of each night, in the order of `split`; None where tonight has none."""
    if metric not in values[-1]:
        return None
    lasts = values[len(values) - len(split.last) :]
    kept = [one for one, night in zip(values, [*_all(split)], strict=True) if night in split.before]
    before, last = ([one[metric] for one in part if metric in one] for part in (kept, lasts))
    found = judged(before, last, floor=floor, sign=METRICS[metric], tests=tests)
    return _numbers(name, metric, found, before, last[-1], tests)


def _all(split: _Split) -> Iterator[KeptNight]:
    yield from split.before
    yield from split.last


def _numbers(name: str, metric: str, found: Found, before: Sequence[Night], tonight: Night, tests: int) -> JudgedMetric:
    baseline = found.baseline
    return {
        "name": name,
        "metric": metric,
        "verdict": str(found.kind),
        "value": math.exp(tonight.y),
        "change": math.expm1(found.change),
        "over_nights": found.nights,
        "by": found.by,
        "usual": _usual(baseline, tonight) if baseline else None,
        "would_be_seen": detectable(baseline, tests=tests) if baseline else None,
    }


def _usual(baseline: Baseline, tonight: Night) -> list[float]:
    """From, middle and to, of nights like tonight."""
    middle = baseline.days[tonight.weekday]
    return [math.exp(middle + factor * BAND * baseline.spread) for factor in (-1, 0, 1)]


def _of_names(nights: Sequence[KeptNight], split: _Split, metrics: Sequence[str], floor: float) -> Iterator[JudgedMetric]:
    """Of the names that enough nights have; with one name alone there is nothing to add."""
    names = [name for name in nights[-1].names if sum(name in one.names for one in split.before) >= LEAST_NIGHTS]
    if len(names) < 2:
        return
    wanted = [one for one in metrics if one != "rate"]
    for name in names:
        values = [one.names.get(name, {}) for one in _all(split)]
        for metric in wanted:
            found = _metric(name, metric, split, values, floor, len(names) * len(wanted))
            if found is not None and found["verdict"] in (NightKind.WORSE, NightKind.BETTER):
                yield found


def _failures(split: _Split) -> JudgedMetric:
    """More failures tonight than chance gives, by the nights before."""
    tonight = split.last[-1]
    share = tonight.failures / tonight.hits
    told: JudgedMetric = {
        "name": "",
        "metric": "failure_rate",
        "verdict": str(NightKind.LEARNING),
        "value": share,
        "change": 0.0,
        "over_nights": 1,
        "by": "",
        "usual": None,
        "would_be_seen": None,
    }
    if len(split.before) < LEAST_NIGHTS:
        return told
    usual = sum(one.failures for one in split.before) / sum(one.hits for one in split.before)
    counts = [(one.effective, one.failures / one.hits * one.effective) for one in split.before]
    chance = as_many_by_chance(counts, tonight.effective, share * tonight.effective)
    worse = chance < FAILURES_BY_CHANCE and share - usual > FLOOR_OF_FAILURES
    kind = NightKind.WORSE if worse else NightKind.SAME
    by = f"by chance: {chance:.2g}" if worse else ""
    return {**told, "verdict": str(kind), "change": share - usual, "by": by, "usual": [0.0, usual, usual]}


def _first_bad(nights: Sequence[KeptNight], split: _Split, found: Sequence[JudgedMetric]) -> FirstBad | None:
    """Which run was the first bad one, by the number that is off the most; None where only failures are."""
    worse = [one for one in found if one["verdict"] == NightKind.WORSE and one["metric"] in METRICS]
    if not worse:
        return None
    most = max(worse, key=lambda one: abs(one["change"]))
    every = list(_all(split))
    values = [(one, (one.names.get(most["name"], {}) if most["name"] else one.values).get(most["metric"])) for one in every]
    there = [(one, value) for one, value in values if value is not None]
    older = [value for one, value in there[: len(there) - most["over_nights"]]][-len(split.before) :]
    likely = onset([value for _, value in there], baseline_of(older or [value for _, value in there]))
    runs: list[LikelyBad] = [
        {"run": there[-1 - back][0].run.name, "revision": there[-1 - back][0].run.facts.revision, "probability": p} for back, p in likely
    ]
    return {**runs[0], "metric": most["metric"], "name": most["name"], "among": runs}


def _told(night: KeptNight) -> JudgedNight:
    values = {metric: math.exp(one.y) for metric, one in night.values.items()}
    facts = night.run.facts
    return {
        "run": night.run.name,
        "started_unix_s": facts.started_unix_s,
        "revision": facts.revision,
        "verdict": night.verdict,
        "failure_rate": night.failures / night.hits,
        **values,
    }


def sentences(judgement: Judgement) -> list[str]:
    """What a person reads, the most important first."""
    if judgement["why"]:
        return [f"{judgement['why']}."]
    said = []
    for one in judgement["metrics"]:
        if one["verdict"] in (NightKind.WORSE, NightKind.BETTER, NightKind.SUSPECT):
            said.append(_sentence(one))
    if first := judgement["first_bad"]:
        revision = f", revision {first['revision']}" if first["revision"] else ""
        said.append(f"The first bad run is {first['run']}{revision}, with a probability of {first['probability']:.0%}.")
    p = next((one for one in judgement["metrics"] if one["would_be_seen"] is not None), None)
    if not said:
        said.append("Nothing is worse than on the nights before.")
    if p is not None:
        said.append(f"A rise of the {p['metric']} by {p['would_be_seen']:.1%} would be seen within three nights, nine times in ten.")
    return said


def _sentence(one: JudgedMetric) -> str:
    of = f" of {one['name']}" if one["name"] else ""
    usual = f", usually {value_text(one['metric'], one['usual'][1])}" if one["usual"] else ""
    if one["metric"] == "failure_rate":
        return f"failure_rate is worse: {value_text('failure_rate', one['value'])}{usual} ({one['by']})."
    by = f" ({one['by']})" if one["by"] else " (one night decides nothing)"
    return f"{one['metric']}{of} is {one['verdict']}: {one['change']:+.1%}, tonight {value_text(one['metric'], one['value'])}{usual}{by}."
