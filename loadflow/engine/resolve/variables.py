"""The variables and CSV sources that a session has registered so far."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.resolve.data import columns_of
from loadflow.engine.script.placeholders import name_trouble
from loadflow.errors import CommandError, Mistake

__all__ = ["Variables", "suggestion"]


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest known name, or ""."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


class Variables:
    """What `${var.…}` and `${csv.…}` will mean in the next test of this session.

    `given` are set from outside the script (such as --var): the script can't change or forget them.
    Values are copied in and out, so a caller that keeps a registered dict can't change a plan by changing the dict.

    >>> variables = Variables()
    >>> variables.register("host", "http://localhost")
    >>> variables.values
    {'host': 'http://localhost'}
    """

    def __init__(self, given: JsonMapping | None = None) -> None:
        _check_names(given or {}, "variables")
        _check_values(given or {})
        self._given: JsonObject = deepcopy(dict(given or {}))
        self._values: JsonObject = dict(self._given)
        self._sources: dict[str, CsvSource] = {}
        self._columns: dict[str, tuple[str, ...] | None] = {}

    @property
    def values(self) -> JsonObject:
        """A copy of every variable."""
        return deepcopy(self._values)

    @property
    def given(self) -> JsonObject:
        """A copy of those that stay."""
        return deepcopy(self._given)

    @property
    def sources(self) -> tuple[CsvSource, ...]:
        """Every CSV source, in the order of registration."""
        return tuple(self._sources.values())

    @property
    def columns(self) -> dict[str, tuple[str, ...] | None]:
        """The column names of every CSV source, as they were when it was registered; None of one that a database will give."""
        return dict(self._columns)

    @property
    def queries(self) -> list[dict[str, str]]:
        """What the sources ask databases, placeholders and all."""
        return [asdict(source.database) for source in self._sources.values() if source.database is not None]

    def register(self, name: str, value: object) -> None:
        """Sets one variable; a value there before is replaced. Raises `CommandError` for a name no placeholder can hold."""
        _check_names([name], "name")
        self._set({name: value})

    def register_many(self, variables: Mapping[str, object]) -> None:
        """Sets all of them, or none if one of the names can't be used."""
        _check_names(variables, "variables")
        self._set(variables)

    def _set(self, variables: Mapping[str, object]) -> None:
        _check_values(variables)
        self._values.update(deepcopy({name: value for name, value in variables.items() if name not in self._given}))

    @contextmanager
    def declared(self, defaults: Mapping[str, object]) -> Iterator[None]:
        """Inside of the block, those of `defaults` that were not given have their default."""
        added = [name for name in defaults if name not in self._given]
        hidden = {name: self._values[name] for name in added if name in self._values}
        for name in added:
            self._given[name] = self._values[name] = deepcopy(defaults[name])
        try:
            yield
        finally:
            for name in added:
                self._given.pop(name, None)
                self._values.pop(name, None)
            self._values.update(hidden)

    def register_sources(self, sources: Iterable[CsvSource]) -> None:
        """Reads and checks the files now, so that a mistake shows here; the engine reads them again when a test starts. A database is
        asked then, and not now.

        Registers all of them, or none if one can't be read. A source of the same name is replaced. Raises `CommandError` with the
        mistakes of all; what was registered before is then unchanged.
        """
        read: list[tuple[CsvSource, tuple[str, ...] | None]] = []
        mistakes: list[Mistake] = []
        for source in sources:
            trouble = source_trouble(source)
            if trouble:
                mistakes.append(Mistake("csv source name", trouble, "give another name"))
                continue
            try:
                read.append((source, columns_of(source) if source.database is None else None))
            except CommandError as error:
                mistakes.extend(error.mistakes)
        if mistakes:
            raise CommandError(mistakes)
        for source, columns in read:
            self._sources[source.name] = source
            self._columns[source.name] = columns

    def clear(self) -> None:
        """Forgets all variables and sources but those given; tests that have started keep their copies."""
        self._values = dict(self._given)
        self._sources.clear()
        self._columns.clear()

    def copy(self) -> Variables:
        """An independent copy, for a plan: later registrations don't reach it."""
        other = Variables(self._given)
        other._values = self.values
        other._sources = dict(self._sources)
        other._columns = dict(self._columns)
        return other


def source_trouble(source: CsvSource) -> str:
    """Why the name of `source` can't stand in `${csv.NAME.COLUMN}`; "" if it can."""
    if isinstance(source.name, str) and "." in source.name:
        return f"{source.name!r} holds '.', which would end the source's name in ${{csv.SOURCE.COLUMN}}"
    return name_trouble(source.name)


def _check_names(names: Iterable[object], place: str) -> None:
    mistakes = [Mistake(place, trouble, "give another name") for name in names if (trouble := name_trouble(name))]
    if mistakes:
        raise CommandError(mistakes)


def _check_values(variables: Mapping[str, object]) -> None:
    mistakes = [
        Mistake(name, "holds an infinite number or NaN, which JSON has not", "give a finite number, or text")
        for name, value in variables.items()
        if not _is_finite(value)
    ]
    if mistakes:
        raise CommandError(mistakes)


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list | tuple) else True
