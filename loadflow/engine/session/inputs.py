"""The inputs of a script: its variables, each with a type, for a form or a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from loadflow.engine.script.declared import DECLARED_KEY, Declaration, declarations, type_of
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.script.visit import BARE_ROOT, ROOT_KEY, every_action, populations_of
from loadflow.engine.session.checking import NO_VALUE, Checking, paths_in
from loadflow.engine.session.session import Session
from loadflow.errors import Mistake, ScriptError

__all__ = ["inputs_of", "mistakes_in_script", "named_files"]

SAMPLES = {"text": "x", "integer": 1, "number": 1.5, "boolean": True}


def inputs_of(document: object, session: Session) -> dict[str, Declaration]:
    """The variables of a script, in its order: those it declares, those it sets once to a plain value, those it uses and never sets.

    A variable that the script sets in several ways, or to a list or an object, is not among them: its own values hold. What is used
    only has the type that the places want where it stands. `session` is where the script would run.

    >>> step = {"name": "home", "method": "get", "request_url": "/"}
    >>> test = ["LD_start_test", {"user_detail_dict": {}, "host": "${base}", "user_count": "${users}", "tasks": [step]}]
    >>> {name: one.kind for name, one in inputs_of([["LD_register_variable", ["base", "http://127.0.0.1"]], test], Session()).items()}
    {'base': 'text', 'users': 'integer'}
    """
    found, _ = declarations(document)
    once: dict[str, list[object]] = {}
    for name, value in _set_by(document):
        once.setdefault(name, []).append(value)
    for name, values in once.items():
        if name not in found and len(values) == 1 and type_of(values[0]) and not has_placeholder(values[0]):
            found[name] = Declaration(default=values[0])
    unset = _missing(document, session)
    for name in unset:
        found.setdefault(name, Declaration(type=_wanted(document, session, name, unset)))
    return found


def mistakes_in_script(document: object, session: Session, variables: Mapping[str, Declaration]) -> list[Mistake]:
    """What is wrong with a script but for variables that have no value yet."""
    actions = document.get(ROOT_KEY) if isinstance(document, dict) else document
    unset = {name: {"type": one.kind} for name, one in variables.items() if not one.has_default and name not in session.variables.given}
    written = document if isinstance(document, dict) else {ROOT_KEY: actions}
    declared = written.get(DECLARED_KEY)
    if isinstance(declared, dict) or declared is None:
        written = {**written, DECLARED_KEY: {**unset, **(declared or {})}}
    _, error = _mistakes_with(written, session, {})
    mistakes = [one for one in (error.mistakes if error else ()) if one.message != NO_VALUE]
    if isinstance(document, dict):
        return mistakes
    return [replace(one, place=re.sub(rf"^{ROOT_KEY}\[", f"{BARE_ROOT}[", one.place)) for one in mistakes]


def named_files(document: object) -> list[str]:
    """The files of this machine that a script names, in its order."""
    actions = document.get(ROOT_KEY) if isinstance(document, dict) else document
    return list(dict.fromkeys(path for path in paths_in(actions) if Path(path).is_file()))


def _mistakes_with(document: object, session: Session, values: Mapping[str, object]) -> tuple[Checking, ScriptError | None]:
    """The check of a script that is given these variables besides those of the session, and what is wrong then."""
    trial = session.rehearsal()
    with trial.variables.declared(values):
        checking = Checking(trial)
        try:
            checking.script(document)
        except ScriptError as error:
            return checking, error
    return checking, None


def _missing(document: object, session: Session) -> list[str]:
    checking, _ = _mistakes_with(document, session, {})
    return sorted(checking.walk.missing)


def _wanted(document: object, session: Session, name: str, unset: list[str]) -> str:
    """The type of value with which the check finds the least: text, unless something else is wrong less often."""

    def wrong(kind: str) -> int:
        values = dict.fromkeys(unset, SAMPLES["text"]) | {name: SAMPLES[kind]}
        _, error = _mistakes_with(document, session, values)
        return len(error.mistakes) if error else 0

    with_text = wrong("text")
    if with_text == 0:
        return "text"
    if (with_whole := wrong("integer")) < with_text:
        return "number" if wrong("number") <= with_whole else "integer"
    return "boolean" if wrong("boolean") < with_text else "text"


def _set_by(document: object) -> Iterator[tuple[str, object]]:
    """Every variable that an action or a test of the script sets, with its value; nested scripts too."""
    for action in every_action(document):
        match action.name, action.payload:
            case "LD_register_variable", {"name": str(name), "value": value} | [str(name), value]:
                yield name, value
            case "LD_register_variables", {"variables": dict(values)} | [dict(values)]:
                yield from values.items()
            case "LD_start_test", dict(test):
                for part in (test, *populations_of(test)):
                    own = part.get("variables")
                    yield from own.items() if isinstance(own, dict) else ()
