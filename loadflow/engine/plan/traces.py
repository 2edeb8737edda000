"""Which hits of a load are traced."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TraceRule"]


@dataclass(frozen=True, slots=True)
class TraceRule:
    """`sample_rate` of the hits, 0 to 1, drawn at random; `per_s` is the most of a second, over all processes of the load."""

    sample_rate: float
    per_s: float
