"""How the generator itself was doing. Apart from the other records, so that an engine can tell it without NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Health"]


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
