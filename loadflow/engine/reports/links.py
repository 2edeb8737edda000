"""Where a report leads to: the flow run that made the load, and the reports of other runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from loadflow.engine.records.run import Run

__all__ = ["REPORTS_URL_VARIABLE", "Links", "is_web", "links_of"]

REPORTS_URL_VARIABLE = "LOADFLOW_REPORTS_URL"  # where `loadflow reports serve` is, or the bucket that reports are put into


@dataclass(frozen=True, slots=True)
class Links:
    """`flow_run`: its address, "" if unknown. `base`: what a run's id and `/report.html` come after; None for no links."""

    flow_run: str = ""
    base: str | None = None

    def report(self, run_id: str) -> str:
        """Where the report of another run opens; "" where that is not known."""
        return "" if self.base is None or not run_id else f"{self.base}{quote(run_id, safe='')}/report.html"


def links_of(runs: Sequence[Run], path: Path) -> Links:
    """Of a report at `path`: one in its run's own folder finds the others beside it, wherever the folder is served or copied to."""
    flow_run = next((run.facts.flow_run_url for run in runs if is_web(run.facts.flow_run_url)), "")
    if len(runs) == 1 and path.resolve().parent == runs[0].folder.resolve():
        return Links(flow_run, "../")
    base = os.environ.get(REPORTS_URL_VARIABLE, "").rstrip("/")
    return Links(flow_run, f"{base}/" if is_web(base) else None)


def is_web(url: object) -> bool:
    """Whatever a run's file says: a link must not be a script."""
    try:
        return isinstance(url, str) and urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
