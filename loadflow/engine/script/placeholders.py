"""The grammar of `${…}`: which placeholders a text holds, and whether each is one we know.

A placeholder runs from `${` to the next `}`; it can't hold another one, and there is no escape (`$${var.x}` is a dollar sign
and a placeholder). Its inside is trimmed. Prefix and function names are read in any case; all other names are exact.

    ${var.NAME}  ${NAME}      a variable; NAME after `var.` may hold dots, bare it may not
    ${session.NAME}           a value this virtual user extracted
    ${env.NAME}               an environment variable
    ${secret.NAME}            a secret from outside the script; for lower layers it is the variable `secret.NAME`
    ${csv.SOURCE.COLUMN}      a column of the step's row; SOURCE ends at the first dot, COLUMN may hold dots
    ${faker.METHOD}           a made-up value
    ${uuid()} ${now()} ${randint(a,b)}

This module only reads text: the checker asks it what a script will need, the template engine asks it what to fill in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["FUNCTIONS", "PREFIXES", "SECRET", "Kind", "Token", "has_placeholder", "name_trouble", "pieces", "scan", "texts", "whole"]

Kind = Literal["var", "session", "env", "csv", "faker", "call", "bad"]

SECRET = "secret."  # what the names of variables that hold secrets begin with
PREFIXES: dict[str, Kind] = {"var": "var", "secret": "var", "session": "session", "env": "env", "csv": "csv", "faker": "faker"}
FUNCTIONS: dict[str, int] = {"uuid": 0, "now": 0, "randint": 2}  # name to number of arguments

_OPEN = "${"
_CALL = re.compile(r"([^\s()]*)\s*\(([^()]*)\)", re.DOTALL)
# ASCII digits only: int() alone would also take '1_000' and other scripts' digits.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Token:
    """One placeholder: `text[start:end]` of the scanned text.

    `parts` by kind: var, session, env, faker `(name,)`; csv `(source, column)`; call `(function, *arguments)`, the function in
    lower case, the arguments trimmed and known to be right. Kind "bad": `parts` is empty and `problem` and `hint` say why.
    """

    kind: Kind
    parts: tuple[str, ...]
    text: str
    start: int
    end: int
    problem: str = ""
    hint: str = ""


def scan(text: str) -> list[Token]:
    """Which placeholders are in `text`, from left to right; an unclosed or unknown one is a token of kind "bad".

    >>> [(token.kind, token.parts) for token in scan("/shop/${ var.id }?row=${csv.users.name}&n=${randint(1, 6)}")]
    [('var', ('id',)), ('csv', ('users', 'name')), ('call', ('randint', '1', '6'))]
    """
    found = []
    start = text.find(_OPEN)
    while start >= 0:
        close = text.find("}", start)
        if close < 0:
            found.append(_bad(text, start, len(text), "'${' is never closed", "end the placeholder with '}'"))
            break
        found.append(_token(text, start, close + 1))
        start = text.find(_OPEN, close + 1)
    return found


def pieces(text: str) -> list[str | Token]:
    """The text cut into literal strings and tokens, in order; no empty strings. Joined, they are the text again."""
    cut: list[str | Token] = []
    done = 0
    for token in scan(text):
        if token.start > done:
            cut.append(text[done : token.start])
        cut.append(token)
        done = token.end
    if done < len(text):
        cut.append(text[done:])
    return cut


def whole(value: object) -> Token | None:
    """The token, if `value` is a string that is exactly one placeholder (so that the value's type is kept); else None."""
    if not isinstance(value, str) or not value.startswith(_OPEN) or value.find("}") != len(value) - 1:
        return None
    return _token(value, 0, len(value))


def texts(value: object, loc: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], str, bool]]:
    """Every string of a JSON value with its way, in order, and whether it is a key; of keys only those with a `${` in them.

    >>> list(texts({"a": ["x"], "${b}": 1}))
    [(('a', 0), 'x', False), (('${b}',), '${b}', True)]
    """
    if isinstance(value, str):
        yield loc, value, False
    elif isinstance(value, dict):
        for key, entry in value.items():
            if has_placeholder(key):
                yield (*loc, key), key, True
            yield from texts(entry, (*loc, key))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from texts(entry, (*loc, index))


