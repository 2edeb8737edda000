"""One second of a run: what was counted in it, and how the generator itself was doing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.totals import Totals

__all__ = ["SecondRow", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What exporters, progress and live views fold: the delta of one second, never a running total.

    `second` counts from the run's start; `planned_s` is the planned length of the load, None when it has no end of its own.
    """

    second: int
    unix_s: float  # wall clock at the end of this second
    delta: Totals
    health: Health
    planned_s: float | None

    def row(self) -> SecondRow:
        overall = self.delta.overall()
        return SecondRow(self.second, overall.succeeded, overall.failed, self.health, self.delta.passes)


@dataclass(frozen=True, slots=True)
class SecondRow:
    """A snapshot as it stands on disk: one line of `snapshots.ndjson`, response times over all series."""

    second: int
    succeeded: Histogram
    failed: Histogram
    health: Health
    passes: Passes = field(default_factory=Passes)

    def to_json(self) -> JsonObject:
        paced = {"passes": self.passes.to_json()} if self.passes != Passes() else {}
        return {
            "second": self.second,
            "succeeded": self.succeeded.to_json(),
            "failed": self.failed.to_json(),
            "health": asdict(self.health),
            **paced,
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> SecondRow:
        return cls(
            data["second"],
            Histogram.from_json(data["succeeded"]),
            Histogram.from_json(data["failed"]),
            Health.from_json(data["health"]),
            Passes.from_json(data.get("passes")),
        )
