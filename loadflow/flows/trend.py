"""The trend of a deployment as a section of its Markdown page: its last like runs, what changed marked, and a chart of their percentiles.

Cheap and bounded: it opens at most 200 run folders, reads the counts of at most 21, and never a hit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import unbroken
from loadflow.engine.history.comparing import value_text
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.history.trend import TrendRow, change_line, like_runs, trend
from loadflow.engine.records.compare import ChangeKind
from loadflow.engine.records.run import Run
from loadflow.engine.records.runs_dir import runs_below
from loadflow.engine.reports.links import REPORTS_URL_VARIABLE
from loadflow.errors import RunError
from loadflow.flows.pictures import image
from loadflow.flows.safe_text import safe
from loadflow.flows.trend_chart import chart_of

__all__ = ["trend_page"]

MOST_RUNS = 20
REVISION_CHARACTERS = 40  # of a commit's whole id
MOST_FOLDERS = 200  # how far back is looked for runs of the label: other deployments may share the folder
SIGNS = {ChangeKind.BETTER: "▼ better", ChangeKind.SAME: "= same", ChangeKind.UNCLEAR: "? unclear", ChangeKind.WORSE: "▲ **worse**"}


def trend_page(run: Run) -> str:
    """The section; "" while `run` is the first of its label, plan, engine and machine."""
    kept = KeptRun.of(run)
    rows = trend(like_runs(_recent(run), kept), MOST_RUNS)
    if len(rows) < 2:
        return ""
    heads = ["Started", "Revision", "Verdict", "Rate", "p50", "p95", "p99", "Failed", "Change"]
    table = [heads, ["---", "---", "---", *["--:"] * 5, "---"], *(_cells(row) for row in rows)]
    last = rows[0]
    said = f"{SIGNS[last.change]}: {change_line(last)}".rstrip(": ") if last.change else ""
    return "\n\n".join(
        [
            f"## The last {counted(len(rows), 'run')}",
            f"Against the run before: {said}. Runs of the same label, plan, engine and machine (`{kept.fingerprint}`); newest first.",
            "\n".join(f"| {' | '.join(cells)} |" for cells in table),
            *([image(chart_of(rows[::-1]))] if any(row.hits for row in rows) else []),
        ]
    )


def _recent(run: Run) -> Iterator[KeptRun]:
    for path in islice(runs_below(run.folder.parent), MOST_FOLDERS):
        try:
            yield KeptRun.of(Run.open(path))
        except RunError:  # of a newer release, or torn: no part of this trend, and `loadflow runs` names it
            continue


def _cells(row: TrendRow) -> list[str]:
    values = {"rate": row.rate_per_s, "p50": row.p50_ms, "p95": row.p95_ms, "p99": row.p99_ms, "failure_rate": row.failure_rate}
    texts = {name: unbroken(value_text(name, value)) for name, value in values.items()}
    figures = [f"**{text}**" if _worse(row, name) else text for name, text in texts.items()]
    started = datetime.fromtimestamp(row.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    change = f"{SIGNS[row.change]} {change_line(row)}".strip() if row.change else "–"
    revision = safe(row.revision, REVISION_CHARACTERS) or "–"
    return [_linked(started, _report(row)), revision, _linked(row.verdict, row.flow_run_url), *figures, change]


def _report(row: TrendRow) -> str:
    """Where its report opens; a file of another machine opens nowhere."""
    base = os.environ.get(REPORTS_URL_VARIABLE, "").rstrip("/")
    return f"{base}/{row.name}/report.html" if base else ""


def _linked(text: str, link: str) -> str:
    return f"[{text}]({link})" if link else text


def _worse(row: TrendRow, metric: str) -> bool:
    return row.kind_of(metric) is ChangeKind.WORSE
