"""The last runs, one after the other, each against the one before it that it is like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

from loadflow.engine.history.comparing import change_text
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.records.compare import Change, ChangeKind, Limits, compare
from loadflow.engine.records.fingerprint import unlike
from loadflow.engine.records.summary import Latency

__all__ = ["TrendRow", "change_line", "like_runs", "trend"]


@dataclass(frozen=True, slots=True)
class TrendRow:
    """One run. `against` is the run it was compared with, "" for none; `changes` are over all hits, empty without one.

    `note` says why there is none though the label had a run before: what is unlike.
    """

    name: str
    label: str
    started_unix_s: float
    verdict: str
    hits: int
    failures: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    replaced: int = 0  # failed attempts that a retry followed; they are no failures
    against: str = ""
    change: ChangeKind | None = None
    changes: tuple[Change, ...] = ()
    note: str = ""
    flow_run_url: str = ""  # its page, "" without Prefect
    revision: str = ""  # the target's build, "" where it is not known

    @property
    def failure_rate(self) -> float:
        """A share, 0 to 1, of the hits that decide."""
        return self.failures / (self.hits - self.replaced) if self.hits > self.replaced else 0.0

    def kind_of(self, metric: str) -> ChangeKind | None:
        return next((change.verdict for change in self.changes if change.metric == metric), None)

    def to_json(self) -> dict[str, object]:
        plain = {**asdict(self), "change": str(self.change) if self.change else None}
        return {**plain, "failure_rate": self.failure_rate, "changes": [change.to_json() for change in self.changes]}


def trend(newest_first: Iterable[KeptRun], limit: int, limits: Limits | None = None) -> list[TrendRow]:
    """At most `limit` rows, newest first; only the counts of these runs, and of one more, are read.

    One that is still going on has its figures so far; neither is it compared, nor is another with it.
    """
    runs = list(islice(newest_first, limit + 1))
    rows = []
    for index, run in enumerate(runs[:limit]):
        older = [] if run.running else [number for number in range(index + 1, len(runs)) if _ended_before(runs[number], run)]
        like = next((number for number in older if runs[number].is_like(run)), None)
        note = ""
        if older and older[0] != like:
            keys = (line.partition(":")[0] for line in unlike(runs[older[0]].facts, run.facts))
            note = f"unlike the run before: {', '.join(keys)}"
        rows.append(_row(run, runs[like] if like is not None else None, note, limits))
    return rows


def like_runs(newest_first: Iterable[KeptRun], run: KeptRun) -> Iterator[KeptRun]:
    """Those of the same label and fingerprint that did not start after `run`, and whose counts stand ready."""
    for other in newest_first:
        not_after = other.facts.started_unix_s <= run.facts.started_unix_s
        if not_after and other.group == run.group and other.finished and other.is_like(run):
            yield other


def change_line(row: TrendRow) -> str:
    """Each metric that got better or worse, with its change: `p95 +21.3 %, p99 +30.1 %`."""
    changed = [change for change in row.changes if change.verdict in (ChangeKind.BETTER, ChangeKind.WORSE)]
    return ", ".join(f"{change.metric} {change_text(change)}" for change in changed)


def _ended_before(other: KeptRun, run: KeptRun) -> bool:
    return other.group == run.group and not other.running


def _row(run: KeptRun, before: KeptRun | None, note: str, limits: Limits | None) -> TrendRow:
    counted = run.counted_together
    overall = counted.totals.overall()
    latency = Latency.of(overall.response())
    comparison = compare(before.counted_together, counted, limits, names=False) if before else None
    return TrendRow(
        name=run.name,
        label=run.group,
        started_unix_s=run.facts.started_unix_s,
        verdict=run.verdict,
        hits=overall.hits,
        failures=overall.final_failures,
        replaced=overall.superseded,
        rate_per_s=overall.hits / counted.duration_s if counted.duration_s > 0 else 0.0,
        p50_ms=latency.p50_ms,
        p95_ms=latency.p95_ms,
        p99_ms=latency.p99_ms,
        against=before.name if before else "",
        change=comparison.verdict if comparison else None,
        changes=comparison.overall.changes if comparison else (),
        note=note,
        flow_run_url=run.facts.flow_run_url,
        revision=run.facts.revision,
    )
