"""A `def` as the coroutine that it would be with an `await` at each of its waits: it needs no greenlet then.

A greenlet that waits holds its stack and the page that CPython keeps for its frames, some 8 kB; a coroutine holds its own frame alone. So
a function is compiled anew from its source, with an `await` before each `client.get(…)` and its like, and before each `sleep(…)` of
loadflow. That is done only where the source is what runs, and where all that can wait in it is known: its client goes to nobody but
functions of the same module and methods of the same class of which that is true, too, and which are compiled anew with it (`helping.py`);
and no other function of the scenario's files sleeps.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from inspect import CO_COROUTINE, CO_GENERATOR
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from loadflow.engine.generator.native.helping import BOXED, GIVEN, TWIN, Due, Helpers, Place, keep_twins
from loadflow.engine.scenario.client import VERBS
from loadflow.engine.scenario.definition import HOOKS
from loadflow.engine.scenario.messages import SPEAKERS, modules_of
from loadflow.engine.scenario.values import sleep

__all__ = ["NAP", "awaiting"]

NAP = "loadflow_nap"  # what the client calls the awaitable `sleep`
ASKED = frozenset({*VERBS, "batch"})
CATCHES = (ast.Try, ast.TryStar, ast.With)
# in which an await would be another's, or none at all
APART = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.GeneratorExp)


@lru_cache(maxsize=1_000)
def awaiting(cls: type, name: str) -> FunctionType | None:
    """The method of this name as a coroutine function; None where it may wait elsewhere, or can't be compiled anew."""
    function = getattr(cls, name, None)
    if not isinstance(function, FunctionType) or function.__code__.co_argcount < 2 or _others_sleep(cls):
        return None
    helpers = Helpers(cls, modules_of(cls))
    written = _anew(function, 1, helpers)
    twins: dict[Due, FunctionType] = {}
    while written is not None and (due := helpers.next_due()) is not None:
        twin = _anew(due.function, due.number, helpers)
        if twin is None:
            return None
        twins[due] = twin
    keep_twins(twins)
    return written


def _anew(function: FunctionType, number: int, helpers: Helpers) -> FunctionType | None:
    """A function as a coroutine function; `number`: which of its parameters is the client. `helpers` are told of those it gives that to."""
    code = function.__code__
    if code.co_flags & (CO_COROUTINE | CO_GENERATOR):
        return None
    found = _source_of(code)
    if found is None:
        return None
    tree, node = found
    waits = _Waits(code.co_varnames[number], _naps(function.__globals__), helpers, function)
    waits.look_at(node)
    if not waits.are_all:
        return None
    made = compile(ast.fix_missing_locations(_Awaited(node, waits).visit(tree)), code.co_filename, "exec", dont_inherit=True)
    anew = [one for one in _codes(made) if one.co_name == code.co_name and one.co_firstlineno == code.co_firstlineno]
    if len(anew) != 1 or anew[0].co_freevars != code.co_freevars:
        return None
    written = FunctionType(anew[0], function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    written.__kwdefaults__ = function.__kwdefaults__
    return written


class _Waits(ast.NodeVisitor):
    """Where a function waits: `calls` by its client and of `naps`, names of `sleep`; and `given`, calls of helpers that are given the
    client, each with whether an error of it may be caught here. `are_all`: it uses client and naps in no other way."""

    def __init__(self, client: str, naps: set[str], helpers: Helpers | None = None, function: FunctionType | None = None) -> None:
        self.client = client
        self.naps = naps
        self.calls: set[ast.Call] = set()
        self.given: dict[ast.Call, bool] = {}
        self.are_all = True
        self._helpers = helpers
        self._function = function
        self._apart = 0
        self._caught = 0

    def look_at(self, function: ast.FunctionDef) -> None:
        for node in function.body:
            self.visit(node)

    def visit(self, node: ast.AST) -> None:
        names = [getattr(node, key, None) for key in ("id", "name", "asname", "rest")]
        names += node.names if isinstance(node, ast.Global | ast.Nonlocal) else []
        if any(name == self.client or name in self.naps for name in names if isinstance(name, str)):
            self.are_all = False
        if isinstance(node, ast.Call) and self._is_wait(node):
            self.calls.add(node)
            self.are_all = self.are_all and not self._apart
            for part in (*node.args, *node.keywords):
                self.visit(part)
            return
        if isinstance(node, ast.Call) and (place := Place.of(node, self.client)) is not None and self._is_help(node, place):
            self.given[node] = self._caught > 0
            self.are_all = self.are_all and not self._apart
            self.visit(node.func)
            for part in (*node.args, *node.keywords):
                if part is not place.part:
                    self.visit(part)
            return
        self._apart += isinstance(node, APART)
        self._caught += isinstance(node, CATCHES)
        self.generic_visit(node)
        self._apart -= isinstance(node, APART)
        self._caught -= isinstance(node, CATCHES)

    def _is_help(self, call: ast.Call, place: Place) -> bool:
        return self._helpers is not None and self._function is not None and self._helpers.take(call, place, self._function)

    def _is_wait(self, call: ast.Call) -> bool:
        match call.func:
            case ast.Name(id=name):
                return name in self.naps
            case ast.Attribute(value=ast.Name(id=name), attr=verb):
                return name == self.client and verb in ASKED
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr=protocol)):
                return name == self.client and protocol in SPEAKERS
        return False


