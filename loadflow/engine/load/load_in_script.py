"""The load that a script makes, for commands that make it many times: without the rest of the script."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.script.arguments import named
from loadflow.engine.script.declared import defaults_of
from loadflow.engine.script.document import Script
from loadflow.engine.session.session import Session
from loadflow.errors import Mistake, ScriptError

__all__ = ["LOAD", "load_in"]

LOAD = "LD_start_test"


def load_in(script: Script, session: Session) -> JsonObject:
    """The arguments of the first LD_start_test, with the defaults of the variables that the script declares.

    What stands after it is left out. Raises ScriptError for a script without a load, and for one in which something stands before it:
    the load might not be the same without.
    """
    first = script.actions[0]
    if first.name != LOAD:
        there = any(one.name == LOAD for one in script.actions)
        text = f"the load comes after {first.name}, and only the load is made" if there else f"the script has no {LOAD}"
        hint = "write variables and csv_sources into the load itself" if there else "write the load into it"
        raise ScriptError([Mistake(first.place, text, hint)], script.source)
    made: JsonObject = dict(named(session.commands[LOAD], first.arguments))
    if defaults := {name: value for name, value in defaults_of(script.variables).items() if name not in session.variables.given}:
        made["variables"] = {**defaults, **(made.get("variables") or {})}
    return made
