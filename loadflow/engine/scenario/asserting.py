"""An `assert` as assertions of a step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from loadflow.engine.base.json_path import path_text
from loadflow.engine.scenario.expressions import COMPARE, as_text, plainly
from loadflow.engine.scenario.requests import written
from loadflow.engine.scenario.symbols import Condition, Drawn, Found, Joined, Symbol, Untraceable, Value, holds_symbol

if TYPE_CHECKING:
    from loadflow.engine.scenario.frame import Frame

__all__ = ["conditions_of"]

STATUSES = range(100, 1000)  # RFC 9110 section 15: three digits
FAILED = 400  # an answer with such a status, or a higher one, is a failed hit


def conditions_of(test: ast.expr, frame: Frame) -> Iterator[Condition]:
    """What must hold where `test` is true; nothing for what is true anyway. Raises Untraceable."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for one in test.values:
            yield from conditions_of(one, frame)
        return
    if isinstance(test, ast.Compare):
        yield from _compared([frame.value(one) for one in (test.left, *test.comparators)], test.ops)
        return
    value = frame.value(test)
    match value:
        case Condition():
            yield value
        case Found(source="json"):
            yield Condition(value.step, {"type": "json_path", "path": path_text(value.path), "truthy": True}, value)
        case Symbol():
            raise Untraceable(f"asserts {value.what} by itself")
        case _:
            _must_be(value)


def _must_be(value: object) -> None:
    if not value:
        raise Untraceable("asserts what is never true")


def _compared(values: list[object], ops: list[ast.cmpop]) -> Iterator[Condition]:
    if not any(map(holds_symbol, values)):
        pairs = zip(values, ops, values[1:], strict=False)
        _must_be(all(plainly(lambda one=one, op=op, other=other: COMPARE[type(op)](one, other)) for one, op, other in pairs))  # type: ignore[misc]
        return
    status = [one for one in values if isinstance(one, Found) and one.source == "status"]
    if len(status) == 1 and sum(map(holds_symbol, values)) == 1:
        yield _of_status(status[0], values, ops)
        return
    if len(ops) != 1:
        raise Untraceable("asserts a chain of comparisons")
    yield _pair(values[0], ops[0], values[1])


def _of_status(status: Found, values: list[Value], ops: list[ast.cmpop]) -> Condition:
    """Which statuses the comparison takes is found out by trying each."""

    def holds(number: int) -> bool:
        tried = [number if one is status else one for one in values]
        return all(COMPARE[type(op)](one, other) for one, op, other in zip(tried, ops, tried[1:], strict=False))

    if any(isinstance(op, ast.Is | ast.IsNot) for op in ops):
        raise Untraceable("compares a status with is")
    allowed = plainly(lambda: [number for number in STATUSES if holds(number)])
    _must_be(allowed)
    if allowed[-1] >= FAILED:
        raise Untraceable("takes a status of 400 or more, with which the hit has failed all the same")
    if len(allowed) == FAILED - STATUSES.start:
        return Condition(status.step, None, None, stops=True)
    return Condition(status.step, {"type": "status_code", "value": allowed[0] if len(allowed) == 1 else allowed}, status)


def _pair(left: object, op: ast.cmpop, right: object) -> Condition:
    match left, op, right:
        case Found(source="json"), ast.Eq(), _:
            return _equals(left, right)
        case _, ast.Eq(), Found(source="json"):
            return _equals(right, left)
        case Found(source="json"), ast.Is(), None | True | False:
            return Condition(left.step, {"type": "json_path", "path": path_text(left.path), "value": right}, left)
        case _, ast.In() | ast.NotIn(), Found(source="text"):
            kind = "contains" if isinstance(op, ast.In) else "not_contains"
            return Condition(right.step, {"type": kind, "value": written(as_text(left))}, right)
        case Found(source="header"), ast.Eq(), str():
            return Condition(left.step, {"type": "header", "name": left.path[0], "value": written(right)}, left)
        case Found(source="elapsed"), ast.Lt() | ast.LtE(), int() | float() if not isinstance(right, bool) and right > 0:
            return Condition(left.step, {"type": "response_time", "max_ms": right}, left)
        case _:
            whats = [one.what for one in (left, right) if isinstance(one, Symbol)]
            raise Untraceable(f"asserts {' and '.join(whats)} in a way that steps have not")


def _equals(found: Found, wanted: object) -> Condition:
    if _has_boolean(wanted):
        raise Untraceable("compares with True or False by ==, which 1 and 0 equal too; write `is True`")
    if (
        isinstance(wanted, Symbol)
        and not (isinstance(wanted, Found) and wanted.source in ("json", "header", "text"))
        and not isinstance(wanted, Drawn | Joined)
    ):
        raise Untraceable(f"compares with {wanted.what}")
    return Condition(found.step, {"type": "json_path", "path": path_text(found.path), "value": written(wanted)}, found)


def _has_boolean(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_boolean, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_boolean, value))
    return isinstance(value, bool)
