"""One second of a run: what was counted in it, and how the generator itself was doing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.totals import Totals

__all__ = ["Health", "SecondRow", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Health:
    """The generator in one second, over all of its processes.

    `cpu` is the busiest process's share of one core (1.0: all of it); `lag_ms` the longest that any process's event loop let
    a due timer wait; `rss_bytes` and the counts are sums over the processes.
    """

    users: int = 0
    in_flight: int = 0
    cpu: float = 0.0
    lag_ms: float = 0.0
    rss_bytes: int = 0
    open_files: int = 0

    @classmethod
    def merged(cls, parts: Iterable[Health]) -> Health:
        parts = list(parts)
        if not parts:
            return cls()
        return cls(
            users=sum(part.users for part in parts),
            in_flight=sum(part.in_flight for part in parts),
            cpu=max(part.cpu for part in parts),
            lag_ms=max(part.lag_ms for part in parts),
            rss_bytes=sum(part.rss_bytes for part in parts),
            open_files=sum(part.open_files for part in parts),
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Health:
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})


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

    def to_json(self) -> dict[str, Any]:
        paced = {"passes": self.passes.to_json()} if self.passes != Passes() else {}
        return {
            "second": self.second,
            "succeeded": self.succeeded.to_json(),
            "failed": self.failed.to_json(),
            "health": asdict(self.health),
            **paced,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SecondRow:
        return cls(
            data["second"],
            Histogram.from_json(data["succeeded"]),
            Histogram.from_json(data["failed"]),
            Health.from_json(data["health"]),
            Passes.from_json(data.get("passes")),
        )
