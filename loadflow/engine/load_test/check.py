"""What can be known missing before anything runs: the placeholders of every load test, and what an action before it sets.

Values are not looked at, only names: a variable is there when it is given, registered by an earlier action, or extracted by a step
of the same test. After an action that may register anything (a loaded package, an own command) names are no longer known, and only
what can't depend on them is reported. A `Walk` can be given how files of actions are read, and what else to check in each action.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from loadflow.engine.base.extras import way_to_install
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.resolve.data import columns_in, looks_separated
from loadflow.engine.script.arguments import FILES
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.script.document import Script
from loadflow.engine.script.mistakes import Loc, is_in, place_of, suggest
from loadflow.engine.script.placeholders import SECRET, Token, has_placeholder, scan, texts
from loadflow.engine.script.visit import actions_of, populations_of, steps_of_test
from loadflow.errors import Mistake

__all__ = ["Asked", "Walk", "check_variables"]

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "LD_start_test": tuple(StartTest.model_fields),
    "LD_execute_action": ("action_list",),
    "LD_register_variable": ("name", "value"),
    "LD_register_variables": ("variables",),
    "LD_register_csv_source": ("name", "file_path", "cycle"),
    "LD_register_csv_sources": ("sources",),
    "LD_execute_files": (FILES,),
}


PER_HIT = ("on_start", "tasks", "on_stop")  # filled in by the engine


def _is_per_hit(key: str, loc: Loc) -> bool:
    """Whether what lies at `loc` in the argument `key` of a test is of its steps."""
    return key in PER_HIT or (key == "populations" and loc[1:2] in [(phase,) for phase in PER_HIT])


def _is_own(name: str) -> bool:
    return name not in BUILTINS and not name.startswith("LD_")


def check_variables(
    script: Script,
    *,
    variables: Collection[str],
    env: Mapping[str, str],
    sources: Mapping[str, tuple[str, ...]] | None = None,
    opens: Callable[[str], bool] = _is_own,
) -> list[Mistake]:
    """Every placeholder of `script` that can't have a value, in the order of the document.

    `variables` are the names given from outside, `sources` the columns of CSV sources that are registered already; paths of
    CSV files are relative to the working directory. `opens`: see `Walk`.
    """
    walk = Walk(env, set(variables), dict(sources or {}), opens=opens)
    for action in script.actions:
        walk.action(action.name, action.arguments, action.place)
    return walk.mistakes


@dataclass(frozen=True, slots=True)
class Asked:
    """One action. `open`: see `Walk.closed`; `faulty`: something is known to be wrong with it."""

    name: str
    arguments: object
    place: str
    open: bool
    faulty: bool


@dataclass(slots=True)
class Walk:
    """Goes through actions in the order in which they will run, and keeps what each leaves to those after it."""

    env: Mapping[str, str]
    variables: set[str]
    sources: dict[str, tuple[str, ...] | None] = field(default_factory=dict)  # columns; None: not known
    closed: bool = True  # whether `variables` and `sources` are all there is
    mistakes: list[Mistake] = field(default_factory=list)
    given: Collection[str] = ()  # variables from outside the script, which it can't forget
    named: set[str] = field(default_factory=set)  # every variable that some action sets or uses
    missing: set[str] = field(default_factory=set)  # variables that a test uses and nothing before it sets
    opened: bool = False  # whether an action was met that may use any variable
    known: Collection[str] = ()  # where something is wrong that was found before
    files: Callable[[str, str], list[Mistake]] | None = None  # goes through the file named at a place; None: it may set anything
    more: Callable[[Asked], list[Mistake]] | None = None  # what else is wrong with an action
    opens: Callable[[str], bool] = _is_own  # whether a command may set variables and write files that the script does not show

    def action(self, name: str, payload: object, place: str) -> None:
        arguments = _named(name, payload)
        at = {key: place_of(place, (key,) if isinstance(payload, dict) else ("arguments", index)) for index, key in enumerate(arguments)}
        before, was_open = len(self.mistakes), not self.closed
        if name != "LD_execute_action":  # its actions come one by one
            self.named.update(token.parts[0] for _, text, _ in texts(payload) for token in scan(text) if token.kind == "var")
        self._names(name, {key: arguments[key] for key in arguments}, at, place)
        if self.more is not None:
            faulty = len(self.mistakes) > before or any(is_in(one, place) for one in self.known)
            self.mistakes += self.more(Asked(name, payload, place, was_open, faulty))

    def _names(self, name: str, values: JsonObject, at: Mapping[str, str], place: str) -> None:
        if name == "LD_start_test":
            self.named.update(_dict(values.get("variables")))
            self.mistakes += _Test(self, values, at).mistakes()
        elif name == "LD_execute_action":
            for action in actions_of(values.get("action_list"), at.get("action_list", place)):
                self.action(action.name, action.payload, action.place)
        elif name == "LD_clear_resolver":
            self.variables = set(self.given)
            self.sources.clear()
            self.closed = True
        elif name == "LD_register_variable":
            self.set([str(values.get("name"))])
        elif name == "LD_register_variables" and isinstance(values.get("variables"), dict):
            self.set(values["variables"])
        elif name == "LD_register_csv_source":
            self.source(self.sources, values, at.get("file_path", place))
        elif name == "LD_register_csv_sources" and isinstance(values.get("sources"), list):
            for index, source in enumerate(values["sources"]):
                self.source(self.sources, source, place_of(at["sources"], (index, "file_path")))
        elif name == "LD_execute_files" and self.files is not None:
            for index, path in _texts_of(values.get(FILES)):
                self.mistakes += self.files(path, place_of(at[FILES], (index,)))
        elif name == "LD_execute_files" or self.opens(name):
            self.closed, self.opened = False, True

    def set(self, names: Collection[str]) -> None:
        self.variables.update(names)
        self.named.update(names)

    def source(self, known: dict[str, tuple[str, ...] | None], source: object, place: str) -> None:
        """Note a CSV source and its columns in `known`."""
        if not isinstance(source, dict) or not isinstance(source.get("name"), str):
            return
        name, path = source["name"], source.get("file_path")
        known[name] = None
        if not isinstance(path, str) or has_placeholder(path) or (not self.closed and not Path(path).exists()):
            return
        columns, problem = _header(source)
        if problem:
            self.mistakes.append(Mistake(place, f"{path!r} {problem}", "the path is relative to the working directory"))
        else:
            known[name] = columns


class _Test:
    """One LD_start_test: what its placeholders may use, and which can't be filled in."""

    def __init__(self, walk: Walk, arguments: JsonObject, at: Mapping[str, str]) -> None:
        self.walk = walk
        self.arguments = arguments
        self.at = at
        populations = populations_of(arguments)
        self.before = set(walk.variables).union(*(_dict(one.get("variables")) for one in (arguments, *populations)))
        self.extracted: dict[str, set[str]] = {"var": set(), "session": set()}
        for entry in _extracts(arguments):
            self.extracted.setdefault(str(entry.get("scope", "var")), set()).add(str(entry.get("var")))
        self.sources = dict(walk.sources)
        self.beside: dict[Loc, set[tuple[str, tuple[str, ...]]]] = {}  # see extracted_beside, by batch

    def mistakes(self) -> list[Mistake]:
        written: list[tuple[str, Loc, object]] = [("csv_sources", (), self.arguments.get("csv_sources"))]
        written += [("populations", (at, "csv_sources"), one.get("csv_sources")) for at, one in enumerate(populations_of(self.arguments))]
        for key, way, sources in written:
            for index, source in enumerate(sources if isinstance(sources, list) else ()):
                self.walk.source(self.sources, source, place_of(self.at[key], (*way, index, "file_path")))
        found = []
        for key, value in self.arguments.items():
            for loc, text, is_key in texts(value):
                for token in scan(text):
                    message, hint = self.problem(token, in_step=_is_per_hit(key, loc))
                    if not message and (token.kind, token.parts[:1]) in self.extracted_beside(key, loc):
                        message = f"{token.text} is extracted by this batch alone, whose steps are sent at once"
                        hint = "extract it in a step before the batch"
                    if is_key and not message:
                        message, hint = f"{token.text} is in a key, where nothing is filled in", "use it in a value"
                    if message:
                        found.append(Mistake(place_of(self.at[key], loc), message, hint))
        return found

    def extracted_beside(self, key: str, loc: Loc) -> set[tuple[str, tuple[str, ...]]]:
        """Kind and name of what only the batch extracts that holds this place, and nothing else gives a value."""
        if "batch" not in loc or not _is_per_hit(key, loc):
            return set()
        batch = (key, *loc[: loc.index("batch") + 1])
        if batch in self.beside:
            return self.beside[batch]
        inside: set[tuple[str, tuple[str, ...]]] = set()
        outside: set[tuple[str, tuple[str, ...]]] = set()
        for way, step in steps_of_test(self.arguments):
            for entry in _extracts_of(step):
                taken = (str(entry.get("scope", "var")), (str(entry.get("var")),))
                (inside if way[: len(batch)] == batch else outside).add(taken)
        self.beside[batch] = inside - outside - {("var", (name,)) for name in self.before}
        return self.beside[batch]

    def problem(self, token: Token, *, in_step: bool) -> tuple[str, str]:
        """What is wrong with `token`, and the way out; two empty texts when nothing is."""
        if token.kind == "bad":
            return (f"{token.text[:60]}: {token.problem}", token.hint)
        if not in_step and token.kind in ("session", "csv"):
            return (f"{token.text} has a value inside steps only", "use a variable here")
        if token.kind == "var":
            return self.variable(token, self.before | self.extracted["var"] if in_step else self.before)
        if token.kind == "session" and token.parts[0] not in self.extracted["session"]:
            message = f"no step of this test extracts {token.parts[0]!r} with scope session"
            return message, _near(token.parts[0], self.extracted["session"])
        if token.kind == "env" and token.parts[0] not in self.walk.env:
            return (f"the environment variable {token.parts[0]!r} is not set", "set it before the run")
        if token.kind == "csv":
            return self.column(token)
        return _faker_problem(token.parts[0]) if token.kind == "faker" else ("", "")

    def variable(self, token: Token, known: set[str]) -> tuple[str, str]:
        name = token.parts[0]
        if name in known or not self.walk.closed or name.startswith(SECRET):  # a secret is asked for when its test starts
            return "", ""
        if name in self.extracted["var"]:
            return f"the variable {name!r} has a value inside steps only, where it is extracted", "set it in variables"
        self.walk.missing.add(name)
        if name in self.extracted["session"]:
            return f"no variable {name!r} is set before this test", f"it is extracted with scope session: write ${{session.{name}}}"
        ways = "set it in variables, with LD_register_variable or by --var"
        return f"no variable {name!r} is set before this test", _near(name, known) or ways

    def column(self, token: Token) -> tuple[str, str]:
        source, column = token.parts
        if source not in self.sources:
            if not self.walk.closed:
                return "", ""
            return f"no csv source {source!r} is registered before this test", _near(source, self.sources) or "add it to csv_sources"
        columns = self.sources[source]
        if columns is None or column in columns:
            return "", ""
        return f"the csv source {source!r} has no column {column!r}", looks_separated(columns) or suggest(column, columns, "columns")


