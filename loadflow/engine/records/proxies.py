"""Loads past a proxy that the environment names."""

from __future__ import annotations

from collections.abc import Iterator

from loadflow.engine.records.judge import Warning_
from loadflow.engine.records.summary import RunFacts

__all__ = ["PROXY_NOT_USED", "proxy_warnings"]

PROXY_NOT_USED = "proxy_not_used"  # among the facts of a run's environment: the variables that name it


def proxy_warnings(facts: RunFacts) -> Iterator[Warning_]:
    if variables := facts.environment.get(PROXY_NOT_USED):
        yield Warning_(
            "proxy-not-used",
            f"{variables} names a proxy for the target, and loadflow connected to the target itself.",
            "If the target can only be reached by the proxy, run loadflow where it can be reached directly. Else add the target's host to "
            "NO_PROXY.",
        )
