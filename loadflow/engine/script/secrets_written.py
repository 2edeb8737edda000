"""The secrets that a script's text holds, in whatever form its actions are written."""

from __future__ import annotations

from collections.abc import Mapping

from loadflow.engine.base.redact import Redactor
from loadflow.engine.script.arguments import NESTED, named
from loadflow.engine.script.command import Command

__all__ = ["learn_document"]


def learn_document(redactor: Redactor, document: object, commands: Mapping[str, Command]) -> None:
    """Have `redactor` mask what stands under a secret's name in `document`, a script or a part of one, checked or not.

    An argument has the name of its place too, where it is written by its position, and the arguments that a command calls
    secret are masked whole. A nested document counts as well; the parser bounds how deep they nest.
    """
    redactor.learn_from(document)
    _learn(redactor, document, commands)


def _learn(redactor: Redactor, document: object, commands: Mapping[str, Command]) -> None:
    if isinstance(document, Mapping):
        for value in document.values():
            _learn(redactor, value, commands)
    elif isinstance(document, list):
        command = commands.get(document[0]) if document and isinstance(document[0], str) else None
        if command is not None and len(document) > 1:
            arguments = named(command, document[1])
            redactor.learn_from({name: value for name, value in arguments.items() if name != NESTED})
            redactor.learn([value for name, value in arguments.items() if name in command.secrets])
        for entry in document:
            _learn(redactor, entry, commands)
