"""LD_campaign: one load for each cell of a matrix of scripts, variables, targets and rates. Finished cells are the only state."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.history.campaign_result import CampaignCell, CampaignResult
from loadflow.engine.load.at_once import Todo, in_turn, work_off
from loadflow.engine.load.build import build_plan
from loadflow.engine.load.kept_lines import keep_line, kept_lines
from loadflow.engine.load.load_in_script import load_in
from loadflow.engine.load.made_of import load_digest
from loadflow.engine.load.start import start_test
from loadflow.engine.load_test.populations import refuse_populations
from loadflow.engine.records.run import Run
from loadflow.engine.reports.campaign_page import write_campaign_page
from loadflow.engine.session.checking import Checking
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, current_session, use_session
from loadflow.errors import CommandError, Interrupted, Mistake, RunError, ScriptError, ThresholdsNotMet

__all__ = ["FORMAT", "METRICS", "Cell", "campaign", "cells_of", "with_host"]

FORMAT, VERSION = "loadflow-campaign", 1
METRICS = ("p50", "p95", "p99", "mean", "rate", "failure_rate")
MOST_CELLS = 1_000
MOST_CHARACTERS = 40  # of a value, in the name of a cell
CONCLUSIVE = ("passed", "failed")  # of a cell that is not made again


@dataclass(frozen=True, slots=True)
class Cell:
    """`target` and `script` "", `rate` None: those of the test. `shown`: the values of the variables as texts; of a secret one, which of
    them."""

    variables: JsonMapping
    shown: Mapping[str, str]
    target: str = ""
    rate: float | None = None
    script: str = ""

    @property
    def name(self) -> str:
        values = [f"{name}={text}" for name, text in self.shown.items()]
        rate = f"{self.rate:g}/s" if self.rate is not None else ""
        return " · ".join(filter(None, (self.script, *values, self.target, rate)))

    def arguments(self, test: JsonMapping, label: str) -> JsonObject:
        made: dict[str, object] = {**test, "label": label}
        if self.variables:
            made["variables"] = {**(test.get("variables") or {}), **self.variables}
        if self.target:
            made["host"] = self.target
        if self.rate is not None:
            rate = test.get("rate")
            made["rate"] = {**rate, "rps": self.rate} if isinstance(rate, Mapping) else self.rate
        return made


def _shown(name: str, value: object, number: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    redactor = Redactor()
    if redactor.is_secret(name) or redactor.text(text) != text:
        return f"value {number}"
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def campaign(
    test: Mapping[str, object] = {},
    variables: Mapping[str, Sequence[object]] = {},
    targets: Sequence[str] = (),
    rates: Sequence[float] = (),
    script_files: Sequence[str] = (),
    metric: str = "p95",
    at_once: int = 1,
    budget: float = 14_400.0,
    max_age: float = 86_400.0,
    fail_on_failed: bool = False,
    label: str = "",
) -> CampaignResult:
    """Make one load of `test` for each combination of the variables' values, targets and rates, one after the other, and compare them.

    With `script_files` the load of each of these scripts is made so; keys of `test` take the place of theirs. `at_once`: how many loads
    may be made at a time, each of another target.

    Finished cells stand in campaign-LABEL.ndjson in the folder of the runs: a campaign that was cut off goes on with those it has, and one
    that ended keeps cells that are unchanged and at most `max_age` seconds old. Raises CommandError before anything is sent; Interrupted
    when an observer asked for the end; with `fail_on_failed` ThresholdsNotMet where a cell failed.
    """
    refuse_populations(test, "a cell of a campaign")
    if metric not in METRICS:
        raise CommandError([Mistake("metric", f"{metric!r} is not a metric", f"metrics: {', '.join(METRICS)}")])
    session = current_session()
    script_files = list(dict.fromkeys(script_files))
    cells = cells_of(variables, targets, rates, script_files if len(script_files) > 1 else ())
    tests = _tests(session, test, script_files, targets)
    labels = {one.get("label") for one in tests.values()}
    name = label or str((labels.pop() if len(labels) == 1 else "") or session.label or session.name)
    arguments = [cell.arguments(tests[cell.script], f"{name} {cell.name}"[:200]) for cell in cells]
    if session.rehearsing:
        for one in arguments:
            start_test(**one)
        return {}
    keys, places = _keys(session, cells, arguments, budget)
    kept = _Kept(session.runs_dir, name, keys, max_age)
    observers, ending = in_turn(session.observers)
    missing = [
        Todo(place, partial(_keep, session, observers, kept, key, cell, one))
        for cell, key, place, one in zip(cells, keys, places, arguments, strict=True)
        if key not in kept.found
    ]
    work_off(missing, at_once, ending)
    result = _result(name, metric, cells, [kept.found[key] for key in keys], session)
    result["page"] = str(write_campaign_page(result, kept.path.with_suffix(".html")))
    kept.end()
    for observer in session.observers:
        observer.judged(result)
    failed = [one["name"] for one in result["cells"] if one["verdict"] == "failed"]
    if fail_on_failed and failed:
        raise ThresholdsNotMet([f"{counted(len(failed), 'cell')} of {len(cells):,} failed: {'; '.join(failed[:5])}"])
    return result


def with_host(session: Session, targets: Sequence[str]) -> Session:
    """The session in which the scripts of a campaign are checked: steps that name no host are right where there are targets."""
    apart = session.apart()
    if targets:
        apart.target = replace(session.target, base_url=targets[0])
    return apart


def _tests(session: Session, test: JsonMapping, script_files: Sequence[str], targets: Sequence[str]) -> dict[str, JsonObject]:
    """The arguments of LD_start_test by script; "" where there is one alone. Raises CommandError with the mistakes of all scripts."""
    if not script_files:
        if not test:
            raise CommandError([Mistake("test", "is missing", "write the arguments of an LD_start_test, or script_files")])
        return {"": dict(test)}
    found, mistakes = {}, []
    checked = with_host(session, targets)
    for number, path in enumerate(script_files):
        try:
            of_script = load_in(Checking(checked).file(path), session)
        except ScriptError as error:
            mistakes += [replace(one, place=f"script_files[{number}]: {path}: {one.place}".rstrip(": ")) for one in error.mistakes]
            continue
        variables = {**(of_script.get("variables") or {}), **(test.get("variables") or {})}
        found[path] = {**of_script, **test, **({"variables": variables} if variables else {})}
    if mistakes:
        raise CommandError(mistakes)
    return found if len(found) > 1 else {"": next(iter(found.values()))}


def cells_of(
    variables: Mapping[str, Sequence[object]], targets: Sequence[str], rates: Sequence[float], scripts: Sequence[str] = ()
) -> list[Cell]:
    """All combinations, the rates changing first and the scripts last. Raises CommandError for none, or too many."""
    empty = [name for name, values in variables.items() if not values]
    if empty:
        raise CommandError([Mistake(f"variables.{empty[0]}", "has no value", "write a list of at least one value")])
    if not (variables or targets or rates or scripts):
        hint = 'write for example "rates": [50, 100] or "variables": {"page": ["/a", "/b"]}'
        raise CommandError([Mistake("variables", "the matrix has no axis: no variables, targets, rates or script_files", hint)])
    numbered = [[(value, _shown(name, value, number)) for number, value in enumerate(own, 1)] for name, own in variables.items()]
    values = [dict(zip(variables, one, strict=True)) for one in itertools.product(*numbered)]
    found = [
        Cell({name: pair[0] for name, pair in one.items()}, {name: pair[1] for name, pair in one.items()}, target, rate, script)
        for script, one, target, rate in itertools.product(scripts or ("",), values, targets or ("",), rates or (None,))
    ]
    if len(found) > MOST_CELLS:
        hint = f"write fewer values: at most {MOST_CELLS:,} cells"
        raise CommandError([Mistake("variables", f"the matrix has {counted(len(found), 'cell')}", hint)])
    return found


def _keys(session: Session, cells: Sequence[Cell], arguments: Sequence[Mapping[str, object]], budget: float) -> tuple[list[str], list[str]]:
    """What each cell is made of, as a digest: script, variables, data and code; and its target. Raises CommandError for a cell that is
    wrong, and for more load than `budget` allows."""
    keys: list[str] = []
    places: list[str] = []
    planned_s, mistakes = 0.0, []
    for cell, one in zip(cells, arguments, strict=True):
        try:
            asked = build_plan(one, session.variables, session.environment, session.target, session.secret, workers=session.workers)
        except ScriptError as error:
            mistakes += [Mistake(f"{cell.name}: {wrong.place}", wrong.message, wrong.hint) for wrong in error.mistakes]
            continue
        planned_s += asked.plan.duration_s or 0.0
        places.append(asked.target)
        digest, masked = load_digest(session, asked.plan, one)
        # two cells may differ in nothing but a secret, which is not kept
        keys.append(f"{digest[:32]}{f'-{len(keys)}' if masked else ''}")
    if mistakes:
        raise CommandError(mistakes)
    if planned_s > budget:
        text = f"{counted(len(cells), 'cell')} are {planned_s:,.0f} s of load, and budget allows {budget:,.0f} s"
        raise CommandError([Mistake("budget", text, "write fewer values, a shorter test_time, or a larger budget")])
    return keys, places


def _keep(session: Session, observers: list[Observer], kept: _Kept, key: str, cell: Cell, arguments: Mapping[str, object]) -> None:
    """Make one cell, in Prefect as a task run, and keep it."""
    apart = session.apart()
    apart.observers = observers
    with use_session(apart):
        kept.add(key, session.as_task(cell.name, partial(_made, apart, cell, arguments)))


def _made(session: Session, cell: Cell, arguments: JsonMapping) -> CampaignCell:
    """One load. One whose engine was lost is a cell too: it says so, and is made anew the next time."""
    before = len(session.all_runs)
    try:
        start_test(**arguments)
    except (Interrupted, ScriptError):
        raise
    except RunError as error:
        if len(session.all_runs) == before:
            return _cell(cell, None, "error", str(error))
    return _cell(cell, session.all_runs[-1])


def _cell(cell: Cell, run: Run | None, verdict: str = "", reason: str = "") -> CampaignCell:
    about: CampaignCell = {
        "variables": dict(cell.shown),
        "target": cell.target,
        "asked_per_s": cell.rate,
        "script": cell.script,
        "name": cell.name,
        "at": time.time(),
        "run": None,
        "revision": "",
        "verdict": verdict,
        "reason": reason,
        "p50": None,
        "p95": None,
        "p99": None,
        "mean": None,
        "rate": None,
        "failure_rate": None,
    }
    if run is None:
        return about
    summary = run.summary()
    latency, overall = summary.overall.latency, summary.overall
    if overall.count:
        about |= {"p50": latency.p50_ms, "p95": latency.p95_ms, "p99": latency.p99_ms, "mean": latency.mean_ms}
    return {
        **about,
        "run": run.facts.id,
        "revision": run.facts.revision,
        "verdict": str(summary.verdict.kind),
        "reason": "; ".join(summary.verdict.reasons[:2]),
        "rate": overall.rate_per_s,
        "failure_rate": overall.failure_rate if overall.count else None,
    }


class _Kept:
    """campaign-LABEL.ndjson: each finished cell, and where a campaign ended."""

    def __init__(self, runs_dir: Path, name: str, keys: Sequence[str], max_age_s: float) -> None:
        words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        self.path = runs_dir / f"campaign-{words}.ndjson"
        self.found: dict[str, CampaignCell] = {}
        self._lock = threading.Lock()
        ended = False
        oldest = time.time() - max_age_s
        for line in reversed(kept_lines(self.path)):
            if line.get("kind") == "end":
                ended = True
            cell = line.get("cell")
            if line.get("kind") != "cell" or not isinstance(cell, dict) or line.get("key") not in keys or line["key"] in self.found:
                continue
            # what this campaign has made before it was cut off counts, however old it is
            fresh = not ended or float(cell["at"]) >= oldest
            if fresh and cell["verdict"] in CONCLUSIVE and (runs_dir / str(cell["run"])).is_dir():
                self.found[line["key"]] = cast(CampaignCell, {**cell, "kept": True})

    def add(self, key: str, cell: CampaignCell) -> None:
        with self._lock:
            self.found[key] = cell
            keep_line(self.path, {"kind": "cell", "key": key, "cell": cell})

    def end(self) -> None:
        keep_line(self.path, {"kind": "end", "version": VERSION, "at": time.time()})


def _result(name: str, metric: str, cells: Sequence[Cell], found: Sequence[CampaignCell], session: Session) -> CampaignResult:
    verdicts = [one["verdict"] for one in found]
    order = ("error", "failed", "inconclusive", "interrupted", "passed")
    # without secrets: the values of the matrix may hold some, and the page is for reading
    shown: Callable[[object], CampaignCell] = redactor_of(session).value
    return {
        "format": FORMAT,
        "version": VERSION,
        "verdict": next(kind for kind in order if kind in verdicts),
        "label": name,
        "metric": metric,
        "cells": [
            shown({"script": cell.script, **one, "name": cell.name, "kept": bool(one.get("kept"))})
            for cell, one in zip(cells, found, strict=True)
        ],
    }
