"""A run is a folder: what was planned, every hit, every second, the summary; readable up to the last second at any time.

run.json            facts and plan (redacted), written before the load starts
hits-<shard>.bin    the hit log of one engine process          names-<shard>.ndjson  what its ids stand for
samples-<shard>.ndjson  the first few failures of each kind    engine-<shard>.log    what the engine said
spans-<shard>.ndjson  the sampled hits, where hits are traced
snapshots.ndjson    one line per second
end.json            how it ended; missing: it was cut off
workers.json        with a master: who made the load, and how it went
totals.json         the counts with their histograms           summary.json          `Summary.to_json`
"""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadflow.engine.calibration.value import Ceiling
from loadflow.engine.plan.pace import Pace
from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows, iter_rows, read_rows, row_count
from loadflow.engine.records.judge import RATE_TOLERANCE, EndReason, RunEnd, ceiling_warnings, judge, warnings_of
from loadflow.engine.records.names import ErrorText, NameTable, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.snapshot import SecondRow, Snapshot
from loadflow.engine.records.summary import RunFacts, Summary, summarise
from loadflow.engine.records.threshold import Threshold, ThresholdResult, decide
from loadflow.engine.records.totals import Totals
from loadflow.engine.records.workers import WorkerRecord, degradation, read_workers
from loadflow.engine.verdict import Verdict, VerdictKind, worst
from loadflow.errors import RunError

__all__ = ["Run", "SnapshotLog", "summary_of", "write_atomically"]

RUN_VERSION = 1
Sample = dict[str, Any]


