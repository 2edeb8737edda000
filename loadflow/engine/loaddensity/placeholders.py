"""What LoadDensity makes of placeholders: text, always. Finds where that shows, and which variables have to be text for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from loadflow.engine.resolve.fake import UnusableFaker, fake
from loadflow.engine.resolve.template import text_of
from loadflow.engine.script.placeholders import Token, has_placeholder, pieces, scan, texts, whole

__all__ = ["AS_TEXT", "Known", "Variable"]

AS_TEXT = "as_text"  # the variable that holds nothing: a placeholder that stands before it is a part of a longer text


@dataclass(slots=True)
class Variable:
    """One variable, where it is written: `holder[key]` is its value. `file`: as in `Change`."""

    holder: Any
    key: Any
    place: str
    file: str

    @property
    def value(self) -> Any:
        return self.holder[self.key]


@dataclass(slots=True)
class Known:
    """The variables that a test's steps see, by name, those its steps extract, and what was found out about them.

    `shown` are those whose type shows in what a step sends or decides, with the key of the difference.
    """

    variables: dict[str, Variable]
    extracted: set[str]
    shown: dict[str, str] = field(default_factory=dict)
    as_text: bool = False  # whether AS_TEXT is needed

    def constant(self, token: Token) -> Variable | None:
        """The variable that a placeholder stands for, where its value is written in the script and never changes."""
        name = token.parts[0] if token.kind == "var" else ""
        return self.variables.get(name) if name and name not in self.extracted else None

    def filled(self, text: str) -> str:
        """`text` with what is written in the script filled in."""
        return "".join(self._filled(piece) for piece in pieces(text))

    def _filled(self, piece: str | Token) -> str:
        variable = None if isinstance(piece, str) else self.constant(piece)
        return text_of(variable.value) if variable is not None else piece if isinstance(piece, str) else piece.text

    def steady(self, text: str) -> str:
        """`text` as a name: what changes from hit to hit is a word in braces, so that names stay few."""
        return "".join(piece if isinstance(piece, str) else self._steady(piece) for piece in pieces(text))

    def _steady(self, token: Token) -> str:
        if token.kind == "env" or (token.kind == "var" and token.parts[0] not in self.extracted):
            return token.text
        return "{" + (".".join(token.parts[:2]) if token.kind == "csv" else token.parts[0] if token.parts else "…") + "}"

    def written(self, value: object) -> None:
        """Note whose spelling shows in `value`: true and lists are written otherwise in Python than in JSON."""
        for _, text, _ in texts(value):
            for token in scan(text):
                variable = self.constant(token)
                if variable is not None and isinstance(variable.value, bool | list | dict):
                    self.shown.setdefault(token.parts[0], "spelling")

    def compared(self, value: object, other: object) -> None:
        """Note whose type decides a condition: lists, and true beside the word 'true', which LoadDensity writes 'True'."""
        token = whole(value)
        variable = self.constant(token) if token is not None else None
        if token is None or variable is None:
            return
        found = variable.value
        if isinstance(found, list | dict):
            shows = True
        elif isinstance(found, bool):
            shows = other in ("true", "false") or has_placeholder(other)
        else:
            shows = isinstance(found, float) and found == 0 and other is None  # 0.0 is a text that is not false
        if shows:
            self.shown.setdefault(token.parts[0], "condition-never")

    def as_json(self, value: object) -> object:
        """A value whose types show, with every placeholder in it as text."""
        if isinstance(value, dict):
            return {key: self.as_json(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.as_json(entry) for entry in value]
        token = whole(value)
        if token is None:
            self.written(value)
            return value
        variable = self.constant(token)
        if variable is not None:
            if not isinstance(variable.value, str) and variable.value is not None:
                self.shown.setdefault(token.parts[0], "json-types")
            return value
        if not _may_be_no_text(token):
            return value
        self.as_text = True
        return f"{value}${{var.{AS_TEXT}}}"


def _may_be_no_text(token: Token) -> bool:
    if token.kind == "faker":
        try:
            return not isinstance(fake(token.parts[0], Random(0)), str)
        except (UnusableFaker, ImportError):
            return False
    return token.kind in ("var", "session") or (token.kind == "call" and token.parts[0] == "randint")
