"""Commands from Python packages: only from those that the host allowed, because importing a package runs its code.

A script names a package in `LD_add_package_to_executor`; the functions that are public and defined there become commands. A
name that another command has is taken as `package.name` instead, and nothing is ever replaced.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loadflow.engine.script.command import Command, Commands, Policy
from loadflow.engine.script.mistakes import place_of, shorten
from loadflow.engine.script.visit import every_action
from loadflow.engine.session.session import PACKAGES_VARIABLE, Session, current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["ADD_PACKAGE", "Announced", "add_package_to_executor", "allow_packages", "announced_packages"]

ADD_PACKAGE = "LD_add_package_to_executor"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


def allow_packages(*names: str) -> None:
    """Let scripts of the current session load these packages, with their submodules.

    >>> allow_packages("shop_checks")
    """
    for name in names:
        _check_name(name)
    current_session().allowed_packages.update(names)


def add_package_to_executor(package: str) -> list[str]:
    """Make the public functions of an allowed package commands; returns the names they have.

    Loading it again changes nothing and returns the same names. Raises CommandError when the package is not allowed, is not
    there, or fails while it is imported.
    """
    session = current_session()
    commands = package_commands(package, session, session.commands)
    session.own_commands.update(commands)
    return sorted(commands)


def package_commands(package: str, session: Session, taken: Mapping[str, Command]) -> dict[str, Command]:
    """The commands that loading `package` adds to those `taken`, by name. Imports it."""
    _check_name(package)
    if not session.may_load(package):
        top = package.split(".", 1)[0]
        way_out = f"who runs this allows it: {PACKAGES_VARIABLE}={top}, or loadflow.allow_packages({top!r})"
        raise _refused(f"the package {package!r} is not allowed", way_out)
    found: dict[str, Command] = {}
    for name, function in _functions(package).items():
        for free in (name, f"{package}.{name}"):
            if free not in taken or taken[free].function is function:
                first_line = (inspect.getdoc(function) or "").split("\n", 1)[0]
                found[free] = Command(free, function, first_line or f"From the package {package}.", Policy(retry_safe=False))
                break
        else:
            raise _refused(f"{name!r} and '{package}.{name}' are commands already", "load the package before what took these names")
    if not found:
        raise _refused(f"the package {package!r} defines no public functions", "name the module that defines them")
    return found


def _functions(package: str) -> dict[str, Callable[..., object]]:
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is not None and (package == error.name or package.startswith(f"{error.name}.")):
            raise _refused(f"there is no package {package!r}", "check its name, and that it is installed where this runs") from None
        raise _refused(f"the package {package!r} needs {error.name!r}, which is not there", "install it") from error
    except Exception as error:  # importing runs the package's own code, which may raise anything
        what = f"the package {package!r} can't be imported: {type(error).__name__}: {error}"
        raise _refused(what, "import it in Python to see where it fails") from error
    own = {name: value for name, value in vars(module).items() if not name.startswith("_") and inspect.isfunction(value)}
    return {name: function for name, function in sorted(own.items()) if f"{function.__module__}.".startswith(f"{package}.")}


@dataclass(slots=True)
class Announced:
    """What a script will load: the commands that come with it, and why some of it can't be loaded."""

    commands: dict[str, Command] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def announced_packages(document: object, session: Session) -> Announced:
    """What the `LD_add_package_to_executor` actions in a raw document will add, in its order.

    Allowed packages are imported here, so that the script can be checked whole; others are mistakes, and are not. An action
    that names a command before the action which loads it is a mistake, too.
    """
    announced = Announced()
    if not session.guard.allows_command(ADD_PACKAGE):
        return announced
    before = session.commands
    late: list[tuple[str, str]] = []
    for action in every_action(document):
        if action.name != ADD_PACKAGE:
            if action.name not in before and action.name not in announced.commands:
                late.append((action.name, action.place))
            continue
        at, package = _named(action.payload)
        if not isinstance(package, str):
            continue  # the parser says what is wrong with it
        try:
            announced.commands.update(package_commands(package, session, Commands(announced.commands, before)))
        except CommandError as error:
            announced.mistakes += [Mistake(place_of(action.place, at), mistake.message, mistake.hint) for mistake in error.mistakes]
    announced.mistakes += [
        Mistake(place, f"{shorten(name)} is loaded only after this action", f"move its {ADD_PACKAGE} before it")
        for name, place in late
        if name in announced.commands
    ]
    return announced


def _named(payload: object) -> tuple[tuple[str | int, ...], object]:
    if isinstance(payload, dict):
        return ("package",), payload.get("package")
    return ("arguments", 0), payload[0] if isinstance(payload, list) and payload else None


def _check_name(package: object) -> None:
    if not isinstance(package, str) or not _NAME.fullmatch(package):
        raise _refused(
            f"{shorten(package)} is not a name of a package", "write it as in an import: letters, digits, _ and dots, ASCII only"
        )


def _refused(message: str, hint: str) -> CommandError:
    return CommandError([Mistake("package", message, hint)])
