"""What LD_campaign found, as JSON: a cell for each combination of its matrix."""

from __future__ import annotations

from typing import NotRequired, TypedDict

__all__ = ["CampaignCell", "CampaignResult"]


class CampaignCell(TypedDict):
    """`run` None: its load could not be made, and no number is known. `kept`: it is from a campaign before; cells on disk don't have it."""

    script: str
    name: str
    variables: dict[str, str]  # as they are shown
    target: str
    asked_per_s: float | None
    at: float  # Unix seconds
    run: str | None
    revision: str
    verdict: str
    reason: str
    kept: NotRequired[bool]
    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    rate: float | None
    failure_rate: float | None


class CampaignResult(TypedDict, total=False):
    """Empty where the campaign was only rehearsed."""

    format: str
    version: int
    verdict: str
    label: str
    metric: str
    cells: list[CampaignCell]
    page: str
