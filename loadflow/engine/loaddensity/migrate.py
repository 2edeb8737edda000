"""From a script of LoadDensity to one that means here what it meant there, with each change and its place.

`loadflow check` gives the same changes as warnings: so a script that was migrated has none left, and to migrate it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from loadflow.engine.base.counted import counted
from loadflow.engine.loaddensity.differences import DIFFERENCES, State
from loadflow.engine.loaddensity.load_test import migrate_test
from loadflow.engine.loaddensity.placeholders import Variable
from loadflow.engine.loaddensity.words import looks_like_loaddensity
from loadflow.engine.script.declared import DECLARED_KEY
from loadflow.engine.script.mistakes import place_of
from loadflow.engine.script.visit import ROOT_KEY, actions_of
from loadflow.errors import Mistake, ScriptError

__all__ = ["Change", "Migration", "changes_of", "migrate", "warnings_of"]

SIDE_KEYS = ("$schema", "description", DECLARED_KEY)


@dataclass(frozen=True, slots=True)
class Change:
    """One place where the script would mean something else; `difference` is a key of DIFFERENCES.

    `file` is the file of LD_execute_files that it is in, as the script names it; "" for the script itself.
    """

    place: str
    difference: str
    message: str
    file: str = ""

    @property
    def where(self) -> str:
        return f"{self.file}: {self.place}" if self.file else self.place

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(slots=True)
class Migration:
    """The script as it is written here, and what was changed for it, in the order in which it was found.

    `elsewhere` is what the files that it runs, and those that they run, would need; they are left as they are.
    """

    document: Any
    changes: list[Change] = field(default_factory=list)
    elsewhere: list[Change] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """Those of the files that would need changes."""
        return list(dict.fromkeys(change.file for change in self.elsewhere))


def _no_file(path: str) -> object:
    raise ScriptError([Mistake("", "is not looked into", "")], path)


def migrate(document: object, *, read: Callable[[str], object] = _no_file, always: bool = False) -> Migration:
    """The script that means here what `document` means in LoadDensity. The document itself stays as it is.

    `read` gives the document of a file that LD_execute_files names, and raises ScriptError for one that can't be read; without it no
    file is looked into. `always`: also into those that don't look like LoadDensity's.

    What has no place here (SQL sources, unknown commands) stays too: `loadflow check` names it.

    >>> step = {"method": "get", "request_url": "http://127.0.0.1/a", "name": "a"}
    >>> print(migrate([["LD_start_test", {"user_detail_dict": {}, "tasks": [step]}]]).changes[0])
    actions[0].wait_time: 0.1 to 0.2 s after each pass, as in LoadDensity
    """
    made = Migration(deepcopy(document))
    walk = _Walk(read)
    walk.document(made.document, "")
    for change in walk.changes:
        if not change.file:
            made.changes.append(change)
        elif always or change.file in walk.theirs:
            made.elsewhere.append(change)
    return made


def changes_of(document: object, *, read: Callable[[str], object] = _no_file, always: bool = False) -> list[Change]:
    """What a migration would change in a script that looks like LoadDensity's, and in the files that it runs, each if it looks like it;
    `always`: whatever they look like. `read`: as of `migrate`."""
    made = migrate(document, read=read, always=always)
    return [*(made.changes if always or looks_like_loaddensity(document) else ()), *made.elsewhere]


def warnings_of(changes: Iterable[Change]) -> list[Mistake]:
    """What would mean something else here, each difference once a file. What is a mistake here needs no warning: `check` names it."""
    alike: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        if DIFFERENCES[change.difference].state is State.WARNED:
            alike.setdefault((change.file, change.difference), []).append(change)
    return [_warning(found) for found in alike.values()]


def _warning(changes: list[Change]) -> Mistake:
    first, more = changes[0], len(changes) - 1
    difference = DIFFERENCES[first.difference]
    others = f" (and in {counted(more, 'other place')})" if more else ""
    return Mistake(first.where, f"in LoadDensity: {difference.theirs}; here: {difference.ours}{others}", difference.way_out)


@dataclass(slots=True)
class _Walk:
    read: Callable[[str], object]
    changes: list[Change] = field(default_factory=list)
    file: str = ""  # that is looked at now
    seen: set[str] = field(default_factory=set)  # files
    theirs: set[str] = field(default_factory=set)  # those that look like LoadDensity's
    registered: dict[str, Variable] = field(default_factory=dict)
    of_tests: dict[str, object] = field(default_factory=dict)  # variables of the tests so far, which LoadDensity keeps
    sources: dict[str, object] = field(default_factory=dict)  # and their CSV sources

    def say(self, place: str, difference: str, message: str, file: str | None = None) -> None:
        assert difference in DIFFERENCES, difference
        self.changes.append(Change(place, difference, message, self.file if file is None else file))

    def document(self, document: object, place: str) -> None:
        if isinstance(document, dict):
            for key in [key for key in document if key not in (ROOT_KEY, *SIDE_KEYS)] if ROOT_KEY in document else ():
                del document[key]
                self.say(place_of(place, (key,)), "script-keys", "removed: LoadDensity ignores it")
        for action in actions_of(document, place):
            if (inner := action.inner()) is not None:
                self.document(*inner)
            else:
                self.action(action.name, action.payload, action.place)

    def action(self, name: str, payload: Any, place: str) -> None:
        match name, payload:
            case "LD_start_test", dict():
                migrate_test(payload, place, self)
            case ("LD_execute_files", {"execute_files_list": list(files)}) | ("LD_execute_files", [list(files)]):
                for file in files:
                    self.named(file)
            case "LD_clear_resolver", _:
                self.registered.clear()
                self.of_tests.clear()
                self.sources.clear()
            case "LD_register_variable", {"name": str(variable), "value": _}:
                self.registered[variable] = self.variable(payload, "value", place, "value")
            case "LD_register_variable", [str(variable), _]:
                self.registered[variable] = self.variable(payload, 1, place, "arguments", 1)
            case ("LD_register_variables", {"variables": dict(values)}) | ("LD_register_variables", [dict(values)]):
                inner = ("variables",) if isinstance(payload, dict) else ("arguments", 0)
                self.registered |= {key: self.variable(values, key, place, *inner, key) for key in values}

    def variable(self, holder: object, key: Any, place: str, *inside: str | int) -> Variable:
        return Variable(holder, key, place_of(place, inside), self.file)

    def named(self, file: object) -> None:
        """A file that the script runs, once; one that can't be read is a mistake, which `check` names."""
        if not isinstance(file, str) or file in self.seen:
            return
        self.seen.add(file)
        try:
            document = deepcopy(self.read(file))
        except ScriptError:
            return
        if looks_like_loaddensity(document):
            self.theirs.add(file)
        outer, self.file = self.file, file
        self.document(document, "")
        self.file = outer
