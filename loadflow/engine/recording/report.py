"""What a conversion did: what was left out and why, what was correlated, which secrets have to be set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Correlated", "LeftOut", "Report"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that is no step. `index` counts the entries of the file from 0; `url` is without its query."""

    index: int
    method: str
    url: str
    reason: str

    def __str__(self) -> str:
        return f"entry {self.index}: {self.method} {self.url}: {self.reason}".replace(":  :", ":")


@dataclass(frozen=True, slots=True)
class Correlated:
    """`${var.variable}` comes from `place` of the response of step `producer` and is sent by steps `users` (from 0)."""

    variable: str
    producer: int
    name: str
    place: str
    users: tuple[int, ...]

    def __str__(self) -> str:
        return f"${{var.{self.variable}}}: {self.place} of step {self.producer} ({self.name}), sent by {_steps(self.users)}"


def _steps(positions: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, positions[:8])) + (", …" if len(positions) > 8 else "")
    return f"step{'' if len(positions) == 1 else 's'} {shown}"


@dataclass(frozen=True, slots=True)
class Report:
    """Holds no values, only names. `filtered` entries did not match include, or matched exclude."""

    entries: int
    steps: int
    filtered: int
    redirects: int
    left_out: tuple[LeftOut, ...]
    correlated: tuple[Correlated, ...]
    secrets: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people."""
        head = f"{_count(self.entries, 'entry', 'entries')}, {_count(self.steps, 'step')}"
        found = [f"{head}; {_count(self.redirects, 'redirect')} collapsed, {self.filtered} filtered out, {len(self.left_out)} left out"]
        for title, rows in (
            ("left out", self.left_out),
            ("correlated", self.correlated),
            ("secrets: set these environment variables before the run", self.secrets),
            ("notes", self.notes),
        ):
            if rows:
                found += [f"{title}:", *(f"  {row}" for row in rows)]
        return found

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "entries": self.entries,
            "steps": self.steps,
            "filtered": self.filtered,
            "redirects": self.redirects,
            "left_out": [{"index": one.index, "method": one.method, "url": one.url, "reason": one.reason} for one in self.left_out],
            "correlated": [
                {"variable": one.variable, "step": one.producer, "name": one.name, "place": one.place, "users": list(one.users)}
                for one in self.correlated
            ],
            "secrets": list(self.secrets),
            "notes": list(self.notes),
        }


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
