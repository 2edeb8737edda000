"""From a class, or a file, to the document that runs it."""

from __future__ import annotations

import os
import sys
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.scenario.definition import ScenarioDef, scenario_of
from loadflow.engine.scenario.loading import ALLOW, chosen, load_scenarios
from loadflow.engine.scenario.script import script_of
from loadflow.engine.scenario.tracing import trace
from loadflow.errors import Mistake, ScriptError

__all__ = ["changed", "document_of", "found_at", "read_scenario"]

CHANGED = ("rps", "duration", "ramp_up", "mode", "steps", "thresholds", "users")


def found_at(place: type | str | Path) -> tuple[ScenarioDef, Path]:
    """A scenario by its class, or by FILE.py, or FILE.py:CLASS; and its file. The file is imported. Raises ScriptError, TypeError."""
    if isinstance(place, type):
        file = getattr(sys.modules.get(place.__module__), "__file__", None)
        if file is None:
            raise TypeError(f"{place.__name__} has no source file; write it into one")
        return scenario_of(place), Path(file)
    path, separator, name = str(place).rpartition(":")
    if not separator or not path.endswith(".py"):
        path, name = str(place), ""
    return chosen(load_scenarios(path), name or None, path), Path(path)


def changed(made: ScenarioDef, changes: JsonObject) -> ScenarioDef:
    """With other keywords of `@scenario`, or of LD_start_test. Raises TypeError for one that `@scenario` would not take."""
    own = {name: value for name, value in changes.items() if name in CHANGED}
    if wrong := [name for name in changes if name in {one.name for one in fields(made)} - set(CHANGED)]:
        close = get_close_matches(wrong[0], CHANGED, 1)
        raise TypeError(f"{wrong[0]!r} can't be changed; {f'did you mean {close[0]!r}?' if close else ', '.join(CHANGED)}")
    return replace(made, **own, test={**made.test, **{name: value for name, value in changes.items() if name not in own}})


def document_of(made: ScenarioDef, file: Path, target: str | None = None) -> JsonObject:
    """The script of a scenario. Who calls this wants its Python to run, where it can't be said in steps."""
    os.environ[ALLOW] = "1"
    document = script_of(made, trace(made), file)
    if target is not None:
        document["variables"]["target"]["default"] = target
    return document


def read_scenario(path: str | Path) -> dict[str, object]:
    """The script of FILE.py or FILE.py:CLASS, where this machine may run Python files. Raises ScriptError."""
    if not os.environ.get(ALLOW):
        text = "is a Python file, and none is run here"
        raise ScriptError(
            [Mistake("", text, f"set {ALLOW}=1 where it may be, or give the script that `loadflow script` prints")], str(path)
        )
    made, file = found_at(path)
    return document_of(made, file)
