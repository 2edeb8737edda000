"""The commands that a program adds to its session."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from loadflow.engine.script.builtin_functions import is_blocked
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["add_command_to_executor"]


def add_command_to_executor(command_dict: Mapping[str, Callable[..., object]]) -> None:
    """Make own functions callable from the current session's scripts, and tasks of its flows.

    All are added or none. Raises CommandError for a value that can't be called, whose signature can't be read, or for a
    name that loadflow's own commands have or that no script may use. An own command of the same name is replaced.

    >>> add_command_to_executor({"LD_slack_notify": lambda message: None})
    """
    session = current_session()
    builtin = set(session.commands) - set(session.own_commands)
    mistakes = []
    for name, function in command_dict.items():
        if not isinstance(name, str) or not name.strip() or is_blocked(name):
            mistakes.append(
                Mistake(repr(name), "can't be the name of a command", "use a word that scripts may write, such as LD_slack_notify")
            )
        elif name in builtin:
            mistakes.append(Mistake(name, "is a command already", "give yours another name"))
        elif not callable(function):
            mistakes.append(Mistake(name, f"{type(function).__name__} can't be called", "give a function or another callable"))
        elif (trouble := _signature_trouble(function)) is not None:
            mistakes.append(Mistake(name, f"its signature can't be read ({trouble})", "wrap it in a function with named parameters"))
    if mistakes:
        raise CommandError(mistakes)
    for name, function in command_dict.items():
        first_line = (inspect.getdoc(function) or "").split("\n", 1)[0]
        session.own_commands[name] = Command(name, function, first_line or "An own command.", Policy(retry_safe=False))


def _signature_trouble(function: Callable[..., object]) -> str | None:
    try:
        inspect.signature(function)
    except (TypeError, ValueError) as error:
        return str(error)
    return None
