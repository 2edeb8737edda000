"""The variables and CSV sources that a session has registered so far."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from loadflow.engine.resolve.data import CsvSource, load_rows
from loadflow.errors import CommandError, Mistake

__all__ = ["Variables", "name_trouble", "suggestion"]


def name_trouble(name: object) -> str:
    """Why `name` could never be written in a placeholder; "" if it can.

    >>> name_trouble("user.id")
    ''
    >>> name_trouble("a}b")
    "'a}b' holds '}', which would end the placeholder"
    """
    if not isinstance(name, str):
        return f"a name is text, not {type(name).__name__}"
    if not name.strip():
        return "a name can't be empty"
    if name != name.strip():
        return f"{name!r} begins or ends with a blank, which placeholders drop"
    if "}" in name:
        return f"{name!r} holds '}}', which would end the placeholder"
    return ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest known name, or ""."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


class Variables:
    """What `${var.…}` and `${csv.…}` will mean in the next test of this session.

    Values are copied in and out, so nobody who keeps a registered dict can change a plan by changing the dict.

    >>> variables = Variables()
    >>> variables.register("host", "http://localhost")
    >>> variables.values
    {'host': 'http://localhost'}
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._sources: dict[str, CsvSource] = {}
        self._columns: dict[str, tuple[str, ...]] = {}

    @property
    def values(self) -> dict[str, Any]:
        """A copy of every variable."""
        return deepcopy(self._values)

    @property
    def sources(self) -> tuple[CsvSource, ...]:
        """Every CSV source, in the order of registration."""
        return tuple(self._sources.values())

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The column names of every CSV source, as they were when it was registered."""
        return dict(self._columns)

    def register(self, name: str, value: Any) -> None:
        """Sets one variable; a value there before is replaced. Raises `CommandError` for a name no placeholder can hold."""
        _check_names([name], "name")
        self._values[name] = deepcopy(value)

    def register_many(self, variables: Mapping[str, Any]) -> None:
        """Sets all of them, or none if one of the names can't be used."""
        _check_names(variables, "variables")
        self._values.update(deepcopy(dict(variables)))

    def register_source(self, source: CsvSource) -> None:
        """Reads and checks the file now, so that a mistake shows here; the engine reads it again when a test starts.

        A source of the same name is replaced. Raises `CommandError`; what was registered before is then unchanged.
        """
        self.register_sources([source])

    def register_sources(self, sources: Iterable[CsvSource]) -> None:
        """Registers all of them, or none if one can't be read; the error has the mistakes of all."""
        read: list[tuple[CsvSource, tuple[str, ...]]] = []
        mistakes: list[Mistake] = []
        for source in sources:
            trouble = source_trouble(source)
            if trouble:
                mistakes.append(Mistake("csv source name", trouble, "give another name"))
                continue
            try:
                read.append((source, load_rows(source).columns))
            except CommandError as error:
                mistakes.extend(error.mistakes)
        if mistakes:
            raise CommandError(mistakes)
        for source, columns in read:
            self._sources[source.name] = source
            self._columns[source.name] = columns

    def clear(self) -> None:
        """Forgets all variables and sources; tests that have started keep their copies."""
        self._values.clear()
        self._sources.clear()
        self._columns.clear()

    def copy(self) -> Variables:
        """An independent copy, for a plan: later registrations don't reach it."""
        other = Variables()
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
