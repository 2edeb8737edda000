"""Made-up values for `${faker.…}`: one generator a process, its draws taken from the user who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from random import Random
from typing import Any

from loadflow.engine.base.extras import is_there, way_to_install

__all__ = ["UnusableFaker", "fake", "faker_methods", "trouble_with"]


class UnusableFaker(Exception):
    """Faker has no such method, or it can't be called without arguments; the text says which."""


@cache
def _generator() -> Any:
    # Takes some 100 ms, which scripts without ${faker.…} don't pay.
    try:
        from faker import Factory
    except ImportError:
        raise UnusableFaker(f"the package faker is not installed; {way_to_install('faker')}") from None

    return Factory.create()


@cache
def _refusals() -> tuple[type[Exception], ...]:
    """What a method raises that needs arguments or a package that is not there."""
    from faker.exceptions import BaseFakerException

    return (BaseFakerException, TypeError)


@cache
def _method(name: str) -> Callable[[], object]:
    # Providers put their methods into the instance; all else (seed, format, add_provider) is found on the class only.
    method = None if name.startswith("_") else vars(_generator()).get(name)
    if not callable(method):
        raise UnusableFaker(f"Faker has no method {name!r}")
    found: Callable[[], object] = method
    return found


@cache
def faker_methods() -> frozenset[str]:
    """Every name that may stand after `faker.`; none where the package is not installed."""
    if not is_there("faker"):
        return frozenset()
    return frozenset(name for name, value in vars(_generator()).items() if callable(value) and not name.startswith("_"))


def fake(name: str, rng: Random) -> object:
    """One value of the method `name`, as JSON can hold it; the same draws from `rng` give the same value.

    Raises `UnusableFaker`.
    """
    method = _method(name)
    _generator().random = rng
    try:
        value = method()
    except _refusals() as error:
        raise UnusableFaker(f"Faker's {name} can't be used here: {error}") from None
    return value if type(value) is str else _as_json(value)


def trouble_with(name: str) -> str:
    """Why `fake(name, …)` would fail, found by trying it; "" if it works."""
    try:
        fake(name, Random(0))
    except UnusableFaker as error:
        return str(error)
    return ""


def _as_json(value: object) -> object:
    """Decimals, dates, time zones and the like become their text; containers become lists and dicts."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_as_json(item) for item in value]
    return str(value)
