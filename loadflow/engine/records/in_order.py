"""The hits of several logs as one sequence in the order they ended, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.hitlog import HIT_DTYPE, Rows

__all__ = ["in_order"]


def in_order(logs: Sequence[Iterator[Rows]], chunk_rows: int) -> Iterator[tuple[npt.NDArray[np.int64], Rows]]:
    """(position of each row's log, rows) by `end_ns`; a log's rows with equal times stay in their order.

    A log may be out of order within `chunk_rows` rows, as threads that share one leave it; what is further off stays so.
    """
    coming: list[Iterator[Rows] | None] = list(logs)
    held = [np.zeros(0, dtype=HIT_DTYPE) for _ in logs]
    while True:
        # of each log twice as much as is given away, so that a row that comes a little late still finds its place
        for number, log in enumerate(coming):
            while log is not None and len(held[number]) < 2 * chunk_rows:
                rows = next(log, None)
                if rows is None:
                    coming[number] = log = None
                else:
                    held[number] = np.concatenate((held[number], rows))
        limits = [int(held[number]["end_ns"][:chunk_rows].max()) for number, log in enumerate(coming) if log is not None]
        ready = []
        for number, rows in enumerate(held):
            now = rows["end_ns"] <= min(limits) if limits else np.ones(len(rows), dtype=bool)
            ready.append(rows[now])
            held[number] = rows[~now]
        merged = np.concatenate(ready) if ready else np.zeros(0, dtype=HIT_DTYPE)
        if len(merged):
            numbers = np.repeat(np.arange(len(ready)), [len(rows) for rows in ready])
            ends = merged["end_ns"]
            if not bool(np.all(ends[1:] >= ends[:-1])):  # they mostly are, and moving whole rows costs more than looking
                order = np.argsort(ends, kind="stable")
                numbers, merged = numbers[order], merged[order]
            yield numbers, merged
        if not limits:
            return
