"""How long an agent takes until it is ready for a share, by those that were."""

from __future__ import annotations

import time
from collections.abc import Sequence

from loadflow.engine.fleet.members import Member

__all__ = ["Starts"]

LEAST_S = 0.3  # from an agent's first question to its readiness, where none is known
SPARE_S = 2.0  # at most, on top of the slowest start


class Starts:
    def __init__(self) -> None:
        self._slowest_s = LEAST_S

    def note(self, member: Member, live: Sequence[Member], *, began: bool) -> None:
        """That `member` is ready. Before the load has begun all agents of a machine start together, and share its cores."""
        together = 1 if began else sum(one.host == member.host for one in live)
        self._slowest_s = max(self._slowest_s, (time.monotonic() - member.asked_s) / max(1.0, together / member.cores))

    def ahead_s(self, shares: int, cores: int) -> float:
        """From when on an agent with so many cores can make a share, if so many are open."""
        start_s = self._slowest_s * max(1.0, shares / cores)
        return min(1.5 * start_s, start_s + SPARE_S)
