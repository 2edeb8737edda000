"""Which attempts decide: the last of each step, and so also one whose retry was planned and never came.

An engine marks a failed attempt as superseded before the delay of its retry. Where the end of the load, or of the engine, cuts that delay
off, nothing follows; only the later rows of the same user show that: each retry follows one attempt of its user, and those without one
decide. Where a user does one step after the other, such an attempt is its last row that has to do with a retry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.hitlog import HIT_DTYPE, Rows, iter_rows, read_rows
from loadflow.engine.records.outcome import HitFlag

__all__ = ["OpenAttempts", "final_rows", "iter_final_rows", "without_events"]

OF_RETRIES = int(HitFlag.RETRY | HitFlag.SUPERSEDED)
FINAL = np.uint8(~HitFlag.SUPERSEDED & 0xFF)
CHUNK_ROWS = 262_144


class OpenAttempts:
    """Follows the rows of one log in order, and keeps those attempts of each user that their retries have not followed yet.

    At most one of a user, but for one who sends several steps at once; a retry then follows the open attempt of its name.
    """

    def __init__(self) -> None:
        self._open: dict[int, list[tuple[int, Rows]]] = {}
        self._taken = 0

    def take(self, rows: Rows) -> None:
        marked = np.flatnonzero(rows["flags"] & OF_RETRIES)[::-1]
        users, of_user, which = np.unique(rows["user"][marked], return_index=True, return_inverse=True)
        flags = rows["flags"][marked]
        more = ((flags & HitFlag.SUPERSEDED) != 0).astype(np.int64) - ((flags & HitFlag.RETRY) != 0)
        opened = np.bincount(which.reshape(-1), weights=more, minlength=len(users)).astype(np.int64)
        for at, user in enumerate(users.tolist()):
            before = self._open.pop(user, [])
            left = len(before) + int(opened[at])
            last = int(marked[of_user[at]])
            is_open = bool(rows["flags"][last] & HitFlag.SUPERSEDED)
            if left == 1 and is_open:
                self._open[user] = [(self._taken + last, rows[last : last + 1].copy())]
            elif left > 0 or is_open:  # the log may lack what a retry followed
                self._open[user] = self._followed(before, rows, np.flatnonzero(which.reshape(-1)[::-1] == at), marked[::-1])
        self._taken += len(rows)

    def _followed(
        self, opened: list[tuple[int, Rows]], rows: Rows, own: npt.NDArray[np.int64], marked: npt.NDArray[np.int64]
    ) -> list[tuple[int, Rows]]:
        """The open attempts of one user after his rows: of `marked`, which are in order, those at `own`."""
        for row_at in marked[own].tolist():
            row = rows[row_at : row_at + 1]
            if row["flags"][0] & HitFlag.RETRY and opened:
                same = [at for at, (_, one) in enumerate(opened) if one["series"][0] == row["series"][0]]
                del opened[same[0] if same else -1]  # the name of a step may change from attempt to attempt
            if row["flags"][0] & HitFlag.SUPERSEDED:
                opened.append((self._taken + row_at, row.copy()))
        return opened

    def numbers(self) -> npt.NDArray[np.int64]:
        """Of their rows in the log, from 0, ascending."""
        return np.array(sorted(number for attempts in self._open.values() for number, _ in attempts), dtype=np.int64)

    def rows(self) -> Rows:
        """As they count when nothing follows any more: without the mark."""
        attempts = (row for attempts in self._open.values() for _, row in attempts)
        found = np.concatenate([np.zeros(0, dtype=HIT_DTYPE), *attempts])
        found["flags"] &= FINAL
        return found


def without_events(rows: Rows) -> Rows:
    """The rows of hits."""
    events = (rows["flags"] & HitFlag.EVENT) != 0
    return rows[~events] if events.any() else rows


def iter_final_rows(path: Path, chunk_rows: int = CHUNK_ROWS, *, retries: bool = True, events: bool = False) -> Iterator[Rows]:
    """All rows of a log in chunks, those attempts unmarked that nothing followed. `retries` False: it is known that none was planned;
    `events`: with those of the events of streams."""
    numbers = _unfollowed(path) if retries else np.zeros(0, dtype=np.int64)
    first = 0
    for rows in iter_rows(path, chunk_rows):
        here = numbers[(numbers >= first) & (numbers < first + len(rows))] - first
        first += len(rows)
        if len(here):
            rows = rows.copy()
            rows["flags"][here] &= FINAL
        if not events:
            rows = without_events(rows)
        if len(rows):
            yield rows


def final_rows(path: Path, *, retries: bool = True) -> Rows:
    """The same, all rows at once: mapped from the file while none has to be unmarked, else in memory."""
    rows = read_rows(path)
    if not retries or len(numbers := _unfollowed(path)) == 0:
        return without_events(rows)
    rows = np.array(rows)
    rows["flags"][numbers[numbers < len(rows)]] &= FINAL
    return without_events(rows)


def _unfollowed(path: Path) -> npt.NDArray[np.int64]:
    attempts = OpenAttempts()
    for rows in iter_rows(path, CHUNK_ROWS):
        attempts.take(rows)
    return attempts.numbers()
