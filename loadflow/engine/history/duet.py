"""Two versions of a target in one night, in pairs of legs A B B A …: whether B is worse than A, decided purely.

What makes nights differ hits both legs of a pair alike, so pairs show changes of 2 % that nights can't. It is looked at after 4, 6, 8 and
10 pairs, each time with a fourth of the chance to be wrong; from 6 on the two extreme pairs are trimmed (Yuen, Biometrika 61, 1974).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

import numpy as np

from loadflow.engine.records.blocks import student_t

__all__ = ["LOOKS", "DuetKind", "DuetLeg", "DuetResult", "Look", "duet_look", "legs_of"]

LOOKS = (4, 6, 8, 10)
BY_CHANCE = 0.005  # share of the duets of an unchanged target that may be called worse
TRIMMED_FROM = 6


class DuetKind(StrEnum):
    WORSE = "worse"
    FINE = "fine"
    OPEN = "open"  # another look, or unclear where it was the last


@dataclass(frozen=True, slots=True)
class Look:
    """`change`: of B against A, a logarithm; `error`: its standard error."""

    kind: DuetKind
    pairs: int
    change: float
    error: float


class DuetLeg(TypedDict):
    """One load of it: `side` A or B, of the pair with this number."""

    pair: int
    side: str
    run: str
    value: float


class DuetResult(TypedDict, total=False):
    """What LD_duet found, as JSON; empty where it was only rehearsed. `change`: of B against A, a share."""

    format: str
    version: int
    verdict: str
    metric: str
    floor: float
    label: str
    pairs: int
    change: float
    error: float | None
    suspect: str | None
    legs: list[DuetLeg]


def legs_of(pair: int) -> str:
    """In which order the legs of a pair come, counted from 0: what drifts slowly cancels out.

    >>> "".join(legs_of(pair) for pair in range(4))
    'ABBAABBA'
    """
    return "AB" if pair % 2 == 0 else "BA"


def duet_look(differences: Sequence[float], *, floor: float, sign: int = 1, most: int = LOOKS[-1]) -> Look:
    """`differences`: ln(B/A) of each pair so far; `floor`: the share from which on a change matters; `most`: the most pairs."""
    pairs = len(differences)
    values = np.sort(np.asarray(differences, dtype=float)) * sign
    if pairs < LOOKS[0]:
        return Look(DuetKind.OPEN, pairs, float(values.mean()) * sign if pairs else 0.0, math.inf)
    cut = 1 if pairs >= TRIMMED_FROM else 0
    kept = values[cut : pairs - cut]
    mean = float(kept.mean())
    drawn_in = np.clip(values, kept[0], kept[-1])  # Winsor's: the spread of what was trimmed is not that of what was kept
    error = float(drawn_in.std(ddof=1)) * math.sqrt(pairs) / len(kept)
    looks = sum(1 for look in LOOKS if look <= most) or 1
    limit = student_t(1 - BY_CHANCE / looks, max(3, len(kept) - 1))
    kind = DuetKind.OPEN
    if pairs in LOOKS or pairs >= most:
        if mean > math.log1p(floor) and mean > limit * error:
            kind = DuetKind.WORSE
        elif mean < math.log1p(floor) / 2:
            kind = DuetKind.FINE
    return Look(kind, pairs, mean * sign, error)
