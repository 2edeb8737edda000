"""Which attempts decide: the last of each step, and so also one whose retry was planned and never came.

An engine marks a failed attempt as superseded before the delay of its retry. Where the end of the load, or of the engine, cuts that delay
off, nothing follows; only the later rows of the same user show that. A user does one step after the other, so such an
attempt is the last row of its user that has to do with a retry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.hitlog import HIT_DTYPE, Rows, iter_rows, read_rows
from loadflow.engine.records.outcome import HitFlag

__all__ = ["OpenAttempts", "final_rows", "iter_final_rows"]

OF_RETRIES = int(HitFlag.RETRY | HitFlag.SUPERSEDED)
FINAL = np.uint8(~HitFlag.SUPERSEDED & 0xFF)
CHUNK_ROWS = 262_144


class OpenAttempts:
    """Follows the rows of one log in order, and keeps each user's attempt that its retry has not followed yet: one row per user at most."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, Rows]] = {}
        self._taken = 0

    def take(self, rows: Rows) -> None:
        marked = np.flatnonzero(rows["flags"] & OF_RETRIES)[::-1]
        users, of_user = np.unique(rows["user"][marked], return_index=True)
        for user, at in zip(users.tolist(), marked[of_user].tolist(), strict=True):
            if rows["flags"][at] & HitFlag.SUPERSEDED:
                self._open[user] = (self._taken + at, rows[at : at + 1].copy())
            else:
                self._open.pop(user, None)
        self._taken += len(rows)

    def numbers(self) -> npt.NDArray[np.int64]:
        """Of their rows in the log, from 0, ascending."""
        return np.array(sorted(number for number, _ in self._open.values()), dtype=np.int64)

    def rows(self) -> Rows:
        """As they count when nothing follows any more: without the mark."""
        found = np.concatenate([np.zeros(0, dtype=HIT_DTYPE), *(row for _, row in self._open.values())])
        found["flags"] &= FINAL
        return found


def iter_final_rows(path: Path, chunk_rows: int = CHUNK_ROWS, *, retries: bool = True) -> Iterator[Rows]:
    """All rows of a log in chunks, those attempts unmarked that nothing followed. `retries` False: it is known that none was planned."""
    numbers = _unfollowed(path) if retries else np.zeros(0, dtype=np.int64)
    first = 0
    for rows in iter_rows(path, chunk_rows):
        here = numbers[(numbers >= first) & (numbers < first + len(rows))] - first
        first += len(rows)
        if len(here):
            rows = rows.copy()
            rows["flags"][here] &= FINAL
        yield rows


def final_rows(path: Path, *, retries: bool = True) -> Rows:
    """The same, all rows at once: mapped from the file while none has to be unmarked, else in memory."""
    rows = read_rows(path)
    if not retries or len(numbers := _unfollowed(path)) == 0:
        return rows
    rows = np.array(rows)
    rows["flags"][numbers[numbers < len(rows)]] &= FINAL
    return rows


def _unfollowed(path: Path) -> npt.NDArray[np.int64]:
    attempts = OpenAttempts()
    for rows in iter_rows(path, CHUNK_ROWS):
        attempts.take(rows)
    return attempts.numbers()
