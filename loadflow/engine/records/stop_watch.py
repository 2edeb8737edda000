"""Looks at a load while it goes on, whether its numbers are known as well as `stop_when` asks, and says how well they are where not.

Every look is one more chance to find an interval narrow by luck, so the k-th one asks for more certainty: (1 - sure)/√k may be wrong.
The first seconds of a load in a closed loop, until all users are there, and the warm-up are left out of what is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadflow.engine.records.health import Health
from loadflow.engine.records.kept_seconds import seconds_of_all
from loadflow.engine.records.precision import Interval, precision_of
from loadflow.engine.records.sample import Counted
from loadflow.engine.records.seconds import ALL, MOST_UNITS
from loadflow.engine.records.snapshot import SecondRow, Snapshot
from loadflow.engine.records.steadiness import LEAST_S, steadiness_of
from loadflow.engine.records.stop_rule import StopRule, Width
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["LOOK_EVERY_S", "Reached", "StopWatch", "reached_of"]

LOOK_EVERY_S = 10
NO_HEALTH = Health()


@dataclass(frozen=True, slots=True)
class Reached:
    """One metric at one look. `half`: how far to each side the true value may be; None: too short, or too few hits, to say: `why`."""

    width: Width
    value: float
    half: float | None
    why: str

    @property
    def met(self) -> bool:
        return self.half is not None and self.half <= self.width.around(self.value)

    @property
    def text(self) -> str:
        metric, asked = self.width.metric, f"{self.width.text} is asked"
        if self.half is None:
            return f"{metric}: {self.why}; {asked}"
        if self.width.relative:
            how = f"± {self.half / self.value * 100:.2g} %" if self.value else "0"
        elif metric == "failure_rate":
            how = f"± {self.half * 100:.2g} points"
        else:
            how = f"± {self.half:.3g}{'/s' if metric == 'rate' else ' ms'}"
        return f"{metric} {how} ({asked})"


class StopWatch:
    """Given every snapshot, says when the rule is met: `met` is then a sentence, and `said` always is the last look's.

    `users`: how many there are once all of a closed loop have begun; None for a load with a rate.
    """

    def __init__(self, rule: StopRule, users: int | None) -> None:
        self._rule = rule
        self._users = users
        self._units: list[SeriesTotals] = []  # of all hits
        self._unit_s = 1
        self._counted_s = 0
        self._looks = 0
        self._begun = users is None
        self.met = ""
        self.said = "the load was too short to say how well its numbers are known"

    def add(self, snapshot: Snapshot) -> None:
        self._begun = self._begun or snapshot.health.users >= (self._users or 0)
        if not self._begun or self.met:
            return
        if self._counted_s % self._unit_s:
            self._units[-1].merge(snapshot.delta.overall())
        else:
            self._units.append(snapshot.delta.overall())
        self._counted_s += 1
        if len(self._units) > MOST_UNITS and len(self._units) % 2 == 0 and self._counted_s % self._unit_s == 0:
            self._halve()
        if self._counted_s % LOOK_EVERY_S == 0 and self._counted_s >= LEAST_S:  # with less nothing is known of a warm-up
            self._look(snapshot.second + 1)

    def _halve(self) -> None:
        """Units of twice as many seconds: memory is bounded, however long the load is."""
        for one, next_one in zip(self._units[::2], self._units[1::2], strict=True):
            one.merge(next_one)
        self._units = self._units[::2]
        self._unit_s *= 2

    def _look(self, at_s: int) -> None:
        whole = self._counted_s // self._unit_s
        reached, warm_up_s = reached_of(self._rule, self._units[:whole], self._unit_s, self._looks + 1)
        if reached is None:
            return
        self._looks += 1
        left_out = f", without {warm_up_s} s of warm-up" if warm_up_s else ""
        self.said = f"after {at_s:,} s{left_out}: {', '.join(one.text for one in reached)}; {self._rule.sure:g} sure"
        if all(one.met for one in reached):
            self.met = self.said


def reached_of(rule: StopRule, units: Sequence[SeriesTotals], unit_s: int, look: int) -> tuple[list[Reached] | None, int]:
    """What the `look`-th look finds, and the seconds of warm-up that it left out; None for a load that is too short to say anything.

    `units`: all hits of each unit; each is as many seconds long.
    """
    counted = _counted(units, unit_s)
    seconds = counted.per_second()
    assert seconds is not None
    steady = steadiness_of(seconds)
    warm_up = int(steady.warm_up_s) if steady else 0  # in units, which are counted as if they were seconds
    if warm_up:
        counted = _counted(units[warm_up:], unit_s)
    precision = precision_of(counted, 1 - (1 - rule.sure) / math.sqrt(look))
    if precision.why:
        return None, warm_up * unit_s
    return [_reached(width, precision.overall.intervals.get(width.metric)) for width in rule.widths], warm_up * unit_s


def _counted(units: Sequence[SeriesTotals], unit_s: int) -> Counted:
    whole = SeriesTotals()
    for one in units:
        whole.merge(one)
    totals = Totals({ALL: whole})
    rows = [SecondRow(number, one.succeeded, one.failed, NO_HEALTH) for number, one in enumerate(units)]
    return Counted(totals, len(units) * unit_s, lambda: seconds_of_all(totals, len(units), rows))


def _reached(width: Width, interval: Interval | None) -> Reached:
    if interval is None or interval.low is None or interval.high is None:
        return Reached(width, interval.value if interval else 0.0, None, interval.why if interval else "no hit was recorded")
    return Reached(width, interval.value, max(interval.high - interval.value, interval.value - interval.low), "")
