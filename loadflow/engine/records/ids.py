"""One numbering of names and error texts over all shards of a run; each shard's log has its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.names import LOST, ErrorText, NameTable, SeriesName, text_lost
from loadflow.engine.records.outcome import Outcome

__all__ = ["Ids", "ShardIds"]


class Ids:
    """Gives out numbers in the order they are asked for. `table` is what they stand for, and grows with them."""

    def __init__(self, series: Iterable[SeriesName] = (), errors: Iterable[ErrorText] = ()) -> None:
        self.table = NameTable(None)
        self.series: dict[SeriesName, int] = {}
        self.errors: dict[ErrorText, int] = {}
        for name in series:
            self.series_id(name)
        for error in errors:
            self.error_id(error)

    def series_id(self, name: SeriesName) -> int:
        number = self.series.setdefault(name, len(self.series))
        self.table.series[number] = name
        return number

    def error_id(self, error: ErrorText) -> int:
        """A number of 1 or more."""
        number = self.errors.setdefault(error, len(self.errors) + 1)
        self.table.errors[number] = error
        return number

    def renumber(self, rows: Rows, names: NameTable) -> Rows:
        """A copy of a shard's rows with these numbers. Ids that its side table lost become "(name lost)" and "(text lost)"."""
        result = rows.copy()
        found = np.unique(rows["series"])
        numbers = np.array([self.series_id(names.series.get(number, LOST)) for number in found.tolist()], dtype=np.uint32)
        if len(found):
            result["series"] = numbers[np.searchsorted(found, rows["series"])]
        failed = np.flatnonzero(rows["outcome"] != Outcome.OK)
        # by outcome too: texts that are lost must not mix the kinds of failure
        codes = rows["error"][failed].astype(np.int64) * 256 + rows["outcome"][failed]
        kinds = np.unique(codes)
        texts = [names.errors.get(code // 256) or text_lost(code % 256) for code in kinds.tolist()]
        if len(kinds):
            result["error"][failed] = np.array([self.error_id(text) for text in texts], dtype=np.uint32)[np.searchsorted(kinds, codes)]
        return result


class ShardIds:
    """The numbering of a run of several shards, whose side tables may still be growing: a number stays what it is."""

    def __init__(self, tables: Sequence[NameTable]) -> None:
        self._tables = tables
        self._ids = Ids()

    def table(self) -> NameTable:
        """What the shards' side tables name now; it learns of names that were lost as their rows are renumbered."""
        for names in self._tables:
            names.refresh()
            for name in names.series.values():
                self._ids.series_id(name)
            for error in names.errors.values():
                self._ids.error_id(error)
        table = self._ids.table
        # a process that was lost has not reported its steps, and another process made the rest of them
        told = [names.steps for names in self._tables if names.steps]
        known = set.intersection(*map(set, told)) if told else set()
        table.steps = {step: self._steps(step) for step in sorted(known)}
        table.conditioned = sum(names.conditioned for names in self._tables)
        return table

    def _steps(self, step: int) -> tuple[int, int]:
        ran, skipped = zip(*(names.steps[step] for names in self._tables if names.steps), strict=True)
        return sum(ran), sum(skipped)

    def renumber(self, shard: int, rows: Rows) -> Rows:
        names = self._tables[shard]
        if len(rows) and not (int(rows["series"].max()) in names.series and int(rows["error"].max()) in names.errors):
            names.refresh()
        return self._ids.renumber(rows, names)
