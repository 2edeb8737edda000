"""Whether a function of a scenario may call `sleep` of loadflow, which waits without an await, so that it needs a greenlet.

A coroutine by itself takes a quarter of the memory: where its stack waits, CPython keeps a page for its frames (`benchmarks.scenarios`).
A `def` is one wherever `awaiting` can make it one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dis import get_instructions
from types import CellType, CodeType, FunctionType, ModuleType

from loadflow.engine.scenario.values import sleep

__all__ = ["may_sleep"]


def may_sleep(cls: type, name: str) -> bool:
    """Whether the method of this name, its check, or what they may call, calls `sleep`.

    Functions are followed by the names that their code uses; one that is reached in another way says itself that it can't sleep there.
    """
    pending: list[object] = [getattr(cls, name, None), getattr(cls, f"check_{name}", None)]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if found is sleep or (isinstance(found, ModuleType) and found.__name__ == "loadflow"):
            return True
        if not isinstance(found, FunctionType) or id(found) in seen:
            continue
        seen.add(id(found))
        read = [one for code in _codes(found.__code__) for one in get_instructions(code)]
        names = {str(one.argval) for one in read if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        attributes = {str(one.argval) for one in read if one.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR")}
        held = [found.__globals__[one] for one in names if one in found.__globals__]
        modules = [one for one in held if isinstance(one, ModuleType)]
        classes = [cls, *(one if isinstance(one, type) else type(one) for one in held if not isinstance(one, ModuleType))]
        pending += [*held, *(cell.cell_contents for cell in found.__closure__ or () if _is_filled(cell))]
        pending += [vars(module).get(one) for module in modules for one in attributes]
        pending += [getattr(one, attribute, None) for one in classes for attribute in attributes]
    return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
