"""run_if and skip_if, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadflow.engine.base.values import alike, is_in, truthy
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler

__all__ = ["Condition", "compile_condition"]

Condition = Callable[[Scope], bool]


def compile_condition(expression: object, compiler: Compiler) -> Condition | None:
    """None for an absent one (null). A placeholder without a value is null: false, and equal to nothing else."""
    if expression is None:
        return None
    if not isinstance(expression, Mapping):
        value = _value(expression, compiler)
        return lambda scope: truthy(value(scope))
    ((operator, operand),) = expression.items()
    return OPERATORS[str(operator).lower()](operand, compiler)


def _value(expression: object, compiler: Compiler) -> Callable[[Scope], object]:
    compiled = compiler(expression)
    if compiled.is_static:
        return lambda scope: compiled.value

    def value(scope: Scope) -> Any:
        try:
            return compiled.render(scope)
        except MissingValue:
            return None

    return value


def _equals(operand: Sequence[object], compiler: Compiler) -> Condition:
    left, right = (_value(one, compiler) for one in operand)
    return lambda scope: alike(left(scope), right(scope))


def _not_equals(operand: Sequence[object], compiler: Compiler) -> Condition:
    equal = _equals(operand, compiler)
    return lambda scope: not equal(scope)


def _in(operand: Sequence[object], compiler: Compiler) -> Condition:
    needle, haystack = (_value(one, compiler) for one in operand)
    return lambda scope: is_in(needle(scope), haystack(scope))


def _truthy(operand: object, compiler: Compiler) -> Condition:
    value = _value(operand, compiler)
    return lambda scope: truthy(value(scope))


def _not(operand: object, compiler: Compiler) -> Condition:
    inner = compile_condition(operand, compiler)
    return lambda scope: inner is None or not inner(scope)


def _all(operand: Sequence[object], compiler: Compiler) -> Condition:
    parts = [part for one in operand if (part := compile_condition(one, compiler)) is not None]
    return lambda scope: all(part(scope) for part in parts)


def _any(operand: Sequence[object], compiler: Compiler) -> Condition:
    parts = [part for one in operand if (part := compile_condition(one, compiler)) is not None]
    return lambda scope: any(part(scope) for part in parts)


OPERATORS: Mapping[str, Callable[[Any, Compiler], Condition]] = {
    "equals": _equals,
    "not_equals": _not_equals,
    "in": _in,
    "truthy": _truthy,
    "not": _not,
    "and": _all,
    "or": _any,
}
