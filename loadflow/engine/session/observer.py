"""What watches the runs of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadflow.engine.plan.traces import TraceRule
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.snapshot import Snapshot
    from loadflow.engine.records.spans import SpanBatch
    from loadflow.engine.records.summary import Summary

__all__ = ["Observer"]


class Observer:
    """Watches the runs of a session; every method may be left as it is.

    All are called on the thread that runs the command, while the load goes on in its own process: a slow one delays the
    next call, never the load. `traces`: which hits' spans it wants; None: it has no use for spans.
    """

    traces: TraceRule | None = None

    def run_started(self, run: Run) -> None:
        """The run's folder exists and the engine is about to start."""

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        """One second is complete. Seconds come in order, without gaps, and each once."""

    def spans(self, run: Run, batch: SpanBatch) -> None:
        """Traced hits have ended. Called once or more a second if traces were requested, each once, before `run_ended`."""

    def run_ended(self, run: Run, summary: Summary) -> None:
        """The load is over, however it ended; the folder is complete, its report included."""

    def judged(self, judgement: Mapping[str, object]) -> None:
        """A run was held against the nights before it, or two versions of a target against each other; `format` says which."""

    def stop_requested(self) -> str:
        """Asked several times a second while load runs; a text other than "" ends the load, with the text as the reason."""
        return ""

    def rate_factor(self) -> float:
        """Asked as often while a load with a rate runs: by how much its rate is to be multiplied from now on; 1.0 leaves it."""
        return 1.0
