"""One virtual user's values, which only its own placeholders can read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from loadflow.engine.resolve.data import Data, Row
from loadflow.engine.resolve.fake import UnusableFaker, fake
from loadflow.engine.resolve.missing import MissingValue

__all__ = ["Scope"]


class Scope:
    """What templates of one virtual user are rendered against.

    `variables` starts as the plan's and takes what this user extracts; `session` starts empty. Values are shared between users
    as they stand in the plan, so a value is replaced, never changed in place. `out_of_rows` turns true when a source that hands
    each row out once had none left for this user. With a seed in `data`, user `user` of a shard
    draws the same random values in every run, whatever the other users do.

    >>> scope = Scope({"id": 7}, Data(seed=1))
    >>> scope.variables["id"] = 8
    >>> scope.randint(3, 3)
    3
    """

    __slots__ = ("_kept", "_rows", "data", "out_of_rows", "rng", "session", "variables")

    def __init__(self, variables: Mapping[str, Any], data: Data, *, user: int = 0) -> None:
        self.variables: dict[str, Any] = dict(variables)
        self.session: dict[str, Any] = {}
        self.data = data
        self.rng = Random() if data.seed is None else Random(f"user {data.seed} {data.shard} {user}")
        self.out_of_rows = False
        self._rows: dict[str, Row] = {}
        self._kept: dict[str, Row] = {}  # those of sources that give a user one row for all of his steps

    def begin_step(self) -> None:
        """Lets go of the rows of the step before, but for those that a user keeps.

        Each source is asked for its next row when the new step first needs it.
        """
        if self._rows:
            self._rows.clear()
        if self._kept:
            self._rows.update(self._kept)

    def csv(self, source: str, column: str) -> str:
        """The cell of this step's row. Raises `MissingValue` for an unknown source or column, or when `once` ran out."""
        rows = self.data.sources.get(source)
        if rows is None:
            raise MissingValue(
                f"${{csv.{source}.{column}}}", f"no csv source {source!r}; register it, or name one of the plan's csv_sources"
            )
        position = rows.index.get(column)
        if position is None:
            raise MissingValue(
                f"${{csv.{source}.{column}}}", f"csv source {source!r} has no column {column!r}; it has {', '.join(rows.index)}"
            )
        row = self._rows.get(source)
        if row is None:
            try:
                row = self._rows[source] = rows.take()
            except MissingValue:
                self.out_of_rows = True
                raise
            if rows.is_kept:
                self._kept[source] = row
        return row[position]

    def cell(self, source: str, column: str) -> str | None:
        """The cell of the row that this step has taken; None where it took none."""
        row = self._rows.get(source)
        return None if row is None else row[self.data.sources[source].index[column]]

    def cells(self) -> Iterator[tuple[str, str]]:
        """Column and cell of every row that is held now."""
        for source, row in self._rows.items():
            yield from zip(self.data.sources[source].index, row, strict=True)

    def faker(self, method: str) -> Any:
        """A made-up value; raises `MissingValue` where Faker has no such method or it needs arguments."""
        try:
            return fake(method, self.rng)
        except UnusableFaker as error:
            raise MissingValue(f"${{faker.{method}}}", f"{error}; see faker.readthedocs.io for the methods there are") from None

    def uuid4(self) -> str:
        """A random UUID as text, from this user's own draws where the plan is seeded."""
        if self.data.seed is None:
            return str(uuid.uuid4())
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def now(self) -> str:
        """Local time to the second with its UTC offset."""
        return self.data.now()

    def randint(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return self.rng.randint(low, high)
