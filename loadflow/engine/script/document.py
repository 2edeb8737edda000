"""An action script: read from a file, checked whole, and held as actions.

A document is a non-empty list of actions, or an object that holds it under `load_density`. An action is `[name]`,
`[name, arguments]` or `[name, arguments, policy]`; arguments are an object (by name), a list (by position) or null.
The object may also declare, under `variables`, the variables that can be given from outside the script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.regular_file import read_given, read_regular
from loadflow.engine.script.arguments import NESTED, bind
from loadflow.engine.script.builtin_functions import BUILTINS, is_blocked
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.declared import DECLARED_KEY, Declaration, declarations
from loadflow.engine.script.json_text import json_faults, load_json
from loadflow.engine.script.mistakes import Fault, Loc, faults_of, kind_of, mistakes_of, shorten, suggest
from loadflow.engine.script.part import Choice, Int, Part, Positive, Seconds
from loadflow.engine.script.visit import BARE_ROOT, MOST_NESTED, ROOT_KEY, WrittenAction, actions_of
from loadflow.errors import Mistake, ScriptError

__all__ = ["Action", "ActionPolicy", "PolicyElement", "Script", "parse_script", "read_script"]

_SIDE_KEYS = ("$schema", "description")
MOST_FAULTS = 1_000  # more than anyone reads
_FORMS = 'write ["name"], ["name", {…}], ["name", […]] or ["name", arguments, {policy}]'


class PolicyElement(Part):
    """The third element of an action: how its task is run. A key that is null or absent keeps the command's own policy."""

    noun: ClassVar[str] = "a policy"
    retries: Annotated[Int, Field(ge=0, le=1000)] | None = None
    retry_delay_seconds: Seconds | None = None
    timeout_seconds: Positive | None = None
    on_error: Annotated[str, Choice("on_error", ("stop", "continue"))] | None = None


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """What an action asks for instead of its command's policy; None: nothing."""

    retries: int | None = None
    retry_delay_seconds: float | None = None
    timeout_seconds: float | None = None
    on_error: Literal["stop", "continue"] | None = None

    def over(self, policy: Policy) -> Policy:
        """`policy` with what this one asks for."""
        asked = {name: getattr(self, name) for name in self.__slots__}
        return replace(policy, **{name: value for name, value in asked.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Action:
    """One call of a command, its arguments as they were written."""

    name: str
    arguments: JsonObject | list[Any] | None
    policy: ActionPolicy
    place: str


@dataclass(frozen=True, slots=True)
class Script:
    """A checked script. `source` is its file, or ""; `root` is what its places start with; `variables` are those it declares."""

    actions: tuple[Action, ...]
    name: str
    source: str
    root: str
    variables: Mapping[str, Declaration] = field(default_factory=dict)


def read_script(path: str | Path, *, from_terminal: bool = False) -> Any:
    """The document in the file at `path` (UTF-8, with or without a byte order mark); raises ScriptError, with line and column.

    `from_terminal`: a person named it on the command line, so it may be a pipe, such as /dev/stdin or `<(…)`, which can be read once.
    """
    source = str(path)
    try:
        text = (read_given if from_terminal else read_regular)(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise ScriptError([Mistake("", "there is no such file", "check the path")], source) from None
    except OSError as error:
        mistake = Mistake("", f"can't be read: {error.strerror or error}", "check the path and its permissions")
        raise ScriptError([mistake], source) from None
    except UnicodeDecodeError as error:
        raise ScriptError([Mistake("", f"is not UTF-8 text: byte {error.start} is wrong", "save the file as UTF-8")], source) from None
    document, mistakes = load_json(text)
    if mistakes:
        raise ScriptError(mistakes, source)
    return document


def parse_script(
    document: object,
    *,
    commands: Mapping[str, Command],
    source: str = "",
    name: str = "",
    max_depth: int = MOST_NESTED,
    also: Callable[[Script, list[Mistake]], list[Mistake]] | None = None,
) -> Script:
    """The script that `document` is; raises one ScriptError with every mistake in it.

    `commands` is all that it may call. `max_depth` is how many scripts may be inside each other, this one included. `also`
    is asked for further mistakes, given whatever has the shape of an action and the mistakes so far, so that all are reported together.

    >>> from loadflow.engine.script.builtin_functions import BUILTINS
    >>> parse_script([["print", ["hello"]]], commands=BUILTINS).actions[0].place
    'actions[0]'
    >>> parse_script([["prnt"]], commands=BUILTINS)
    Traceback (most recent call last):
    loadflow.errors.ScriptError: actions[0]: 'prnt' is not a command; did you mean 'print'?
    """
    faults = json_faults(document)
    if faults:
        raise ScriptError(mistakes_of(faults, None, ""), source)
    root = ROOT_KEY if isinstance(document, dict) else BARE_ROOT
    actions, outer = _unwrap(document, top=True)
    declared, undeclarable = declarations(document)
    mistakes = mistakes_of([*outer, *undeclarable], document, "")
    if isinstance(actions, list):
        mistakes += mistakes_of(_Checker(commands, max_depth).actions(actions, (), 1), actions, root)
    made = tuple(_action(action, with_policy=not mistakes) for action in actions_of(document))
    script = Script(made, name or (Path(source).stem if source else "script"), source, root, declared)
    if also is not None:
        known = {mistake.place for mistake in mistakes}
        mistakes += [mistake for mistake in also(script, mistakes) if mistake.place not in known]
    if mistakes:
        raise ScriptError(mistakes, source)
    return script


def _unwrap(document: object, *, top: bool = False) -> tuple[list[object] | None, list[Fault]]:
    """The list of actions in `document`, None if there is none, and what is wrong around it."""
    if isinstance(document, list):
        return document, [] if document else [Fault((), "the script has no actions", 'write at least one, such as ["LD_summary"]')]
    if not isinstance(document, dict):
        what = f"a script is a list of actions or an object with the key {ROOT_KEY!r}, not {kind_of(document)}"
        return None, [Fault((), what, 'write {"load_density": [["LD_start_test", {…}]]}')]
    allowed = (ROOT_KEY, *_SIDE_KEYS, *((DECLARED_KEY,) if top else ()))
    found = [Fault((key,), f"{shorten(key)} is not a key of a script", suggest(key, allowed)) for key in document if key not in allowed]
    for key in _SIDE_KEYS:
        if key in document and not isinstance(document[key], str):
            found.append(Fault((key,), f"must be text, not {kind_of(document[key])}"))
    if ROOT_KEY not in document:
        return None, [*found, Fault((ROOT_KEY,), "is missing", "it holds the list of actions")]
    actions = document[ROOT_KEY]
    if not isinstance(actions, list):
        return None, [*found, Fault((ROOT_KEY,), f"must be a list of actions, not {kind_of(actions)}")]
    if not actions:
        found.append(Fault((ROOT_KEY,), "the script has no actions", 'write at least one, such as ["LD_summary"]'))
    return actions, found


def _action(written: WrittenAction, *, with_policy: bool) -> Action:
    asked = with_policy and len(written.elements) > 2
    policy = ActionPolicy(**PolicyElement.model_validate(written.elements[2]).model_dump()) if asked else ActionPolicy()
    return Action(written.name, written.payload, policy, written.place)


@dataclass(frozen=True, slots=True)
class _Checker:
    commands: Mapping[str, Command]
    max_depth: int

    def actions(self, actions: list[object], loc: Loc, depth: int) -> list[Fault]:
        """The faults of every action; `loc` is the way to the list, `depth` how many scripts are open."""
        found: list[Fault] = []
        for index, entry in enumerate(actions):
            found += self.action(entry, (*loc, index), depth)
            if len(found) >= MOST_FAULTS:
                found.append(Fault((*loc, index), "and no further action was looked at", "correct these mistakes first"))
                break
        return found

    def action(self, entry: object, loc: Loc, depth: int) -> list[Fault]:
        if not isinstance(entry, list):
            return [Fault(loc, f"an action is a list, not {kind_of(entry)}", _FORMS)]
        if not 1 <= len(entry) <= 3:
            return [Fault(loc, f"an action has 1 to 3 elements, not {len(entry)}", _FORMS)]
        found = self.name(entry[0], loc)
        payload = entry[1] if len(entry) > 1 else None
        if payload is not None and not isinstance(payload, dict | list):
            found.append(Fault(loc, f"arguments are an object, a list or null, not {kind_of(payload)}", _FORMS))
        elif not found:
            found += self.arguments(self.commands[entry[0]], payload, loc, depth)
        if len(entry) > 2:
            try:
                PolicyElement.model_validate(entry[2])
            except ValidationError as error:
                faults = faults_of(error, keys=PolicyElement.keys(), noun=PolicyElement.noun)
                found += [Fault((*loc, "policy", *fault.loc), fault.message, fault.hint) for fault in faults]
        return found

    def name(self, name: object, loc: Loc) -> list[Fault]:
        if not isinstance(name, str):
            return [Fault(loc, f"an action starts with the name of a command, not with {kind_of(name)}", _FORMS)]
        if is_blocked(name):
            why = f"{shorten(name)} is blocked on purpose: it reaches code, files or the interpreter"
            return [Fault(loc, why, "use a command instead")]
        if name not in self.commands:
            names = sorted(self.commands, key=BUILTINS.__contains__)  # the LD_* commands first
            return [Fault(loc, f"{shorten(name)} is not a command", suggest(name, names, "commands"))]
        return []

    def arguments(self, command: Command, payload: JsonObject | list[Any] | None, loc: Loc, depth: int) -> list[Fault]:
        bound = bind(command, payload)
        found = [Fault((*loc, *fault.loc), fault.message, fault.hint) for fault in bound.faults]
        if command.nested != "actions" or NESTED not in bound.values:
            return found
        inner_loc = (*loc, *bound.locs[NESTED])
        document = bound.values[NESTED]
        if depth >= self.max_depth:
            return [*found, Fault(inner_loc, f"scripts are nested more than {counted(self.max_depth, 'level')} deep", "flatten them")]
        actions, outer = _unwrap(document)
        found += [Fault((*inner_loc, *fault.loc), fault.message, fault.hint) for fault in outer]
        if actions is not None:
            found += self.actions(actions, (*inner_loc, ROOT_KEY) if isinstance(document, dict) else inner_loc, depth + 1)
        return found
