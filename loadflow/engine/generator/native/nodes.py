"""Templates as the native core takes them: a tree of JSON in which each placeholder has its place among a user's values.

What is known before the load is filled in here, as `resolve.template` does it; the rest the core fills in, hit by hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.fake import UnusableFaker, fake
from loadflow.engine.resolve.template import text_of
from loadflow.engine.script.placeholders import Token, has_placeholder, pieces, whole

__all__ = ["Node", "Nodes", "joined"]

Node = JsonObject | str  # one key, the kind, over what it holds; only the kind where it holds nothing

POOL_VALUES = 1_000  # of each faker method, drawn before the load


class Nodes:
    """Compiles values of one plan and remembers what they need: the places of variables and session values, pools of made-up values."""

    def __init__(self, constants: JsonMapping, env: Mapping[str, str], data: Data, initial: JsonMapping) -> None:
        self._constants = constants
        self._env = env
        self._data = data
        self._initial = initial
        self._pools: dict[str, int] = {}
        self._sources = {name: number for number, name in enumerate(data.sources)}
        self.variables: dict[str, int] = {}
        self.session: dict[str, int] = {}
        self.pools: list[list[object]] = []

    def of(self, value: Any) -> Node:
        if isinstance(value, str):
            if not has_placeholder(value):
                return {"static": value}
            token = whole(value)
            return self._token(token) if token is not None else joined(self._piece(piece) for piece in pieces(value))
        if isinstance(value, dict):
            fields = [(key, self.of(item)) for key, item in value.items()]
            if all(is_static(node) for _, node in fields):
                return {"static": {key: static_value(node) for key, node in fields}}
            return {"obj": fields}
        if isinstance(value, list | tuple):
            items = [self.of(item) for item in value]
            return {"static": [static_value(item) for item in items]} if all(map(is_static, items)) else {"arr": items}
        return {"static": value}

    def variable(self, name: str) -> int:
        return self.variables.setdefault(name, len(self.variables))

    def session_value(self, name: str) -> int:
        return self.session.setdefault(name, len(self.session))

    def initial(self) -> list[list[object]]:
        """What users begin with, by place; an empty list where a variable has no value yet."""
        return [[self._initial[name]] if name in self._initial else [] for name in self.variables]

    def cell(self, source: str, column: str) -> tuple[int, int] | None:
        rows = self._data.sources.get(source)
        position = None if rows is None else rows.index.get(column)
        return None if position is None else (self._sources[source], position)

    def _piece(self, piece: str | Token) -> Node:
        return {"static": piece} if isinstance(piece, str) else self._token(piece)

    def _token(self, token: Token) -> Node:
        return KINDS[token.kind](self, token)

    def _var(self, token: Token) -> Node:
        (name,) = token.parts
        if name in self._constants:
            return {"static": self._constants[name]}
        return {"var": (self.variable(name), name, token.text)}

    def _session(self, token: Token) -> Node:
        (name,) = token.parts
        return {"session": (self.session_value(name), name, token.text)}

    def _env_value(self, token: Token) -> Node:
        (name,) = token.parts
        if name in self._env:
            return {"static": self._env[name]}
        return {"never": f"{token.text}: no environment variable {name!r}; set it before the run"}

    def _csv(self, token: Token) -> Node:
        cell = self.cell(*token.parts)
        return {"csv": cell} if cell is not None else {"never": f"{token.text}: no such csv source or column"}

    def _faker(self, token: Token) -> Node:
        (name,) = token.parts
        if name not in self._pools:
            seed = self._data.seed
            rng = Random() if seed is None else Random(f"faker {seed} {self._data.shard} {name}")
            try:
                values = [fake(name, rng) for _ in range(POOL_VALUES)]
            except UnusableFaker as error:
                return {"never": f"{token.text}: {error}; see faker.readthedocs.io for the methods there are"}
            self._pools[name] = len(self.pools)
            self.pools.append(values)
        return {"faker": self._pools[name]}

    def _call(self, token: Token) -> Node:
        function, *arguments = token.parts
        return {"randint": [int(argument) for argument in arguments]} if function == "randint" else function

    def _bad(self, token: Token) -> Node:
        return {"never": f"{token.text}: {token.problem}; {token.hint}"}


KINDS: Mapping[str, Callable[[Nodes, Token], Node]] = {
    "var": Nodes._var,
    "session": Nodes._session,
    "env": Nodes._env_value,
    "csv": Nodes._csv,
    "faker": Nodes._faker,
    "call": Nodes._call,
    "bad": Nodes._bad,
}


def is_static(node: Node) -> bool:
    return isinstance(node, dict) and "static" in node


def static_value(node: Node) -> Any:
    assert isinstance(node, dict)
    return node["static"]


def joined(parts: Iterable[Node]) -> Node:
    """A text made of parts; static ones that stand together are one."""
    merged: list[Node] = []
    for part in parts:
        if is_static(part) and merged and is_static(merged[-1]):
            merged[-1] = {"static": text_of(static_value(merged[-1])) + text_of(static_value(part))}
        else:
            merged.append({"static": text_of(static_value(part))} if is_static(part) else part)
    if not merged:
        return {"static": ""}
    return merged[0] if len(merged) == 1 and is_static(merged[0]) else {"join": merged}
