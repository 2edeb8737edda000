"""What a scenario's functions draw while they run: a user's rows, random numbers, made-up values; the same on both engines."""

from __future__ import annotations

from collections.abc import Mapping

from loadflow.engine.resolve.scope import Scope
from loadflow.engine.scenario.values import Rows

__all__ = ["Drawing"]


class Drawing:
    """`scope`: the user's; `sources`: the name of each source of rows that the function that runs may ask for; `pauses`: whether it sleeps
    where it says so."""

    @property
    def scope(self) -> Scope:
        raise NotImplementedError

    @property
    def sources(self) -> Mapping[Rows, str]:
        raise NotImplementedError

    @property
    def pauses(self) -> bool:
        raise NotImplementedError

    def cell(self, rows: Rows, column: str) -> str:
        name = self.sources.get(rows)
        if name is None:
            raise RuntimeError(f"{rows!r} is made in a function; make it in the module or the class, where the load can find it")
        return self.scope.csv(name, column)

    def between(self, low: int, high: int) -> int:
        return self.scope.randint(low, high)

    def made_up(self, method: str) -> object:
        return self.scope.faker(method)

    def uuid(self) -> str:
        return self.scope.uuid4()

    def now(self) -> str:
        return self.scope.now()

    def length_s(self, seconds: float, most: float) -> float:
        """Of a sleep from `seconds` to `most`."""
        if not self.pauses:
            return 0.0
        return float(seconds if most <= seconds else self.scope.rng.uniform(seconds, most))