class Run:
    """One run's folder. `Run.create` makes it, `Run.open` reads one that is there, finished or not.

    >>> run = Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")  # doctest: +SKIP
    >>> run.hits()["end_ns"].max(), run.summary().verdict  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: Path,
        facts: RunFacts,
        *,
        shards: int,
        max_failure_rate: float,
        rate_tolerance: float = RATE_TOLERANCE,
        thresholds: Sequence[Threshold] = (),
    ) -> None:
        self.folder = folder
        self.facts = facts
        self.shards = shards
        self.max_failure_rate = max_failure_rate
        self.rate_tolerance = rate_tolerance
        self.thresholds = tuple(thresholds)
        self._totals: Totals | None = None
        self._results: tuple[ThresholdResult, ...] | None = None

    # -- making

    @staticmethod
    def new_folder(root: Path, label: str) -> tuple[str, Path]:
        """A new, empty folder below `root` (made when missing), and the run's id, which is its name."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-").lower()[:40]
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        run_id = "-".join(part for part in (stamp, words, uuid.uuid4().hex[:8]) if part)
        folder = root / run_id
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise RunError(
                f"the run folder {folder} can't be made ({error.strerror}); set LOADFLOW_RUNS_DIR to a folder that can be written"
            ) from error
        return run_id, folder

    @classmethod
    def create(
        cls,
        folder: Path,
        facts: RunFacts,
        *,
        shards: int,
        max_failure_rate: float,
        rate_tolerance: float = RATE_TOLERANCE,
        thresholds: Sequence[Threshold] = (),
    ) -> Run:
        run = cls(folder, facts, shards=shards, max_failure_rate=max_failure_rate, rate_tolerance=rate_tolerance, thresholds=thresholds)
        write_atomically(
            folder / "run.json",
            json.dumps(
                {
                    "format": "loadflow-run",
                    "version": RUN_VERSION,
                    "shards": shards,
                    "max_failure_rate": max_failure_rate,
                    "rate_tolerance": rate_tolerance,
                    "thresholds": [one.to_json() for one in thresholds],
                    "facts": asdict(facts),
                },
                indent=2,
                ensure_ascii=False,
            ),
        )
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Raises RunError when the folder holds no run, or one of a newer release."""
        path = Path(folder)
        try:
            data = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is no run folder ({error}); runs stand below LOADFLOW_RUNS_DIR or ./loadflow-runs") from error
        if not isinstance(data, dict) or data.get("format") != "loadflow-run":
            raise RunError(
                f"{path} is no run folder (its run.json is something else); runs stand below LOADFLOW_RUNS_DIR or ./loadflow-runs"
            )
        if data["version"] > RUN_VERSION:
            raise RunError(f"{path} was written by a newer loadflow (version {data.get('version')}); update this one")
        names = {field.name for field in fields(RunFacts)}
        facts = RunFacts(**{key: value for key, value in data["facts"].items() if key in names})
        return cls(
            path,
            facts,
            shards=data["shards"],
            max_failure_rate=data["max_failure_rate"],
            rate_tolerance=data.get("rate_tolerance", RATE_TOLERANCE),
            thresholds=[Threshold.from_json(one) for one in data.get("thresholds", ())],
        )

    # -- where things are

    def hits_path(self, shard: int) -> Path:
        return self.folder / f"hits-{shard}.bin"

    def names_path(self, shard: int) -> Path:
        return self.folder / f"names-{shard}.ndjson"

    def samples_path(self, shard: int) -> Path:
        return self.folder / f"samples-{shard}.ndjson"

    def spans_path(self, shard: int) -> Path:
        return self.folder / f"spans-{shard}.ndjson"

    @property
    def workers_path(self) -> Path:
        return self.folder / "workers.json"

    def log_path(self, shard: int) -> Path:
        return self.folder / f"engine-{shard}.log"

    # -- reading

    def hits(self) -> Rows:
        """All hits, shape `(n,)`, dtype HIT_DTYPE; mapped from disk with one shard, joined in memory with several.

        `series` and `error` are ids of the shard's side table: see `names(shard)`.
        """
        parts = [read_rows(self.hits_path(shard)) for shard in self._shards_with_hits()]
        if not parts:
            return np.zeros(0, dtype=HIT_DTYPE)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def iter_hits(self, chunk_rows: int = 262_144) -> Iterator[tuple[int, Rows]]:
        """(shard, rows) in bounded memory, each shard's hits in the order they ended."""
        for shard in self._shards_with_hits():
            for rows in iter_rows(self.hits_path(shard), chunk_rows):
                yield shard, rows

    def _shards_with_hits(self) -> list[int]:
        """Without those whose log was cut off before its header was whole."""
        return [shard for shard in range(self.shards) if self.hits_path(shard).exists() and row_count(self.hits_path(shard)) > 0]

    def names(self, shard: int = 0) -> NameTable:
        table = NameTable(self.names_path(shard))
        table.refresh()
        return table

    def seconds(self) -> Iterator[SecondRow]:
        """Every second that was folded, in order. A run that was cut off lacks its last ones: `fold` has them."""
        path = self.folder / "snapshots.ndjson"
        if path.exists():
            for line in _whole_lines(path):
                yield SecondRow.from_json(json.loads(line))

    def health(self) -> list[Health]:
        path = self.folder / "snapshots.ndjson"
        return [Health.from_json(json.loads(line)["health"]) for line in _whole_lines(path)] if path.exists() else []

    @property
    def pace(self) -> Pace | None:
        """The arrival rate that was asked for; None where users decide when the next hit is sent."""
        data = self.facts.plan.get("pace")
        return Pace.from_json(data) if data else None

    @property
    def ceiling(self) -> Ceiling | None:
        """What the machine could make of it, by its calibration at the time of the run."""
        data = self.facts.calibration
        return Ceiling.from_json(data) if data else None

    def samples(self) -> dict[tuple[SeriesName, ErrorText], list[Sample]]:
        found: dict[tuple[SeriesName, ErrorText], list[Sample]] = {}
        for shard in range(self.shards):
            path = self.samples_path(shard)
            if not path.exists():
                continue
            for line in _whole_lines(path):
                entry = json.loads(line)
                key = (SeriesName(entry["method"], entry["name"]), ErrorText(Outcome(entry["outcome"]), entry["error"]))
                found.setdefault(key, []).append(entry["sample"])
        return found

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Who made the load, and how many hits of each are here; () for a run without workers of its own."""
        there = set(self._shards_with_hits())
        return tuple(
            replace(worker, hits=row_count(self.hits_path(worker.shard)) if worker.shard in there else 0)
            for worker in read_workers(self.workers_path)
        )

    def end(self) -> RunEnd:
        try:
            data = json.loads((self.folder / "end.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = self.totals().last_end_ns or 0
            return RunEnd(EndReason.UNKNOWN, "the run was cut off", self.facts.planned_s, last / 1e9)
        return RunEnd(EndReason(data["reason"]), data["message"], data["planned_s"], data["ran_s"])

    def totals(self) -> Totals:
        """The counts: as they were stored at the end, or folded anew from the hit log when there was no end."""
        if self._totals is None:
            try:
                self._totals = Totals.from_json(json.loads((self.folder / "totals.json").read_text(encoding="utf-8")))
            except (OSError, ValueError):
                self._totals = self.fold()
        return self._totals

    def fold(self, from_s: float = 0.0, to_s: float = math.inf) -> Totals:
        """Count every hit in the log again, or those that ended in a window: seconds since the run's start."""
        totals = Totals()
        tables = {shard: self.names(shard) for shard in range(self.shards)}
        for shard, rows in self.iter_hits():
            if from_s > 0 or to_s < math.inf:
                rows = rows[(rows["end_ns"] >= from_s * 1e9) & (rows["end_ns"] < to_s * 1e9)]
            for second in fold_rows(rows, tables[shard], paced=self.pace is not None).values():
                totals.merge(second)
        for row in self.seconds():  # which passes were due and dropped is in no row of a hit
            if from_s <= row.second < to_s:
                totals.passes.merge(row.passes)
        return totals

    def threshold_results(self) -> tuple[ThresholdResult, ...]:
        """Each of the run's thresholds, decided."""
        if self._results is None:
            self._results = tuple(self.decide(threshold) for threshold in self.thresholds)
        return self._results

    def decide(self, threshold: Threshold) -> ThresholdResult:
        """Any threshold, held against this run; one with a window has its hits counted anew."""
        if threshold.window is None:
            return decide(threshold, self.totals(), self.totals().duration_s)
        from_s, to_s = threshold.window
        to_s = max(from_s, min(to_s, self.end().ran_s))
        return decide(threshold, self.fold(from_s, to_s), to_s - from_s)

    def verdict(self, health: Sequence[Health]) -> Verdict:
        """`health` is `self.health()`, which whoever asks has read already."""
        return judge(
            self.totals(),
            self.end(),
            health,
            max_failure_rate=self.max_failure_rate,
            rate_tolerance=self.rate_tolerance,
            thresholds=self.threshold_results(),
            degraded=degradation(self.workers()),
            ceiling=self.ceiling,
        )

    def summary(self) -> Summary:
        return summary_of([self])

    # -- ending

    def finish(self, totals: Totals, end: RunEnd) -> Summary:
        """Store how it ended and what was counted; idempotent."""
        self._totals, self._results = totals, None
        write_atomically(self.folder / "totals.json", json.dumps(totals.to_json(), separators=(",", ":")))
        write_atomically(self.folder / "end.json", json.dumps(asdict(end)))
        summary = self.summary()
        write_atomically(self.folder / "summary.json", json.dumps(summary.to_json(), indent=2, ensure_ascii=False))
        return summary


