"""What ended in each second of a load, by name: what it takes to know how much a run wavers by itself.

Counts above a percentile can be made once the percentile is known, so they are made from the hits when two runs are compared, in one
pass of some 100 ns a hit, and kept in the run's folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["QUANTILES", "SecondCounter", "SecondCounts", "from_bytes", "to_bytes"]

Counts = npt.NDArray[np.float64]  # whole numbers and sums of nanoseconds

QUANTILES = (0.5, 0.95, 0.99)
VERSION = 2
SECOND_NS = 1_000_000_000
MOST_NAMES = 1_000  # those with most hits
MOST_UNITS = 3_600
MOST_CELLS = 1_000_000  # units times names: some 60 MB
ALL = SeriesName("", "")
ALMOST_S = 0.1  # a last second that lacks less than this is a whole one


@dataclass(frozen=True, slots=True)
class SecondCounts:
    """Each array has a row for each name, the first of which is all hits together; shape (names, units).

    `above` has shape (names, quantiles, units): the hits that took longer than the run's own p50, p95 and p99 of that name. A unit is
    `unit_s` whole seconds: one, but in loads of hours or of many names. What ended in a last part of a unit, or in the drain, is left out.
    """

    names: tuple[SeriesName, ...]
    unit_s: int
    hits: Counts
    above: Counts
    sum_ns: Counts
    decisive: Counts  # without attempts that another one followed
    failed: Counts  # of the decisive ones
    in_flight: Counts  # shape (units,): of all names, at the end of each unit, by the times of the hits
    busy_ns: Counts  # shape (units,): the service times of what ended in it, added up

    @property
    def seconds(self) -> int:
        return int(self.hits.shape[1]) * self.unit_s


@dataclass
class SecondCounter:
    """Counts rows of a run of `ran_s` seconds whose counts over all are `totals`; unless `by_name`, of all hits together only."""

    totals: Totals
    ran_s: float
    by_name: bool = True
    quantiles: tuple[float, ...] = QUANTILES
    names: tuple[SeriesName, ...] = field(init=False)

    def __post_init__(self) -> None:
        most = sorted(self.totals.series, key=lambda name: -self.totals.series[name].hits)[: MOST_NAMES if self.by_name else 0]
        self.names = (ALL, *most)
        whole = int(self.ran_s + ALMOST_S)
        self.unit_s = max(1, -(-whole // MOST_UNITS), -(-whole * len(self.names) // MOST_CELLS))
        self._units = whole // self.unit_s
        self._index = {name: number for number, name in enumerate(self.names)}
        every = [self.totals.overall(), *(self.totals.series[name] for name in most)]
        self.limits_ns = np.array([self._limits_of(one) for one in every]).reshape(len(every), len(self.quantiles))
        shape = (len(self.names), self._units)
        self._hits, self._sum_ns, self._decisive, self._failed = (np.zeros(shape) for _ in range(4))
        self._above = np.zeros((shape[0], len(self.quantiles), shape[1]))
        self._steps, self._busy_ns = np.zeros(self._units + 1), np.zeros(self._units)  # by how many more are in flight than before

    @property
    def cells(self) -> int:
        return len(self.names) * self._units

    def number(self, name: SeriesName) -> int:
        """The row of a name; 0, which is that of all hits, for one that is not counted by itself."""
        return self._index.get(name, 0)

    def add(self, rows: Rows, names: Mapping[int, SeriesName]) -> None:
        """Rows of a hit log; `names` says what their ids stand for."""
        units = np.maximum(rows["end_ns"], 0) // (SECOND_NS * self.unit_s)
        if self.by_name:
            keeps = (rows["flags"] & HitFlag.SETUP) == 0
            rows, units = rows[keeps], units[keeps]
        self._add_in_flight(rows, units)
        rows, units = rows[units < self._units], units[units < self._units]
        if len(rows) == 0:
            return
        known = np.zeros(int(rows["series"].max()) + 1, dtype=np.int64)
        for number, name in names.items():
            if number < len(known):
                known[number] = self.number(name)
        numbers = known[rows["series"]]
        took_ns = np.maximum(rows["end_ns"] - rows["due_ns"], 0)
        decides = (rows["flags"] & HitFlag.SUPERSEDED) == 0
        failed = decides & (rows["outcome"] != Outcome.OK)
        cells = numbers * self._units + units
        for counts, wanted in ((self._hits, None), (self._decisive, decides), (self._failed, failed)):
            self._count(counts, cells if wanted is None else cells[wanted])
        self._sum_ns += np.bincount(cells, took_ns, self.cells).reshape(self._sum_ns.shape)
        self._busy_ns += np.bincount(units, rows["end_ns"] - rows["start_ns"], self._units)
        for q in range(len(self.quantiles)):
            self._count(self._above[:, q], cells[took_ns > self.limits_ns[numbers, q]])
            self._above[0, q] += np.bincount(units[(numbers > 0) & (took_ns > self.limits_ns[0, q])], minlength=self._units)

    def _add_in_flight(self, rows: Rows, units: npt.NDArray[np.int64]) -> None:
        """A hit is in flight at the end of each unit from the one of its start to the one before its end."""
        first = np.maximum(rows["start_ns"], 0) // (SECOND_NS * self.unit_s)
        across = (units > first) & (first < self._units)
        size = self._units + 1
        self._steps += np.bincount(first[across], minlength=size) - np.bincount(np.minimum(units[across], self._units), minlength=size)

    def add_counts(self, name: SeriesName, unit: int, counts: Iterable[float]) -> None:
        """Counts from elsewhere, of one name in one unit: hits, sum_ns, decisive, failed, above its own limits, above those of all."""
        if not 0 <= unit < self._units:
            return
        hits, sum_ns, decisive, failed, *above = counts
        number = self.number(name)
        for array, value in ((self._hits, hits), (self._sum_ns, sum_ns), (self._decisive, decisive), (self._failed, failed)):
            array[number, unit] += value
        if number:
            self._above[number, :, unit] += above[: len(self.quantiles)]
        self._above[0, :, unit] += above[len(self.quantiles) :]

    def counts(self) -> SecondCounts:
        sums = (self._hits, self._sum_ns, self._decisive, self._failed)
        hits, sum_ns, decisive, failed = (np.vstack((one.sum(axis=0), one[1:])) for one in sums)
        in_flight = np.cumsum(self._steps)[:-1]
        return SecondCounts(self.names, self.unit_s, hits, self._above, sum_ns, decisive, failed, in_flight, self._busy_ns)

    def _limits_of(self, totals: SeriesTotals) -> list[float]:
        times = totals.response()
        return [times.quantile_ns(q) for q in self.quantiles]

    def _count(self, counts: Counts, cells: npt.NDArray[np.int64]) -> None:
        counts += np.bincount(cells, minlength=self.cells).reshape(counts.shape)


def to_bytes(counts: SecondCounts) -> bytes:
    """In NumPy's own format, with nothing in it that runs when it is read."""
    file = BytesIO()
    about = {"version": VERSION, "unit_s": counts.unit_s, "names": [[name.method, name.name] for name in counts.names]}
    arrays = {one.name: getattr(counts, one.name) for one in fields(counts) if one.name not in about}
    np.savez_compressed(file, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **arrays)
    return file.getvalue()


def from_bytes(data: bytes) -> SecondCounts:
    """Raises ValueError if the file is not one, or has another version."""
    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            about: JsonObject = read_json(file["about"].tobytes())
            if about["version"] != VERSION:
                raise ValueError(f"its version is {about['version']}")
            names = tuple(SeriesName(*name) for name in about["names"])
            arrays = {one.name: file[one.name] for one in fields(SecondCounts) if one.name not in about}
            return SecondCounts(names=names, unit_s=about["unit_s"], **arrays)
    except (OSError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise ValueError(f"these are no counts of seconds ({error})") from error