def _named(name: str, payload: object) -> dict[str, object]:
    if isinstance(payload, dict):
        return payload
    return dict(zip(_ARGUMENTS.get(name, ()), payload, strict=False)) if isinstance(payload, list) else {}


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _texts_of(value: object) -> list[tuple[int, str]]:
    return [(index, one) for index, one in enumerate(value) if isinstance(one, str)] if isinstance(value, list) else []


def _near(name: str, known: Collection[str]) -> str:
    return suggest(name, sorted(known), "known") if known else ""


def _extracts(test: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The extract entries of all steps, in whatever form they are written."""
    for _, step in steps_of_test(test):
        yield from _extracts_of(step)


def _extracts_of(step: JsonMapping) -> Iterator[dict[str, object]]:
    entries = step.get("extract")
    yield from (entry for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, dict))


def _header(source: JsonObject) -> tuple[tuple[str, ...], str]:
    """The columns of a file of rows, or what is wrong with it."""
    encoding = source.get("encoding", "utf-8")
    signs = {"delimiter": source.get("delimiter", ","), "quote": source.get("quote", '"')}
    try:
        columns = columns_in(CsvSource(source["name"], source["file_path"], encoding=encoding, **signs))
    except FileNotFoundError:
        return (), "is not there"
    except UnicodeError:
        return (), f"is not {encoding} text"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        return (), f"can't be read: {error}"
    return columns, "" if columns else "has no header row"


@cache
def _faker_problem(method: str) -> tuple[str, str]:
    try:
        fake = importlib.import_module("faker").Faker()
    except ImportError:
        return "placeholders of faker need the package faker", way_to_install("faker")
    if method.startswith("_") or not callable(getattr(fake, method, None)):
        public = [name for name in dir(fake) if not name.startswith("_") and name not in ("seed", "random")]
        return f"faker has no method {method!r}", suggest(method, public, "for example")
    return "", ""
