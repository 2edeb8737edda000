"""A scenario as a script: one LD_start_test with the rate, the thresholds, and the steps that its functions are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.scenario.definition import ScenarioDef
from loadflow.engine.scenario.sources import call_that_made, source_json, sources_of
from loadflow.engine.scenario.tracing import Trace
from loadflow.errors import Mistake, ScriptError

__all__ = ["TARGET", "call_of", "once_of", "own_places", "script_of", "with_thresholds"]

TARGET = "http://localhost:8000"  # where nothing else says it
PYTHON_USER = "python_user"
ROOT = re.compile(r"^load_density\[0\](\[1\])?\.")
TASK = re.compile(r"^tasks\.tasks\[(\d+)\]")
ROWS = re.compile(r"^csv_sources\[(\d+)\]")
# the names of thresholds in @scenario, and ours
THRESHOLDS = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99", "max_ms": "max", "error_rate": "failure_rate"}


def script_of(made: ScenarioDef, trace: Trace, file: str | Path, *, in_python: bool = False) -> JsonObject:
    """The script; its variable `target` is where requests go. Where a function can't be said in steps, or `in_python`, Python runs all.

    Raises ScriptError for thresholds that there are not.
    """
    in_steps = trace.is_whole and not in_python
    tasks = _in_steps(made, trace) if in_steps else _in_python(made, file)
    sources = trace.sources if in_steps else [source_json(name, rows) for name, rows in sources_of(made).items()]
    test = {
        "label": made.name,
        "host": "${var.target}",
        "rate": _rate(made),
        **({"user_count": made.users} if made.users is not None else {}),
        **({"thresholds": thresholds} if (thresholds := _thresholds(made)) else {}),
        **({"csv_sources": sources} if sources else {}),
        **tasks,
    }
    doubled = [key for key in made.test if key in test and key != "user_detail_dict"]
    if doubled:
        raise ScriptError([Mistake(f"{made.name}.{key}", "is made from the scenario itself", "remove it") for key in doubled], str(file))
    detail = {**test["user_detail_dict"], **made.test.get("user_detail_dict", {})}
    return {
        "description": f"The scenario {made.name} of {Path(file).name}.",
        "variables": {"target": {"type": "text", "default": TARGET, "description": "Where requests go"}},
        "load_density": [["LD_start_test", {**test, **made.test, "user_detail_dict": detail}]],
    }


def own_places(mistakes: Iterable[Mistake], made: ScenarioDef, document: JsonMapping) -> list[Mistake]:
    """What is wrong with the script of a scenario, with places of the scenario: the name of a task, the keyword of `@scenario`, the call
    that made rows. `document` is empty where it could not be made."""
    sources = document["load_density"][0][1].get("csv_sources", ()) if document else ()
    found = []
    for mistake in mistakes:
        place = ROOT.sub("", mistake.place)
        in_task = TASK.match(place)
        of_rows = ROWS.match(place)
        if in_task is not None:
            place = f"{made.tasks[int(in_task[1])].name}{place[in_task.end() :]}"
        elif of_rows is not None and "csv_sources" not in made.test:
            place = f"{call_that_made(sources[int(of_rows[1])])}{place[of_rows.end() :]}"
        found.append(replace(mistake, place=place))
    return found


def once_of(document: JsonMapping, task: str) -> dict[str, object]:
    """The script of one user who makes one task once, between his `on_start` and `on_stop`; nothing is asked of its numbers."""
    test = dict(document["load_density"][0][1])
    for key in ("rate", "thresholds", "user_count", "max_in_flight", "max_lateness", "rate_tolerance", "stop_when", "processes", "threads"):
        test.pop(key, None)
    named = [{**one, "weight": 1} for one in test["tasks"]["tasks"] if one.get("group", one.get("name")) == task]
    test.update(tasks=named, user_count=1, iterations=1, label=task, max_failure_rate=0)
    return {**document, "load_density": [["LD_start_test", test]]}


def _in_steps(made: ScenarioDef, trace: Trace) -> JsonObject:
    groups = [{"group": one.name, "weight": one.weight, "steps": trace.steps[one.name]} for one in made.tasks]
    hooks = {name: trace.steps[name] for name in ("on_start", "on_stop") if trace.steps.get(name)}
    return {"user_detail_dict": {"user": "fast_http_user"}, **hooks, "tasks": {"mode": "weighted", "tasks": groups}}


def call_of(made: ScenarioDef, file: str | Path, name: str) -> str:
    """Where the function of this name is, as `call` says it."""
    return f"{Path(file).resolve()}:{made.name}.{name}"


def _in_python(made: ScenarioDef, file: str | Path) -> JsonObject:
    tasks = [{"name": one.name, "weight": one.weight, "call": call_of(made, file, one.name)} for one in made.tasks]
    hooks = {name: [{"name": name, "call": call_of(made, file, name)}] for name in made.hooks}
    engine = {"engine": "locust"} if any(one.engine == "locust" for one in made.tasks) else {}
    return {"user_detail_dict": {"user": PYTHON_USER, **engine}, **hooks, "tasks": {"mode": "weighted", "tasks": tasks}}


def _rate(made: ScenarioDef) -> JsonObject:
    parts: dict[str, dict[str, object]] = {"ramp": {"ramp_up": made.ramp_up}, "step": {"steps": made.steps}}
    own = parts.get(made.mode, {})
    return {"mode": made.mode, "rps": made.rps, "duration": made.duration, **own}


def with_thresholds(made: ScenarioDef, limits: Mapping[str, float]) -> ScenarioDef:
    """The scenario with these thresholds over its own; beside them, where its own are expressions. Raises ScriptError for unknown names."""
    if isinstance(made.thresholds, Mapping):
        return replace(made, thresholds={**made.thresholds, **limits})
    return replace(made, thresholds=[*made.thresholds, *_thresholds(replace(made, thresholds=limits))])


def _thresholds(made: ScenarioDef) -> Sequence[object]:
    if not isinstance(made.thresholds, Mapping):
        return list(made.thresholds)
    found, mistakes = [], []
    for name, limit in made.thresholds.items():
        if name not in THRESHOLDS:
            close = get_close_matches(name, THRESHOLDS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(THRESHOLDS)}"
            mistakes.append(Mistake(f"{made.name}.thresholds", f"there is no threshold {name!r}", hint))
        else:
            found.append(f"{THRESHOLDS[name]} <= {limit:g}{'%' if name == 'error_rate' else ''}")
    if mistakes:
        raise ScriptError(mistakes)
    return found
