"""Only a load that is over can be judged, compared or reported on: its counts change no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadflow.errors import RunError

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["STILL_GOING_ON", "ended"]

STILL_GOING_ON = "wait for its end, or stop it (Ctrl-C, or Cancel on its flow run); `loadflow reports serve` shows it meanwhile"


def ended(run: Run) -> Run:
    """The run itself. Raises RunError for one that is still going on."""
    if run.running:
        raise RunError(f"the run {run.facts.id or run.folder.name} is still going on; {STILL_GOING_ON}")
    return run
