"""The check of a script before anything is sent: what it says, then each action tried in a session that does nothing.

The trial calls the commands themselves, so it finds what a run would find; what only a hit, a server or an own command shows is
left to them. Files of actions are checked where they are called, with what the actions before them have set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadflow.engine.base.extras import way_to_install
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.load_test.check import Asked, Walk
from loadflow.engine.resolve.static import tokens_in
from loadflow.engine.resolve.variables import suggestion
from loadflow.engine.script.arguments import signature_of
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.script.command import Command, Commands
from loadflow.engine.script.declared import DECLARED_KEY, defaults_of, value_trouble
from loadflow.engine.script.document import Script, parse_script, read_script
from loadflow.engine.script.json_text import load_json
from loadflow.engine.script.mistakes import is_in, place_of
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.session.guard import is_path_argument
from loadflow.engine.session.packages import announced_packages
from loadflow.engine.session.session import Session, use_session
from loadflow.engine.session.table import TABLE
from loadflow.errors import Mistake, RunError, ScriptError

__all__ = ["NO_VALUE", "Checking", "paths_in", "unused_variables"]

MOST_FILES_DEEP = 16
NO_VALUE = "has no value"  # of a variable that is declared without default, and not given


class Checking:
    """Checks scripts that will run one after the other in a session; each leaves to the next what its actions set."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._trial = _Trial(session.rehearsal())
        self._commands: Mapping[str, Command] = session.commands
        self._open: list[Path] = []  # files of actions that call each other
        self.walk = Walk(
            session.environment,
            set(session.variables.values),
            dict(session.variables.columns),
            given=frozenset(session.variables.given),
            named={token.parts[0] for token in tokens_in(session.variables.given) if token.kind == "var"},
            files=self._mistakes_of_file,
            more=self._trial,
            opens=self._opens,
        )

    def script(self, document: object, *, source: str = "", name: str = "") -> Script:
        """The script that `document` (a list, a mapping, or JSON text) is. Raises ScriptError with all mistakes at once."""
        if isinstance(document, str):
            document, mistakes = load_json(document)
            if mistakes:
                raise ScriptError(mistakes, source)
        session, walk = self._session, self.walk
        announced = announced_packages(document, session)
        commands = self._commands = Commands(self._commands, announced.commands)

        def also(script: Script, known: Sequence[Mistake]) -> list[Mistake]:
            refused = session.guard.mistakes(script, commands, session.report_dir)
            if refused:
                return refused  # further checks look into files, and their messages would show what is in them
            outer = walk.mistakes, walk.known, walk.given  # of the script that calls this one as a file
            walk.mistakes, walk.known = [*announced.mistakes, *self._declared(script)], {one.place for one in known}
            walk.given = {*walk.given, *script.variables}
            walk.set(script.variables)
            with self._trial.session.variables.declared(defaults_of(script.variables)):
                for action in script.actions:
                    walk.action(action.name, action.arguments, action.place)
            found = walk.mistakes
            walk.mistakes, walk.known, walk.given = outer
            return found

        return parse_script(document, commands=commands, source=source, name=name or session.name, also=also)

    @property
    def engines(self) -> list[tuple[tuple[str, ...], str, str]]:
        """Who would make the loads whose users speak several protocols: see `Session`."""
        return self._trial.session.engines

    def file(self, path: str, *, name: str = "") -> Script:
        """The script in a file."""
        return self.script(read_script(path), source=str(path), name=name or str(path))

    def _opens(self, name: str) -> bool:
        """Whether the command may set variables that the script does not show: an own one may do anything."""
        if name in TABLE:
            return TABLE[name].opens
        return name not in BUILTINS and (name in self._commands or not name.startswith("LD_"))

    def _declared(self, script: Script) -> list[Mistake]:
        """What is wrong with the values of the variables that the script declares."""
        given, found = self._trial.session.variables.given, []
        for name, declared in script.variables.items():
            place = place_of(DECLARED_KEY, (name,))
            if name in given:
                if trouble := value_trouble(declared, given[name]):
                    found.append(Mistake(place, f"the value that was given {trouble}", declared.description))
            elif not declared.has_default:
                found.append(Mistake(place, NO_VALUE, f"give it: --var {name}=…"))
        self._trial.settled = self._trial.settled and not found  # what a trial would find follows from these
        return found

    def _mistakes_of_file(self, path: str, place: str) -> list[Mistake]:
        """Of a file that the action at `place` calls: what is wrong inside of it has a place that begins with the file."""
        here = Path(path).absolute()
        if here in self._open or len(self._open) >= MOST_FILES_DEEP:
            way = " → ".join(one.name for one in [*self._open, here])
            return [Mistake(place, f"files of actions call each other without end: {way}", "take one of these calls out")]
        self._open.append(here)
        try:
            self.file(path)
        except ScriptError as error:
            self._trial.settled = False
            return [
                Mistake(f"{path}: {one.place}", one.message, one.hint) if one.place else Mistake(place, f"{path}: {one.message}", one.hint)
                for one in error.mistakes
            ]
        finally:
            self._open.pop()
        return []


