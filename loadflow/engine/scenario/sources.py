"""The rows of a scenario: what `csv(…)` and `rows(…)` made in its module and its classes, each with a name for the script."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.scenario.definition import ScenarioDef
from loadflow.engine.scenario.values import Rows, Source

__all__ = ["Names", "call_that_made", "source_json", "sources_of"]

OPTIONS = ("seed", "delimiter", "quote", "encoding")
USUAL = Source()


class Names:
    """Names in the script for what has none in Python: kept values and CSV sources, each its own."""

    def __init__(self) -> None:
        self.sources: dict[str, Rows] = {}
        self._of_rows: dict[Rows, str] = {}
        self._taken: Counter[str] = Counter()

    def variable(self, wanted: str) -> str:
        return self._own(wanted, "value")

    def rows(self, rows: Rows) -> str:
        if rows not in self._of_rows:
            name = self._own(Path(rows.__source__.path).stem, "rows")
            self._of_rows[rows] = name
            self.sources[name] = rows
        return self._of_rows[rows]

    def _own(self, wanted: str, otherwise: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", wanted).strip("_") or otherwise
        self._taken[plain] += 1
        count = self._taken[plain]
        return plain if count == 1 else self._own(f"{plain}_{count}", otherwise)


def sources_of(made: ScenarioDef) -> dict[str, Rows]:
    """By name, in the order in which they are bound: the same in every process that has the file."""
    names = Names()
    for holder in (*(vars(sys.modules[base.__module__]) for base in made.cls.__mro__ if base is not object), *map(vars, made.cls.__mro__)):
        for value in list(holder.values()):
            if isinstance(value, Rows):
                names.rows(value)
    return names.sources


def source_json(name: str, rows: Rows) -> dict[str, object]:
    """As an entry of `csv_sources`."""
    source = rows.__source__
    whence = {"database": {"url": source.database, "query": source.query}} if source.database else {"file_path": source.path}
    options = {name: value for name in OPTIONS if (value := getattr(source, name)) != getattr(USUAL, name)}
    return {"name": name, **whence, "mode": source.mode, "per": "user", **options}


def call_that_made(source: JsonMapping) -> str:
    """What stands in Python for an entry of `csv_sources`."""
    asked = source.get("database")
    return str(Source(source["file_path"]) if asked is None else Source(database=asked["url"], query=asked["query"]))
