"""One virtual user's values, which only its own placeholders can read."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from random import Random

from loadflow.engine.base.json_value import JsonMapping, JsonObject
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

    __slots__ = ("_beside", "_kept", "_rows", "_user", "data", "holds_rows", "out_of_rows", "rng", "session", "variables")

    def __init__(self, variables: JsonMapping, data: Data, *, user: int = 0) -> None:
        self.variables: JsonObject = dict(variables)
        self.session: JsonObject = {}
        self.data = data
        self._user = user
        self.rng = self._random("")
        self.out_of_rows = False
        self.holds_rows = False  # while steps are sent at once
        self._beside: list[Scope] = []  # those of steps that are sent at once with one of this scope
        self._rows: dict[str, Row] = {}
        self._kept: dict[str, Row] = {}  # those of sources that give a user one row for all of his steps

    @property
    def user(self) -> int:
        """The user's number."""
        return self._user

    def _random(self, place: str) -> Random:
        return Random() if self.data.seed is None else Random(f"user {self.data.seed} {self.data.shard} {self._user}{place}")

    def at_once(self, count: int, sources: Iterable[str]) -> list[Scope]:
        """So many scopes for steps that are about to be sent at once, this one first; `end_at_once` ends that.

        All have the values as they are now, one row of each of `sources`, which are those of their placeholders, and random values of
        their own.
        """
        self.begin_step()
        for source in sources:
            rows = self.data.sources.get(source)
            if rows is not None and source not in self._rows:
                with suppress(MissingValue):  # the step that uses it says so
                    row = self._rows[source] = rows.take()
                    if rows.is_kept:
                        self._kept[source] = row
        while len(self._beside) < count - 1:
            made = Scope({}, self.data, user=self._user)
            made.rng = self._random(f" {len(self._beside) + 1}")
            made.holds_rows = True
            self._beside.append(made)
        beside = self._beside[: count - 1]
        for one in beside:
            one.variables, one.session = dict(self.variables), dict(self.session)
            one._rows, one.out_of_rows = self._rows, False
        self.holds_rows = True
        return [self, *beside]

    def end_at_once(self, extracted: Sequence[Iterable[tuple[str, bool]]]) -> None:
        """All of the steps have ended. `extracted`: of each of them the names of its values, and whether they are of the session."""
        self.holds_rows = False
        for other, names in zip(self._beside, extracted[1:], strict=False):
            self.out_of_rows |= other.out_of_rows
            for name, in_session in names:
                given, taken = (other.session, self.session) if in_session else (other.variables, self.variables)
                if name in given:
                    taken[name] = given[name]
                else:
                    taken.pop(name, None)

    def begin_step(self) -> None:
        """Lets go of the rows of the step before, but for those that a user keeps.

        Each source is asked for its next row when the new step first needs it.
        """
        if self.holds_rows:
            return
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

    def faker(self, method: str) -> object:
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
