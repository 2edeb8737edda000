"""Loads whose rate somebody, or an interlock, changed while they ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from loadflow.engine.base.figures import clock_text
from loadflow.engine.records.judge import Warning_
from loadflow.engine.records.watched import watched_of

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["AGENTS", "rate_change_warnings", "why_rate_stays"]

AGENTS = "agents"  # among the facts of a run's environment: how many made the load


def why_rate_stays(run: Run) -> str:
    """Why the rate of `run` can't be changed while it runs; "" where it can."""
    if run.pace is None:
        return "this load has no rate: its users decide when the next request is sent"
    if run.facts.environment.get(AGENTS):
        return "the rate of a load on agents can't be changed while it runs"
    if run.facts.population:
        return "the rate of a population can't be changed while its test runs"
    return ""


def rate_change_warnings(run: Run) -> Iterator[Warning_]:
    if run.pace is not None and run.pace.changes:
        changes = ", ".join(f"× {factor:.3g} at {clock_text(second)}" for second, factor in run.pace.changes)
        by = "by hand or by an interlock" if watched_of(run.folder).only_if else "by hand"
        yield Warning_(
            "rate-changed",
            f"The rate was changed {by} while the load ran: {changes}.",
            "The verdict is of the load as it was. To compare it with other runs, run the script again and leave the rate alone: a run "
            "whose rate was changed counts for no history and no comparison.",
        )