class _Awaited(ast.NodeTransformer):
    """The tree with one function of it as a coroutine."""

    def __init__(self, function: ast.FunctionDef, waits: _Waits) -> None:
        self._function = function
        self._waits = waits

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        if node is not self._function:
            return node
        return ast.copy_location(ast.AsyncFunctionDef(**dict(ast.iter_fields(node))), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if node in self._waits.given:
            return self._of_helper(node, is_caught=self._waits.given[node])
        if node not in self._waits.calls:
            return node
        if isinstance(node.func, ast.Name):
            client = ast.copy_location(ast.Name(self._waits.client, ast.Load()), node.func)
            node.func = ast.copy_location(ast.Attribute(client, NAP, ast.Load()), node.func)
        return ast.copy_location(ast.Await(node), node)

    def _of_helper(self, node: ast.Call, *, is_caught: bool) -> ast.AST:
        """`await client.TWIN(helper)(…)`; where an error may be caught, `client.GIVEN(await client.BOXED(helper)(…))`: no coroutine can
        raise StopIteration."""

        def of_client(name: str, *arguments: ast.expr) -> ast.Call:
            return ast.Call(ast.Attribute(ast.Name(self._waits.client, ast.Load()), name, ast.Load()), list(arguments), [])

        node.func = of_client(BOXED if is_caught else TWIN, node.func)
        made: ast.expr = ast.Await(node)
        if is_caught:
            made = of_client(GIVEN, made)
        for part in ast.walk(made):
            if not hasattr(part, "lineno") and isinstance(part, ast.expr):
                ast.copy_location(part, node)
        return ast.copy_location(made, node)


def _source_of(code: CodeType) -> tuple[ast.Module, ast.FunctionDef] | None:
    """The function in the tree of its file; None where the file is not what runs."""
    try:
        text = Path(code.co_filename).read_bytes()
        tree = ast.parse(text)
        if code not in _codes_of(text, code.co_filename):
            return None
    except (OSError, SyntaxError, ValueError):
        return None
    named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == code.co_name]
    found = [node for node in named if min([node.lineno, *(one.lineno for one in node.decorator_list)]) == code.co_firstlineno]
    return (tree, found[0]) if len(found) == 1 else None


@lru_cache(maxsize=16)
def _codes_of(text: bytes, file: str) -> frozenset[CodeType]:
    """Of all functions of a file."""
    return frozenset(_codes(compile(text, file, "exec", dont_inherit=True)))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _naps(names: dict[str, object]) -> set[str]:
    """The names of `sleep`."""
    return {name for name, value in names.items() if value is sleep}


def _is_task(method: ast.FunctionDef) -> bool:
    return any("task" in ast.unparse(decorator) for decorator in method.decorator_list)


@lru_cache(maxsize=100)
def _others_sleep(cls: type) -> bool:
    """Whether anything of the scenario's files may sleep but hooks and tasks, each of which says itself where."""
    return any(_sleeps_elsewhere(module) for module in modules_of(cls))


def _sleeps_elsewhere(module: ModuleType) -> bool:
    names = vars(module)
    naps = _naps(names)
    packages = {name for name, value in names.items() if isinstance(value, ModuleType) and value.__name__.partition(".")[0] == "loadflow"}
    try:
        tree = ast.parse(Path(str(module.__file__)).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    known: set[ast.AST] = set()
    for node in ast.walk(tree):
        methods = node.body if isinstance(node, ast.ClassDef) else ()
        for one in methods:
            if isinstance(one, ast.FunctionDef) and len(one.args.args) > 1 and (one.name in HOOKS or _is_task(one)):
                waits = _Waits(one.args.args[1].arg, naps)
                waits.look_at(one)
                known.update(call.func for call in waits.calls)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in packages or (name in naps and node not in known):
                return True
            case ast.ImportFrom(module=name, names=taken) if name in ("loadflow", "loadpilot") and node not in tree.body:
                if any(one.name in ("sleep", "*") for one in taken):
                    return True
    return False
