"""What a function of a scenario holds in its hands while it is read, beside values: its user, the client, methods of both; and words."""

from __future__ import annotations

from types import FunctionType

from loadflow.engine.scenario.symbols import Symbol, Value

__all__ = ["REFUSED", "Bound", "Client", "Draw", "Method", "Speaker", "User", "Verb"]

# what Python has and steps have not, in a person's words
REFUSED = {
    "While": "repeats while a condition holds",
    "Try": "catches exceptions",
    "TryStar": "catches exceptions",
    "With": "uses with",
    "AsyncWith": "uses async with",
    "AsyncFor": "uses async for",
    "Match": "uses match",
    "Raise": "raises an exception",
    "Global": "changes names of its module",
    "Nonlocal": "changes names of the function around it",
    "Delete": "deletes a name or an entry",
    "Import": "imports a module",
    "ImportFrom": "imports a module",
    "FunctionDef": "defines a function",
    "AsyncFunctionDef": "defines a function",
    "ClassDef": "defines a class",
    "Lambda": "defines a function",
    "GeneratorExp": "uses a generator",
    "SetComp": "uses a set",
    "Set": "uses a set, whose order is not fixed",
    "Yield": "is a generator",
    "YieldFrom": "is a generator",
}


class Client(Symbol):
    what = "the client"


class User(Symbol):
    """`self`: one user. `values`: what on_start has set; they are read in tasks."""

    what = "the user"

    def __init__(self, cls: type, values: dict[str, Value]) -> None:
        self.cls = cls
        self.values = values


class Verb:
    """An attribute of the client."""

    def __init__(self, verb: str) -> None:
        self.verb = verb


class Speaker:
    """What the client speaks beside HTTP, e.g. `client.websocket`."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol


class Bound:
    def __init__(self, user: User, function: FunctionType) -> None:
        self.user = user
        self.function = function


class Method:
    def __init__(self, holder: Value, name: str) -> None:
        self.holder = holder
        self.name = name


class Draw:
    def __init__(self, placeholder: str, *, is_text: bool) -> None:
        self.placeholder = placeholder
        self.is_text = is_text
