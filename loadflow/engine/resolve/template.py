"""JSON values with `${…}` in them, compiled once per plan so that a step costs only what changes.

`compile_value` turns each placeholder into a function of a `Scope` and each part without one into itself: a static part is
one object shared by all renderings of all users, never copied. So what a rendering gives must not be changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.base.values import text_of
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.script.placeholders import Token, has_placeholder, pieces, whole
from loadflow.errors import Mistake, ScriptError

__all__ = ["Compiled", "Compiler", "compile_value", "known_text", "text_of"]

Render = Callable[[Scope], object]


class Compiled:
    """A value to fill in: with `is_static`, `value` is it; else `render(scope)` makes it, and `value` is None.

    `render` works for static ones too; asking `is_static` first saves the call. `render` raises `MissingValue`.
    """

    __slots__ = ("is_static", "render", "value")

    def __init__(self, value: Any = None, render: Render | None = None) -> None:
        self.is_static = render is None
        self.value = value
        self.render: Render = render if render is not None else lambda _: value

    def __repr__(self) -> str:
        return f"Compiled({self.value!r})" if self.is_static else "Compiled(<dynamic>)"


Compiler = Callable[[object], Compiled]  # `compile_value` with a plan's constants and environment filled in


def compile_value(value: object, constants: Mapping[str, object], env: Mapping[str, str] | None = None) -> Compiled:
    """How to fill in `value`, any JSON value; the keys of objects are names and can't hold placeholders.

    `constants` are the variables that no step changes; they and `env` are filled in now. What they hold is not looked through
    for further placeholders. A string that is one placeholder takes the type of its value; in longer strings values stand as
    `text_of` writes them. Raises `ScriptError` if text is not a placeholder or is in a key.

    >>> from loadflow.engine.resolve.data import Data
    >>> compiled = compile_value({"id": "${id}", "url": "${host}/${id}", "n": [1]}, {"host": "http://x"})
    >>> compiled.render(Scope({"id": 5}, Data()))
    {'id': 5, 'url': 'http://x/5', 'n': [1]}
    """
    return _compile(value, _Known(constants, env or {}))


def known_text(text: str, compiler: Compiler) -> str:
    """`text` with what is known before any hit filled in; other placeholders stay as they are written.

    >>> known_text("${host}/item/${id}", lambda value: compile_value(value, {"host": "http://x"}))
    'http://x/item/${id}'
    """
    filled = []
    for piece in pieces(text):
        compiled = compiler(piece if isinstance(piece, str) else piece.text)
        filled.append(text_of(compiled.value) if compiled.is_static else str(piece if isinstance(piece, str) else piece.text))
    return "".join(filled)


class _Known:
    """What can be filled in at compile time."""

    __slots__ = ("constants", "env")

    def __init__(self, constants: JsonMapping, env: Mapping[str, str]) -> None:
        self.constants = constants
        self.env = env

    def compiled(self, token: Token) -> Compiled:
        """The value of one placeholder with its own type."""
        name = token.parts[0] if token.parts else ""
        match token.kind:
            case "var" if name in self.constants:
                return Compiled(self.constants[name])
            case "env" if name in self.env:
                return Compiled(self.env[name])
            case "var":
                return Compiled(render=_variable(token))
            case "session":
                return Compiled(render=_session(token))
            case "env":
                return Compiled(render=_never(token, f"no environment variable {name!r}; set it before the run"))
            case "csv":
                return Compiled(render=_cell(token))
            case "faker":
                return Compiled(render=lambda scope: scope.faker(name))
            case "call":
                return Compiled(render=_call(token))
            case "bad":
                raise ScriptError([Mistake(token.text, token.problem, token.hint)])


def _compile(value: object, known: _Known) -> Compiled:
    if isinstance(value, str):
        if not has_placeholder(value):
            return Compiled(value)
        token = whole(value)
        return known.compiled(token) if token is not None else _joined(value, known)
    if isinstance(value, dict):
        return _object(value, known)
    if isinstance(value, list | tuple):
        return _array(value, known)
    return Compiled(value)


def _object(value: dict[Any, Any], known: _Known) -> Compiled:
    compiled = {}
    for key, item in value.items():
        if has_placeholder(key):
            hint = "keys are names and stay as they are: put the placeholder into a value"
            raise ScriptError([Mistake(key, "a placeholder in a key", hint)])
        compiled[key] = _compile(item, known)
    if all(item.is_static and item.value is value[key] for key, item in compiled.items()):
        return Compiled(value)
    # The dynamic keys are there too, holding None, so that a copy has every key in the author's order.
    frame = {key: item.value for key, item in compiled.items()}
    renders = [(key, item.render) for key, item in compiled.items() if not item.is_static]
    return Compiled(render=_filled(frame, renders)) if renders else Compiled(frame)


def _array(value: list[Any] | tuple[object, ...], known: _Known) -> Compiled:
    compiled = [_compile(item, known) for item in value]
    if all(item.is_static and item.value is old for item, old in zip(compiled, value, strict=True)):
        return Compiled(value)
    frame = [item.value for item in compiled]
    renders = [(position, item.render) for position, item in enumerate(compiled) if not item.is_static]
    if not renders:
        return Compiled(frame)
    return Compiled(render=_filled(frame, renders))


def _filled(frame: Any, renders: list[tuple[Any, Render]]) -> Render:
    """A copy of `frame` (dict or list) with the values of `renders` put in."""

    def fill(scope: Scope) -> object:
        made = frame.copy()
        for place, render in renders:
            made[place] = render(scope)
        return made

    return fill


def _joined(text: str, known: _Known) -> Compiled:
    """A string of which placeholders are only a part."""
    parts: list[str | Render] = []
    for piece in pieces(text):
        part: str | Render
        if isinstance(piece, str):
            part = piece
        else:
            compiled = known.compiled(piece)
            part = text_of(compiled.value) if compiled.is_static else compiled.render
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    match parts:
        case [str() as only]:
            return Compiled(only)
        case [render] if not isinstance(render, str):
            return Compiled(render=_around("", render, ""))
        case [str() as before, render] if not isinstance(render, str):
            return Compiled(render=_around(before, render, ""))
        case [render, str() as after] if not isinstance(render, str):
            return Compiled(render=_around("", render, after))
        case [str() as before, render, str() as after] if not isinstance(render, str):
            return Compiled(render=_around(before, render, after))
    return Compiled(render=_join(parts))


def _around(before: str, render: Render, after: str) -> Render:
    """The commonest string by far, `/items/${id}`, without a list and a join."""

    def around(scope: Scope) -> str:
        value = render(scope)
        return f"{before}{value if value.__class__ is str else text_of(value)}{after}"

    return around


def _join(parts: list[str | Render]) -> Render:
    frame = [part if isinstance(part, str) else "" for part in parts]
    renders = [(position, part) for position, part in enumerate(parts) if not isinstance(part, str)]

    def join(scope: Scope) -> str:
        made = frame.copy()
        for position, render in renders:
            value = render(scope)
            made[position] = value if value.__class__ is str else text_of(value)
        return "".join(made)

    return join


def _variable(token: Token) -> Render:
    (name,) = token.parts

    def variable(scope: Scope) -> Any:
        try:
            return scope.variables[name]
        except KeyError:
            raise MissingValue(
                token.text, f"this user has no variable '{name}' now; register it, or let an earlier step extract it"
            ) from None

    return variable


def _session(token: Token) -> Render:
    (name,) = token.parts

    def session(scope: Scope) -> Any:
        try:
            return scope.session[name]
        except KeyError:
            reason = f"this user has no session value '{name}' now; let an earlier step extract it with scope 'session'"
            raise MissingValue(token.text, reason) from None

    return session


def _cell(token: Token) -> Render:
    source, column = token.parts

    def cell(scope: Scope) -> str:
        return scope.csv(source, column)

    return cell


def _call(token: Token) -> Render:
    function, *arguments = token.parts
    if function == "uuid":
        return Scope.uuid4
    if function == "now":
        return Scope.now
    low, high = map(int, arguments)
    return lambda scope: scope.randint(low, high)


def _never(token: Token, reason: str) -> Render:
    def never(_: Scope) -> object:
        raise MissingValue(token.text, reason)

    return never