@dataclass(slots=True)
class _Trial:
    """Calls commands in a session that rehearses. `settled`: everything that the session should hold by now is in it."""

    session: Session
    settled: bool = True

    def __call__(self, asked: Asked) -> list[Mistake]:
        command = self.session.commands.get(asked.name)
        if command is None or not command.dry or not self.settled:
            return []
        if asked.open:
            self.session.loads.append(None)  # an own command may have made one
        named, at = _bound(command, asked)
        if asked.faulty or (asked.open and not self._is_known(named)):
            self._missed(command)
            return []
        try:
            with use_session(self.session):
                _call(command, asked.arguments)
        except ScriptError as error:
            self._missed(command)
            of_file = f"{error.source}: " if error.source else ""
            return [_placed(Mistake(one.place, f"{of_file}{one.message}", one.hint), asked, at) for one in error.mistakes]
        except RunError:
            return []  # of the machine, which may be another when the script runs
        except ImportError as error:
            return [Mistake(asked.place, f"needs {error.name or error}, which is not there", way_to_install(error.name or str(error)))]
        return []

    def _missed(self, command: Command) -> None:
        """A load changes nothing, so what comes after it can still be tried; what another command should have set is missing from now."""
        if command.loads:
            self.session.loads.append(None)
        self.settled = self.settled and (command.loads or not command.sets)

    def _is_known(self, arguments: JsonMapping) -> bool:
        """After an action that may set variables and write files: whether these arguments need nothing of what it may have made."""
        known = self.session.variables
        variables = {*known.values, *(arguments.get("variables") or {})}
        sources = {*known.columns, *_names_of(arguments)}
        for token in tokens_in(arguments):
            if token.kind == "var" and token.parts[0] not in variables and token.parts[0] not in _extracted(arguments):
                return False
            if token.kind == "csv" and token.parts[0] not in sources:
                return False
        return all(has_placeholder(path) or Path(path).exists() for path in paths_in(arguments))


def unused_variables(checks: Sequence[Checking], given: Sequence[str], what: str = "--var") -> list[Mistake]:
    """A mistake for each given variable that none of the checked scripts names; none where an own command may use any."""
    if any(check.walk.opened for check in checks):
        return []
    named = sorted({name for check in checks for name in check.walk.named})
    return [
        Mistake(f"{what} {name}", "nothing in the script uses this variable", suggestion(name, named) or _known_words(named))
        for name in given
        if name not in named
    ]


def _known_words(named: Sequence[str]) -> str:
    return f"it uses {', '.join(named[:10])}" if named else "it uses none; remove it"


def _call(command: Command, arguments: object) -> None:
    match arguments:
        case dict():
            command.function(**arguments)
        case list():
            command.function(*arguments)
        case _:
            command.function()


def _bound(command: Command, asked: Asked) -> tuple[dict[str, object], dict[str, str]]:
    """The arguments by name, and where each stands, or would stand if it were there."""
    signature = signature_of(command)
    names = signature.model.keys()
    at = {name: place_of(asked.place, (name,)) for name in names}
    if isinstance(asked.arguments, dict):
        return asked.arguments, at
    given = asked.arguments if isinstance(asked.arguments, list) else []
    named = dict(zip(signature.positional, given, strict=False))
    return named, {**at, **{name: place_of(asked.place, ("arguments", index)) for index, name in enumerate(named)}}


def _placed(mistake: Mistake, asked: Asked, at: Mapping[str, str]) -> Mistake:
    """A command names its argument, and sometimes itself before it; the author looks for the action."""
    within = mistake.place.removeprefix(asked.name).lstrip(".")
    for argument, place in at.items():
        if is_in(within, argument):
            return Mistake(f"{place}{within.removeprefix(argument)}", mistake.message, mistake.hint)
    if not within or within != mistake.place:  # of the command itself
        return Mistake(".".join(part for part in (asked.place, within) if part), mistake.message, mistake.hint)
    return Mistake(asked.place, f"{within}: {mistake.message}", mistake.hint)


def paths_in(arguments: object, key: str = "") -> Iterator[str]:
    """Every path that the arguments name."""
    if isinstance(arguments, dict):
        for inner, value in arguments.items():
            yield from paths_in(value, inner if is_path_argument(inner) or inner in ("verify", "proto") else "" if key != "files" else key)
    elif isinstance(arguments, list):
        for value in arguments:
            yield from paths_in(value, key)
    elif isinstance(arguments, str) and key and arguments.lower() not in ("true", "false"):
        yield arguments


def _names_of(arguments: object) -> set[str]:
    sources = arguments.get("csv_sources") if isinstance(arguments, dict) else None
    return {str(one.get("name")) for one in sources if isinstance(one, dict)} if isinstance(sources, list) else set()


def _extracted(arguments: object) -> set[str]:
    """The names that some step of a test extracts."""
    if isinstance(arguments, dict):
        own = {str(entry["var"]) for entry in arguments.get("extract") or () if isinstance(entry, dict) and "var" in entry}
        return own.union(*map(_extracted, arguments.values()))
    return set().union(*map(_extracted, arguments)) if isinstance(arguments, list) else set()
