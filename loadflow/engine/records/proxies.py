"""Loads past a proxy that the environment names."""

from __future__ import annotations

from collections.abc import Iterator

from loadflow.engine.records.judge import Warning_
from loadflow.engine.records.summary import RunFacts

__all__ = ["PROXY", "PROXY_NOT_USED", "proxy_warnings"]

# among the facts of a run's environment
PROXY = "proxy"  # by which the target was reached, and who names it
PROXY_NOT_USED = "proxy_not_used"  # the variables that name one


def proxy_warnings(facts: RunFacts) -> Iterator[Warning_]:
    if variables := facts.environment.get(PROXY_NOT_USED):
        yield Warning_(
            "proxy-not-used",
            f"{variables} names a proxy for the target, and these users connected to the target itself: only HTTP users go by a "
            "proxy, and not over HTTP/3.",
            "If the target can only be reached by the proxy, run loadflow where it can be reached directly. Else add the target's host to "
            "NO_PROXY.",
        )
