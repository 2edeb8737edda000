"""What a report says of the runs before: what changed since the last good one that is like it, and the last few of its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.history.comparing import change_text, interval_text, seen_text, value_text
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.records.compare import Change, ChangeKind, Comparison, compare
from loadflow.engine.records.fingerprint import unlike
from loadflow.engine.records.run import Run
from loadflow.engine.records.runs_dir import runs_below
from loadflow.errors import LoadflowError

__all__ = ["ChangeRow", "EarlierRun", "Since", "since_last_good"]

MOST_FOLDERS = 300  # that are looked into, newest first
MOST_EARLIER = 8
BROKEN = (LoadflowError, OSError, ValueError, KeyError, TypeError, AttributeError)  # of a folder that holds something else than it should
METRICS = {"p50": "Median", "p95": "p95", "p99": "p99", "mean": "Mean", "failure_rate": "Failed", "rate": "Rate"}


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """One finished run of the label, as its own summary has it."""

    id: str
    started_unix_s: float
    verdict: str
    revision: str
    hits: int
    failure_rate: float
    rate_per_s: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Texts for reading; `between`: the interval of the difference, "–" where it is not known."""

    metric: str
    before: str
    now: str
    change: str
    between: str
    verdict: ChangeKind
    why: str


@dataclass(frozen=True, slots=True)
class Since:
    """`good` None: `why` says why there is nothing to compare with. `earlier` is newest first."""

    good: EarlierRun | None
    why: str
    verdict: ChangeKind | None
    rows: Sequence[ChangeRow]
    earlier: Sequence[EarlierRun]


def since_last_good(run: Run) -> Since:
    """Looks beside the run's own folder. A folder that can't be read is passed over: it must not cost this run its report."""
    now = KeptRun.of(run)
    good: tuple[KeptRun, EarlierRun] | None = None
    earlier: list[EarlierRun] = []
    difference = ""
    for other, about in islice(_before(now), MOST_FOLDERS):
        if len(earlier) < MOST_EARLIER:
            earlier.append(about)
        if about.verdict == "passed" and good is None:
            if other.is_like(now):
                good = other, about
            elif not difference:
                keys = dict.fromkeys(line.partition(":")[0].removeprefix("plan.") for line in unlike(other.facts, now.facts))
                difference = f"the last good run differs from this one in {', '.join(keys)}"
        if good is not None and len(earlier) == MOST_EARLIER:
            break
    comparison = _compared(good[0], now) if good else None
    if good is None or comparison is None:
        return Since(None, difference or f"no run of “{now.group}” before it passed", None, (), earlier)
    rows = tuple(_row(change) for change in comparison.overall.changes)
    return Since(good[1], "" if rows else "one of the two runs has no hits", comparison.verdict, rows, earlier)


def _before(now: KeptRun) -> Iterator[tuple[KeptRun, EarlierRun]]:
    """Finished runs of the same label that did not start after this one, newest first."""
    assert isinstance(now.source, Run)
    own = now.source.folder
    for folder in islice(runs_below(own.parent), MOST_FOLDERS):
        try:
            other = KeptRun.of(Run.open(folder))
            if folder.name == own.name or other.group != now.group or other.facts.started_unix_s > now.facts.started_unix_s:
                continue
            about = _about(other, read_json(read_regular(folder / "summary.json")))
        except BROKEN:
            continue
        yield other, about


def _about(run: KeptRun, summary: JsonObject) -> EarlierRun:
    totals = summary["totals"]
    return EarlierRun(
        id=run.name,
        started_unix_s=run.facts.started_unix_s,
        verdict=str(summary["verdict"]["verdict"]),
        revision=str(run.facts.revision),
        hits=int(totals["requests"]),
        failure_rate=float(totals["failure_rate"]),
        rate_per_s=float(totals["rate_per_s"]),
        p95_ms=float(summary["latency_overall"]["p95_ms"]),
    )


def _compared(before: KeptRun, now: KeptRun) -> Comparison | None:
    try:
        return compare(before.counted_together, now.counted_together, names=False)
    except BROKEN:
        return None


def _row(change: Change) -> ChangeRow:
    return ChangeRow(
        metric=METRICS[change.metric],
        before=value_text(change.metric, change.baseline),
        now=value_text(change.metric, change.current),
        change=change_text(change),
        between=interval_text(change),
        verdict=change.verdict,
        why="; ".join(filter(None, (change.why, seen_text(change)))),
    )
