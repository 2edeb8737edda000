"""The counts of a stored run's seconds: grouped by the database, in one pass over the run's hits."""

from __future__ import annotations

from sqlalchemy import case, func, select

from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.seconds import QUANTILES, SECOND_NS, SecondCounter, SecondCounts
from loadflow.engine.records.totals import Totals
from loadflow.engine.store.connect import reading
from loadflow.engine.store.place import Place
from loadflow.engine.store.schema import hits, series

__all__ = ["stored_second_counts"]


def stored_second_counts(place: Place, run_id: int, totals: Totals, ran_s: float) -> SecondCounts | None:
    """None where the hits were not stored, or not all of them."""
    counter = SecondCounter(totals, ran_s)
    with reading(place) as connection:
        of_run = select(series).where(series.c.run_id == run_id)
        names = {row.series: SeriesName(row.method, row.name) for row in connection.execute(of_run)}
        if not names:
            return None
        unit = (hits.c.end_ns // (SECOND_NS * counter.unit_s)).label("unit")
        took_ns = hits.c.end_ns - hits.c.due_ns
        decides = hits.c.flags.op("&")(int(HitFlag.SUPERSEDED)) == 0
        limits = counter.limits_ns
        own = [
            case({id_: float(limits[counter.number(name), q]) for id_, name in names.items()}, value=hits.c.series)
            for q in range(len(QUANTILES))
        ]
        over = [took_ns > limit for limit in (*own, *(float(limit) for limit in limits[0]))]
        conditions = (decides, decides & (hits.c.outcome != int(Outcome.OK)), *over)
        columns = [func.count(), func.sum(took_ns), *(func.sum(case((one, 1), else_=0)) for one in conditions)]
        grouped = select(hits.c.series, unit, *columns).where(hits.c.run_id == run_id).group_by(hits.c.series, unit)
        found = 0
        for id_, number, *counts in connection.execute(grouped):
            found += int(counts[0])
            counter.add_counts(names[id_], int(number), map(float, counts))
    return counter.counts() if found >= totals.all_hits else None