def has_placeholder(value: object) -> bool:
    """Whether `value` is a string that has a `${` in it, closed or not."""
    return isinstance(value, str) and _OPEN in value


def _token(text: str, start: int, end: int) -> Token:
    inside = text[start + len(_OPEN) : end - 1].strip()
    if not inside:
        return _bad(text, start, end, "a placeholder with nothing in it", "write a name, as in ${var.name}")
    if _OPEN in inside:
        return _bad(text, start, end, "a placeholder can't hold another one, or is not closed before the next", "close it with '}'")
    if "(" in inside or ")" in inside:
        return _call(text, start, end, inside)
    if "." not in inside:
        return Token("var", (inside,), text[start:end], start, end)
    return _dotted(text, start, end, inside)


def _dotted(text: str, start: int, end: int, inside: str) -> Token:
    prefix, _, name = (part.strip() for part in inside.partition("."))
    kind = PREFIXES.get(prefix.lower())
    if kind is None:
        return _bad(text, start, end, f"{prefix!r} is not a placeholder prefix", _suggest(prefix, PREFIXES))
    if kind == "csv":
        source, _, column = (part.strip() for part in name.partition("."))
        if not source or not column:
            return _bad(text, start, end, "a csv placeholder needs a source and a column", "write ${csv.source.column}")
        return Token(kind, (source, column), text[start:end], start, end)
    if not name:
        return _bad(text, start, end, f"nothing follows '{prefix}.'", f"write ${{{prefix.lower()}.name}}")
    return Token(kind, (SECRET + name if prefix.lower() == "secret" else name,), text[start:end], start, end)


def _call(text: str, start: int, end: int, inside: str) -> Token:
    match = _CALL.fullmatch(inside)
    if match is None:
        return _bad(text, start, end, f"{inside!r} is not a function call", "functions: uuid(), now(), randint(a,b)")
    name = match[1].lower()
    arguments = tuple(part.strip() for part in match[2].split(",")) if match[2].strip() else ()
    if name not in FUNCTIONS:
        return _bad(text, start, end, f"{match[1]!r} is not a placeholder function", _suggest(name, FUNCTIONS))
    if len(arguments) != FUNCTIONS[name]:
        wanted = "two whole numbers" if FUNCTIONS[name] else "nothing"
        return _bad(text, start, end, f"{name}() takes {wanted}, not {len(arguments)} argument(s)", _usage(name))
    if name == "randint":
        for argument in arguments:
            if _INTEGER.fullmatch(argument) is None:
                return _bad(text, start, end, f"randint() takes whole numbers, not {argument!r}", _usage(name))
        if int(arguments[0]) > int(arguments[1]):
            return _bad(text, start, end, f"randint({arguments[0]},{arguments[1]}) has no number in it", "the smaller bound comes first")
    return Token("call", (name, *arguments), text[start:end], start, end)


def _usage(name: str) -> str:
    return "write ${randint(1,6)}" if name == "randint" else f"write ${{{name}()}}"


def _suggest(name: str, known: dict[str, Kind] | dict[str, int]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _bad(text: str, start: int, end: int, problem: str, hint: str) -> Token:
    return Token("bad", (), text[start:end], start, end, problem, hint)


def name_trouble(name: object) -> str:
    """Why `name` could never be written in a placeholder; "" if it can.

    >>> name_trouble("user.id")
    ''
    >>> name_trouble("a}b")
    "'a}b' holds '}', which would end the placeholder"
    """
    if not isinstance(name, str):
        return f"a name is text, not {type(name).__name__}"
    if not name.strip():
        return "a name can't be empty"
    if name != name.strip():
        return f"{name!r} begins or ends with a blank, which placeholders drop"
    if "}" in name:
        return f"{name!r} holds '}}', which would end the placeholder"
    return ""
