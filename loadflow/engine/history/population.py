"""The nights of a label: which runs are held against each other, and their numbers, from the summaries that they left."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.history.nights import MOST_NIGHTS, Night
from loadflow.engine.records.evidence import now_text
from loadflow.engine.records.precision import CONFIDENCE
from loadflow.errors import RunError

__all__ = ["ACCEPTED", "JUDGEMENT", "METRICS", "Accepted", "KeptNight", "accept", "accepted_of", "nights_of"]

ACCEPTED, JUDGEMENT = "accepted.ndjson", "judgement.json"
CONCLUSIVE = ("passed", "failed")  # a failed run has numbers all the same
METRICS: Mapping[str, int] = {"p50": 1, "p95": 1, "p99": 1, "mean": 1, "rate": -1}  # +1: more is worse
KEYS = {"p50": "p50_ms", "p95": "p95_ms", "p99": "p99_ms", "mean": "mean_ms"}
NORMAL = 1.96  # of an interval of 95 %
MOST_FOLDERS = 1_000
assert CONFIDENCE == 0.95


@dataclass(frozen=True, slots=True)
class Accepted:
    """From the run `run` on, numbers are what they are meant to be: `why`: in the words of the person who accepted it, `by`."""

    label: str
    run: str
    started_unix_s: float
    why: str
    at: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class KeptNight:
    """One run. `verdict`: what it was judged against the nights before, "" where it was not. `hits` and `failures` are those that decide,
    and `effective` the number of independent hits that would say as much of the failures."""

    run: KeptRun
    verdict: str
    values: Mapping[str, Night]
    names: Mapping[str, Mapping[str, Night]]
    hits: int
    failures: int
    effective: float


def nights_of(newest_first: Iterable[KeptRun], run: KeptRun, since: Accepted | None) -> list[KeptNight]:
    """Those that `run` is held against, oldest first, and it as the last: of its label and fingerprint, conclusive, since the last accepted
    change; the newest 36 that nothing was found in, and those found since. Others that can't be read are passed over."""
    found: list[KeptNight] = []
    for number, other in enumerate(newest_first):
        if number >= MOST_FOLDERS or sum(night.verdict != "worse" for night in found) > MOST_NIGHTS + 6:
            break
        late = other.facts.started_unix_s > run.facts.started_unix_s
        if late or other.group != run.group or other.running or not other.finished:
            continue
        if since is not None and other.facts.started_unix_s < since.started_unix_s:
            break
        if other.is_like(run) and (night := _night(other)) is not None:
            found.append(night)
    return found[::-1]


def _night(run: KeptRun) -> KeptNight | None:
    """None for a run that says nothing."""
    try:
        summary = run.summary_json
    except (OSError, ValueError, RunError):
        return None
    totals = summary["totals"]
    if summary["verdict"]["verdict"] not in CONCLUSIVE or not totals["requests"]:
        return None
    weekday = datetime.fromtimestamp(run.facts.started_unix_s, UTC).weekday()
    precision = summary.get("precision") or {}
    overall = {**summary["latency_overall"], "rate_per_s": totals["rate_per_s"]}
    intervals, of_names = precision.get("overall") or {}, precision.get("per_name") or {}
    decided = totals["requests"] - totals.get("replaced", 0)
    effective = (intervals.get("failure_rate") or {}).get("effective_hits") or decided
    return KeptNight(
        run,
        _judged_before(run),
        _values(overall, intervals, weekday),
        {name: _values(one, of_names.get(name) or {}, weekday) for name, one in summary["per_name"].items()},
        decided,
        totals["failures"],
        min(float(effective), float(decided)),
    )


def _values(figures: JsonMapping, intervals: JsonMapping, weekday: int) -> dict[str, Night]:
    found = {}
    for metric in METRICS:
        value = float(figures.get(KEYS.get(metric, "rate_per_s")) or 0.0)
        if value > 0:
            one = intervals.get(metric) or {}
            width = (one.get("high") or 0.0) - (one.get("low") or 0.0)
            found[metric] = Night(math.log(value), width / 2 / NORMAL / value, weekday)
    return found


def _judged_before(run: KeptRun) -> str:
    if run.folder is None:
        return ""
    try:
        return str(read_json(read_regular(run.folder / JUDGEMENT))["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def accept(runs_dir: Path, run: KeptRun, why: str, by: str = "") -> Accepted:
    """From now on, the label's runs are held against `run` and those after it."""
    one = Accepted(run.group, run.name, run.facts.started_unix_s, why, now_text(), by)
    path = runs_dir / ACCEPTED
    try:
        before = read_regular(path).decode() if path.exists() else ""
        write_atomically(path, before + json.dumps(asdict(one), ensure_ascii=False) + "\n")
    except OSError as error:
        raise RunError(f"{path} can't be written ({error.strerror}); set LOADFLOW_RUNS_DIR to a folder that can be written") from error
    return one


def accepted_of(runs_dir: Path, label: str) -> Accepted | None:
    """The last change of a label that somebody accepted."""
    return max(_accepted(runs_dir, label), key=lambda one: one.started_unix_s, default=None)


def _accepted(runs_dir: Path, label: str) -> Iterator[Accepted]:
    path = runs_dir / ACCEPTED
    if not path.exists():
        return
    for line in read_regular(path).splitlines():
        try:
            one = Accepted(**read_json(line))
        except (ValueError, TypeError):  # a torn line
            continue
        if one.label == label:
            yield one