class SnapshotLog:
    """Appends one line per second to a run's `snapshots.ndjson`."""

    def __init__(self, run: Run) -> None:
        self._file = (run.folder / "snapshots.ndjson").open("a", encoding="utf-8", buffering=1)

    def append(self, snapshot: Snapshot) -> None:
        self._file.write(json.dumps(snapshot.row().to_json(), separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()


def summary_of(runs: Sequence[Run]) -> Summary:
    """One summary over all `runs`: counts merged, the worst verdict, every run's warnings."""
    totals = Totals.merged(run.totals() for run in runs)
    of_ceilings = [warning for run in runs for warning in ceiling_warnings(run.ceiling, run.totals())]
    samples: dict[tuple[SeriesName, ErrorText], list[Sample]] = {}
    health: list[Health] = []
    verdicts = []
    workers: list[WorkerRecord] = []
    for run in runs:
        own_health = run.health()
        health.extend(own_health)
        workers.extend(run.workers())
        verdicts.append(run.verdict(own_health))
        for key, entries in run.samples().items():
            samples.setdefault(key, []).extend(entries)
    return summarise(
        totals,
        duration_s=sum(run.totals().duration_s for run in runs),
        runs=[run.facts for run in runs],
        verdict=worst(verdicts) if runs else Verdict(VerdictKind.INCONCLUSIVE, ("no test was run, so there is nothing to judge",)),
        warnings=list(dict.fromkeys([*warnings_of(totals, health), *of_ceilings])),
        health=health,
        samples=samples,
        workers=workers,
        thresholds=[result for run in runs for result in run.threshold_results()],
        paced_s=sum(min(run.end().ran_s, run.pace.duration_s) for run in runs if run.pace is not None),
    )


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Lines that were written to their end. As bytes: a cut may fall inside a character, and text may hold U+2028."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def write_atomically(path: Path, text: str) -> None:
    """Write a temporary file beside `path`, then rename; folders are made. A reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # a lone surrogate (from a path, a label) can't be UTF-8; losing one character beats losing the file
        temporary.write_text(text, encoding="utf-8", errors="replace")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
