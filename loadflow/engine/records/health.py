"""How the generator itself was doing. Apart from the other records, so that an engine can report it without NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from loadflow.engine.base.json_value import JsonObject

__all__ = ["Health"]


@dataclass(frozen=True, slots=True)
class Health:
    """The generator in one second, over all of its processes.

    `cpu` is the busiest process's share of one core (1.0: all of it); `lag_ms` the longest that any process's event loop let
    a due timer wait, also where it was stopped and said nothing; `rss_bytes` and the counts are sums over the processes.
    Shares of 1, of what the processes share with others: `quota_used` of the CPU quota of their control group, 0.0 where there is
    none; `throttled` of its periods, in which it was stopped because the quota was used up; `stolen` of the machine's CPU, by its host.
    """

    users: int = 0
    in_flight: int = 0
    cpu: float = 0.0
    lag_ms: float = 0.0
    rss_bytes: int = 0
    open_files: int = 0
    quota_used: float = 0.0
    throttled: float = 0.0
    stolen: float = 0.0
    users_peak: int = 0  # the most at once within the second; of several processes the sum of what each had at most, maybe not at once
    python: float = 0.0
    slowest_ms: float = 0.0
    slowest_step: int = 0
    slow: int = 0

    @property
    def busy(self) -> float:
        """The CPU that was used, as a share of what could be: of a core, or of the quota."""
        return max(self.cpu, self.quota_used)

    @classmethod
    def merged(cls, parts: Iterable[Health]) -> Health:
        parts = list(parts)
        if not parts:
            return cls()
        slowest = max(parts, key=lambda part: part.slowest_ms)
        return cls(
            users=sum(part.users for part in parts),
            in_flight=sum(part.in_flight for part in parts),
            cpu=max(part.cpu for part in parts),
            lag_ms=max(part.lag_ms for part in parts),
            rss_bytes=sum(part.rss_bytes for part in parts),
            open_files=sum(part.open_files for part in parts),
            quota_used=max(part.quota_used for part in parts),
            throttled=max(part.throttled for part in parts),
            stolen=max(part.stolen for part in parts),
            users_peak=sum(part.users_peak for part in parts),
            python=max(part.python for part in parts),
            slowest_ms=slowest.slowest_ms,
            slowest_step=slowest.slowest_step,
            slow=sum(part.slow for part in parts),
        )

    @classmethod
    def from_json(cls, data: JsonObject) -> Health:
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})
