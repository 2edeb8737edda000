"""What LD_judge says of a run, as JSON: the whole, each metric of it, and the run that was the first bad one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypedDict

from loadflow.engine.base.json_value import JsonMapping

__all__ = ["AboutJudgement", "FirstBad", "JudgedMetric", "JudgedNight", "Judgement", "LikelyBad"]

JudgedNight: TypeAlias = JsonMapping  # run, started_unix_s, revision, verdict and failure_rate, and a number for each metric


class JudgedMetric(TypedDict):
    """`name` "": of all names. `usual`: from, middle and to of nights like this; `would_be_seen`: the smallest change that would be."""

    name: str
    metric: str
    verdict: str
    value: float
    change: float
    over_nights: int
    by: str
    usual: list[float] | None
    would_be_seen: float | None


class LikelyBad(TypedDict):
    """A run that may be the first bad one."""

    run: str
    revision: str
    probability: float


class FirstBad(LikelyBad):
    """The likeliest, by the number that is off the most; and all that may be."""

    metric: str
    name: str
    among: list[LikelyBad]


class AboutJudgement(TypedDict):
    """Which run, and what it was held against."""

    format: str
    version: int
    label: str
    run: str
    revision: str
    floor: float
    since: str | None


class Judgement(AboutJudgement):
    """`why` is "" where the verdict says all. `nights`: oldest first."""

    verdict: str
    why: str
    nights: Sequence[JudgedNight]
    metrics: Sequence[JudgedMetric]
    first_bad: FirstBad | None
