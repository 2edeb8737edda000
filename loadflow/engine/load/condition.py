"""run_if and skip_if, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadflow.engine.load.checks import same
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler

__all__ = ["Condition", "compile_condition", "truthy"]

Condition = Callable[[Scope], bool]
FALSE_WORDS = frozenset({"", "false", "0", "no", "none", "null"})


def truthy(value: Any) -> bool:
    """Python's truth, but for text: blank and the words false, 0, no, none, null (in any case) are false."""
    if isinstance(value, str):
        return value.strip().lower() not in FALSE_WORDS
    return bool(value)


def compile_condition(expression: Any, compiler: Compiler) -> Condition | None:
    """None for an absent one (null). A placeholder without a value is null: false, and equal to nothing else."""
    if expression is None:
        return None
    if not isinstance(expression, Mapping):
        value = _value(expression, compiler)
        return lambda scope: truthy(value(scope))
    ((operator, operand),) = expression.items()
    return OPERATORS[str(operator).lower()](operand, compiler)


def _value(expression: Any, compiler: Compiler) -> Callable[[Scope], Any]:
    compiled = compiler(expression)
    if compiled.is_static:
        return lambda scope: compiled.value

    def value(scope: Scope) -> Any:
        try:
            return compiled.render(scope)
        except MissingValue:
            return None

    return value


def _equals(operand: Any, compiler: Compiler) -> Condition:
    left, right = (_value(one, compiler) for one in operand)
    return lambda scope: same(left(scope), right(scope))


def _not_equals(operand: Any, compiler: Compiler) -> Condition:
    equal = _equals(operand, compiler)
    return lambda scope: not equal(scope)


def _in(operand: Any, compiler: Compiler) -> Condition:
    needle, haystack = (_value(one, compiler) for one in operand)

    def contains(scope: Scope) -> bool:
        where = haystack(scope)
        try:
            return needle(scope) in where
        except TypeError:  # e.g. a number in a text, or anything in null
            return False

    return contains


def _truthy(operand: Any, compiler: Compiler) -> Condition:
    value = _value(operand, compiler)
    return lambda scope: truthy(value(scope))


def _not(operand: Any, compiler: Compiler) -> Condition:
    inner = compile_condition(operand, compiler)
    return lambda scope: inner is None or not inner(scope)


def _all(operand: Sequence[Any], compiler: Compiler) -> Condition:
    parts = [part for one in operand if (part := compile_condition(one, compiler)) is not None]
    return lambda scope: all(part(scope) for part in parts)


def _any(operand: Sequence[Any], compiler: Compiler) -> Condition:
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
