"""One call of a function of a scenario, read statement by statement.

It walks the syntax tree with plain values where they are plain and symbols for what only the load has. What it has no rule for it refuses,
with the reason; nothing of Python runs that the function calls, but for the pure functions of a short list on plain values.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from enum import Enum, EnumType
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from loadflow.engine.base.counted import a
from loadflow.engine.scenario import expressions
from loadflow.engine.scenario.asserting import conditions_of
from loadflow.engine.scenario.client import VERBS
from loadflow.engine.scenario.code import FunctionNode, Module, fields_of, is_constant
from loadflow.engine.scenario.definition import VUser, task
from loadflow.engine.scenario.handles import REFUSED, Bound, Client, Draw, Method, Speaker, User, Verb
from loadflow.engine.scenario.messages import SPEAKERS
from loadflow.engine.scenario.symbols import (
    Answer,
    Condition,
    Drawn,
    Found,
    Headers,
    Joined,
    Pending,
    Symbol,
    Untraceable,
    Value,
    holds_symbol,
)
from loadflow.engine.scenario.values import Fake, Rand, Rows, now, rand, sleep, uuid

if TYPE_CHECKING:
    from loadflow.engine.scenario.reading import Reader

__all__ = ["Frame"]

LOOPED: tuple[Value, ...] = (list, tuple, range, str, dict, enumerate, zip, reversed, type({}.items()), type({}.keys()), type({}.values()))
OF_LOADFLOW = (rand, sleep, uuid, now)


class _Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Frame:
    """One call of a function."""

    def __init__(self, reader: Reader, function: FunctionType, module: Module, node: FunctionNode) -> None:
        self.reader = reader
        self.function = function
        self.module = module
        self.node = node
        self.names: dict[str, Value] = {}

    def bind(self, arguments: list[object], named: dict[str, object]) -> None:
        args = self.node.args
        wanted = [one.arg for one in (*args.posonlyargs, *args.args)]
        only_named = [one.arg for one in args.kwonlyargs]
        by_name = {*wanted[len(arguments) :], *only_named} - {one.arg for one in args.posonlyargs}
        more = {name: value for name, value in named.items() if name not in by_name}
        if (len(arguments) > len(wanted) and args.vararg is None) or (more and args.kwarg is None) or more.keys() & set(wanted):
            raise Untraceable(f"calls {self.function.__name__} with other arguments than it has")
        self.names = {**dict(zip(wanted, arguments, strict=False)), **{name: value for name, value in named.items() if name in by_name}}
        if args.vararg is not None:
            self.names[args.vararg.arg] = tuple(arguments[len(wanted) :])
        if args.kwarg is not None:
            self.names[args.kwarg.arg] = more
        defaults = dict(zip(reversed(wanted), reversed(self.function.__defaults__ or ()), strict=False)) | (
            self.function.__kwdefaults__ or {}
        )
        for name in (*wanted, *only_named):
            if name not in self.names:
                if name not in defaults or not is_constant(defaults[name]):
                    raise Untraceable(f"calls {self.function.__name__} without {name}")
                self.names[name] = defaults[name]

    def run(self) -> Value:
        if self.node.decorator_list and not all(map(self._is_task, self.node.decorator_list)):
            raise Untraceable(f"calls {self.function.__name__}, which is decorated", self.node.lineno)
        try:
            with self.reader.deeper():
                self.block(self.node.body)
        except _Return as returned:
            return returned.value
        return None

    def _is_task(self, node: ast.expr) -> bool:
        inner = node.func if isinstance(node, ast.Call) else node
        name = inner.id if isinstance(inner, ast.Name) else inner.attr if isinstance(inner, ast.Attribute) else ""
        found = self.function.__globals__.get(name)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            found = getattr(self.function.__globals__.get(inner.value.id), name, None)
        return found is task

    # -- statements

    def block(self, body: list[ast.stmt]) -> None:
        for node in body:
            self.reader.line = node.lineno
            self.statement(node)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass():
                pass
            case ast.Expr(value=value):
                self.value(value)
            case ast.Assign(targets=targets, value=value):
                made = self.value(value)
                for target in targets:
                    self.assign(target, made)
            case ast.AnnAssign(target=target, value=value):
                if value is not None:
                    self.assign(target, self.value(value))
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
                before = self.value(ast.copy_location(ast.Name(target.id, ast.Load()), target))
                if isinstance(before, list | dict):
                    raise Untraceable("changes a list or an object where it stands")
                self.assign(target, expressions.binary(op, before, self.value(value)))
            case ast.If(test=test, body=body, orelse=orelse):
                self.block(body if self.is_true(test, "branches on") else orelse)
            case ast.For(target=target, iter=iterated, body=body, orelse=orelse):
                self.loop(target, iterated, body, orelse)
            case ast.Assert(test=test):
                for condition in conditions_of(test, self):
                    self.reader.assert_(condition)
            case ast.Return(value=value):
                raise _Return(None if value is None else self.value(value))
            case ast.Break():
                raise _Break
            case ast.Continue():
                raise _Continue
            case ast.AugAssign():
                raise Untraceable("changes a list, an object or an attribute where it stands")
            case _:
                raise Untraceable(REFUSED.get(type(node).__name__, f"uses {type(node).__name__}"))

    def loop(self, target: ast.expr, iterated: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        for value in self.items(iterated):
            self.assign(target, value)
            try:
                self.block(body)
            except _Continue:
                continue
            except _Break:
                return
        self.block(orelse)

    def items(self, node: ast.expr) -> Iterator[Value]:
        values = self.value(node)
        if isinstance(values, Symbol):
            raise Untraceable(f"loops over {values.what}")
        if not isinstance(values, LOOPED):
            raise Untraceable(f"loops over a {type(values).__name__}")
        for value in values:
            self.reader.turn()
            yield value

    def is_true(self, node: ast.expr, verb: str) -> bool:
        value = self.value(node)
        if isinstance(value, Symbol):
            raise Untraceable(f"{verb} {value.what}")
        return bool(value)

    def assign(self, target: ast.expr, value: object) -> None:
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                if isinstance(value, Symbol) or not isinstance(value, list | tuple | str):
                    raise Untraceable(f"takes apart {value.what if isinstance(value, Symbol) else 'a ' + type(value).__name__}")
                if any(isinstance(part, ast.Starred) for part in parts) or len(parts) != len(value):
                    raise Untraceable("takes apart a list of another length")
                for part, one in zip(parts, value, strict=True):
                    self.assign(part, one)
            case ast.Attribute(value=holder, attr=name):
                self.set_attribute(self.value(holder), name, value)
            case _:
                raise Untraceable("changes a list or an object where it stands")

    def set_attribute(self, holder: object, name: str, value: object) -> None:
        if not isinstance(holder, User):
            raise Untraceable("sets an attribute of what is not its user")
        if not self.reader.may_set:
            raise Untraceable(f"sets self.{name} outside of on_start, so its value depends on which tasks ran before")
        if hasattr(holder.cls, name) and not is_constant(getattr(holder.cls, name)):
            raise Untraceable(f"sets self.{name}, which its class has")
        if (isinstance(value, Drawn) and value.once) or (isinstance(value, Joined) and _draws(value)):
            raise Untraceable(f"keeps a drawn value in self.{name}, and each use would draw anew")
        if not (is_constant(value) or isinstance(value, Found | Drawn | Joined)):
            raise Untraceable(f"keeps {value.what if isinstance(value, Symbol) else 'a ' + type(value).__name__} in self.{name}")
        holder.values[name] = value

    # -- expressions

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=constant):
                if constant is ... or isinstance(constant, complex):
                    raise Untraceable(f"uses {constant!r}")
                return constant
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute(value=holder, attr=name):
                return self.attribute(self.value(holder), name)
            case ast.Subscript(value=holder, slice=index):
                return self.subscript(self.value(holder), index)
            case ast.Call():
                return self.call(node)
            case ast.Await(value=awaited):
                return self.reader.await_(self.value(awaited))
            case ast.JoinedStr(values=parts):
                return expressions.joined([self.format(part) for part in parts])
            case ast.BinOp(left=left, op=op, right=right):
                return expressions.binary(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=operand):
                return expressions.unary(op, self.value(operand))
            case ast.BoolOp(op=op, values=values):
                return self.bool_op(op, values)
            case ast.Compare():
                return self.compare(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.is_true(test, "branches on") else orelse)
            case ast.List(elts=elements):
                return self.elements(elements)
            case ast.Tuple(elts=elements):
                return tuple(self.elements(elements))
            case ast.Dict(keys=keys, values=values):
                return self.dictionary(keys, values)
            case ast.Set(elts=elements) if all(isinstance(one, ast.Constant) for one in elements):
                return frozenset(self.elements(elements))  # only to look in it: it has no order
            case ast.ListComp(elt=element, generators=[ast.comprehension(is_async=0) as loop]):
                return list(self.comprehend(loop, lambda: self.value(element)))
            case ast.DictComp(key=key, value=value, generators=[ast.comprehension(is_async=0) as loop]):
                return dict(self.comprehend(loop, lambda: (self.key(key), self.value(value))))
            case ast.NamedExpr(target=target, value=value):
                made = self.value(value)
                self.assign(target, made)
                return made
            case _:
                raise Untraceable(REFUSED.get(type(node).__name__, f"uses {type(node).__name__}"))

    def name(self, name: str) -> Value:
        if name in self.names:
            return self.names[name]
        if name in self.function.__code__.co_varnames:
            raise Untraceable(f"reads {name} before it is set")
        if name not in self.function.__globals__:
            return expressions.builtin(name)
        found = self.function.__globals__[name]
        if isinstance(found, Rows | Rand | Fake | FunctionType) or (isinstance(found, ModuleType) and found.__name__ == "loadflow"):
            if isinstance(found, Fake | ModuleType) or any(found is one for one in OF_LOADFLOW):
                return found
            if len(list(self.module.bindings(name))) == 1:
                return found
            raise Untraceable(f"uses {name}, which is bound more than once in its module")
        self.module.refuse_unless_constant(name, found)
        return found

    def attribute(self, holder: object, name: str) -> object:
        match holder:
            case User():
                return self.of_user(holder, name)
            case Client() if name in SPEAKERS:
                return Speaker(name)
            case Client():
                return Verb(name)
            case Speaker():
                return Method(holder, name)
            case Answer():
                return self.of_answer(holder, name)
            case Rows():
                return self.cell(holder, name)
            case Fake():
                return Draw(f"${{faker.{name}}}", is_text=False)
            case Rand() if name == "int":
                return Method(holder, name)
            case ModuleType():
                found = getattr(holder, name, None)
                if isinstance(found, Fake) or any(found is one for one in OF_LOADFLOW):
                    return found
                raise Untraceable(f"uses {holder.__name__}.{name}")
            case Found() | Joined() | Drawn() | Headers() | Condition() | Pending():
                raise Untraceable(f"reads .{name} of {holder.what}")
            case Enum() if name in ("name", "value"):
                return getattr(holder, name)
            case EnumType() if name in holder.__members__:
                return holder.__members__[name]
            case _ if name in fields_of(holder):
                return getattr(holder, name)
            case str() | dict() | list() | tuple():
                return Method(holder, name)
            case _:
                raise Untraceable(f"reads .{name} of {a(type(holder).__name__)}")

    def of_user(self, user: User, name: str) -> object:
        if name in user.values:
            return user.values[name]
        for base in user.cls.__mro__:
            if name in vars(base):
                found = vars(base)[name]
                break
        else:
            raise Untraceable(f"reads self.{name}, which nothing sets before")
        if isinstance(found, FunctionType) and base is not VUser:
            return Bound(user, found)
        if is_constant(found) or isinstance(found, Rows):
            return found
        raise Untraceable(f"reads self.{name}, a {type(found).__name__}")

    def of_answer(self, answer: Answer, name: str) -> object:
        match name:
            case "status_code":
                return self.reader.part(answer.step, "status")
            case "text":
                return self.reader.part(answer.step, "text")
            case "elapsed_ms":
                return self.reader.part(answer.step, "elapsed")
            case "ok":
                return Condition(answer.step, None, None, stops=True)
            case "headers":
                return Headers(answer.step)
            case "json" | "raise_for_status":
                return Method(answer, name)
            case _:
                raise Untraceable(f"reads .{name} of an answer")

    def subscript(self, holder: object, index: ast.expr) -> object:
        if isinstance(index, ast.Slice):
            low, high, step = (None if one is None else self.value(one) for one in (index.lower, index.upper, index.step))
            return expressions.sliced(holder, low, high, step)
        key = self.value(index)
        if isinstance(key, Symbol):
            raise Untraceable(f"looks up {key.what}")
        match holder:
            case Found(source="json"):
                if isinstance(key, bool) or not isinstance(key, str | int):
                    raise Untraceable(f"looks up {key!r} in an answer")
                return self.reader.read_part(holder.step, "json", (*holder.path, key))
            case Headers():
                if not isinstance(key, str) or not key.isascii():
                    raise Untraceable(f"looks up {key!r} in the headers of an answer")
                return self.reader.read_part(holder.step, "header", (key.lower(),))
            case Rows():
                return self.cell(holder, key)
            case Symbol():
                raise Untraceable(f"looks up a part of {holder.what}")
            case str() | list() | tuple() | dict() | range():
                return expressions.plainly(lambda: holder[key])
            case _:
                raise Untraceable(f"looks up a part of a {type(holder).__name__}")

    def cell(self, rows: Rows, column: object) -> Drawn:
        if not isinstance(column, str) or "}" in column or column != column.strip():
            raise Untraceable(f"reads the column {column!r}")
        return Drawn(f"${{csv.{self.reader.rows(rows)}.{column}}}", once=False, is_text=True)

    def call(self, node: ast.Call) -> Value:
        function = self.value(node.func)
        arguments = self.elements(node.args)
        named: dict[str, object] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            given = {keyword.arg: value} if keyword.arg is not None else value
            if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
                raise Untraceable("passes ** of what is no plain object")
            if given.keys() & named.keys():
                raise Untraceable("passes a keyword twice")
            named.update(given)
        self.reader.line = node.lineno
        match function:
            case Verb(verb=verb) if verb in VERBS:
                answer = self.reader.request(verb, arguments, named)
                # the client sends at once; what is awaited is the answer
                return self.reader.pend(lambda: answer) if isinstance(self.node, ast.AsyncFunctionDef) else answer
            case Verb(verb="batch"):
                answers = self.reader.batch(arguments, named)
                return self.reader.pend(lambda: answers) if isinstance(self.node, ast.AsyncFunctionDef) else answers
            case Method(holder=Speaker(protocol=protocol), name=verb):
                said = self.reader.message(protocol, verb, arguments, named)
                return self.reader.pend(lambda: said) if isinstance(self.node, ast.AsyncFunctionDef) else said
            case Verb(verb=verb):
                raise Untraceable(f"calls client.{verb}")
            case Bound():
                return self.reader.call(function.function, [function.user, *arguments], named)
            case Draw():
                if arguments or named:
                    raise Untraceable("draws a made-up value with arguments")
                return Drawn(function.placeholder, once=True, is_text=function.is_text)
            case Method(holder=Answer() as answer):
                if arguments or named:
                    raise Untraceable(f"calls .{function.name} with arguments")
                if function.name == "raise_for_status":
                    self.reader.assert_(Condition(answer.step, None, None, stops=True))
                    return None
                return self.reader.read_part(answer.step, "json")
            case Method(holder=Rand()):
                return expressions.random_int(arguments, named)
            case Method(holder=holder, name=name):
                return expressions.method(holder, name, arguments, named)
            case FunctionType():
                if function is sleep:
                    return self.reader.pause(arguments, named)
                if function in (uuid, now) and not arguments and not named:
                    return Drawn("${uuid()}" if function is uuid else "${now()}", once=True, is_text=True)
                return self.reader.call(function, arguments, named)
            case Symbol():
                raise Untraceable(f"calls {function.what}")
            case _:
                return expressions.call_builtin(function, arguments, named)

    def format(self, part: ast.expr) -> str | Symbol:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        value = self.value(part.value)
        spec = "" if part.format_spec is None else self.value(part.format_spec)
        return expressions.formatted(value, part.conversion, spec)

    def bool_op(self, op: ast.boolop, values: list[ast.expr]) -> object:
        made: object = None
        for node in values:
            made = self.value(node)
            if isinstance(made, Symbol):
                raise Untraceable(f"branches on {made.what}")
            if bool(made) is isinstance(op, ast.Or):
                return made
        return made

    def compare(self, node: ast.Compare) -> Value:
        values = [self.value(one) for one in (node.left, *node.comparators)]
        if any(map(holds_symbol, values)):
            raise Untraceable("compares a value that only the load has, outside of an assert")
        return all(self.holds(left, op, right) for left, op, right in zip(values, node.ops, values[1:], strict=False))

    def holds(self, left: object, op: ast.cmpop, right: object) -> Value:
        return expressions.plainly(lambda: expressions.COMPARE[type(op)](left, right))

    def elements(self, nodes: list[ast.expr]) -> list[object]:
        made: list[object] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                made += list(self.items(node.value))
            else:
                made.append(self.value(node))
        return made

    def dictionary(self, keys: list[ast.expr | None], values: list[ast.expr]) -> dict[object, object]:
        made: dict[object, object] = {}
        for key, node in zip(keys, values, strict=True):
            if key is not None:
                name = self.key(key)
                made[name] = self.value(node)
            else:
                inner = self.value(node)
                if not isinstance(inner, dict):
                    raise Untraceable("unpacks what is no plain object")
                made.update(inner)
        return made

    def key(self, node: ast.expr) -> Value:
        key = self.value(node)
        if holds_symbol(key):
            raise Untraceable("makes a key of a value that only the load has")
        return key

    def comprehend(self, loop: ast.comprehension, make: Callable[[], object]) -> list[Value]:
        outer = dict(self.names)
        made = []
        for value in self.items(loop.iter):
            self.assign(loop.target, value)
            if all(self.is_true(test, "branches on") for test in loop.ifs):
                made.append(make())
        for name in self.names.keys() - outer.keys():
            del self.names[name]
        self.names.update(outer)
        return made


def _draws(text: Joined) -> bool:
    return any((isinstance(part, Drawn) and part.once) or (isinstance(part, Joined) and _draws(part)) for part in text.parts)
