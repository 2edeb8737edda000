"""A run is a folder: what was planned, every hit, every second, the summary; readable up to the last second at any time.

run.json            facts and plan (redacted), written before the load starts
hits-<shard>.bin    the hit log of one engine process          names-<shard>.ndjson  what its ids stand for, and builds of the target
samples-<shard>.ndjson  the first few failures of each kind    engine-<shard>.log    what the engine said
spans-<shard>.ndjson  the sampled hits, where hits are traced    end.json  how it ended; missing: it was cut off
snapshots.ndjson    one line per second           standing.ndjson  when a loop of the generator stood, and at what
workers.json, said-<shard>-<epoch>.ndjson  with agents: who made the load; what the engine reported, as it came
watched.json, target.ndjson  what was asked of Prometheus and of conditions, and the answers
totals.json         the counts with their histograms           summary.json          `Summary.to_json`
running.lock        held by the process that makes the load, as long as it does
"""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadflow.engine.base.disk import told_disk
from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.private import FOLDER_MODE, opener
from loadflow.engine.base.regular_file import open_regular, read_regular
from loadflow.engine.base.typed import typed
from loadflow.engine.base.verdict import Verdict
from loadflow.engine.machine.calibration import Ceiling
from loadflow.engine.plan.pace import Pace
from loadflow.engine.records import runs_dir as usual
from loadflow.engine.records.attempts import final_rows, iter_final_rows
from loadflow.engine.records.deciding import decided, results_of
from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.frame import Frame, frame_of
from loadflow.engine.records.generator import LAG_LIMIT_MS
from loadflow.engine.records.going_on import is_held
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows, row_count
from loadflow.engine.records.ids import ShardIds
from loadflow.engine.records.judge import RATE_TOLERANCE, EndReason, RunEnd, judge
from loadflow.engine.records.names import ErrorText, NameTable, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.reached import Shortfall, shortfalls
from loadflow.engine.records.revisions import with_notes
from loadflow.engine.records.snapshot import SecondRow, Snapshot
from loadflow.engine.records.stop_rule import StopRule
from loadflow.engine.records.summary import RunFacts, Summary, users_peak_of
from loadflow.engine.records.summing import summary_of
from loadflow.engine.records.threshold import Threshold, ThresholdResult, parse_expression
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.records.watched import condition_doubts
from loadflow.engine.records.workers import WorkerRecord, degradation, read_workers
from loadflow.errors import RunError

__all__ = ["Run", "SnapshotLog"]

RUN_VERSION = 1
MOST_SHARDS = 65_536
Sample = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What run.json holds."""

    facts: RunFacts
    shards: int
    max_failure_rate: float
    rate_tolerance: float = RATE_TOLERANCE
    lag_limit_ms: float = LAG_LIMIT_MS
    thresholds: tuple[Threshold, ...] = ()
    allow_gap: bool = False
    stop_when: StopRule | None = None


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
        lag_limit_ms: float = LAG_LIMIT_MS,
        thresholds: Sequence[Threshold] = (),
        allow_gap: bool = False,
        stop_when: StopRule | None = None,
    ) -> None:
        self.folder = folder
        self.facts = facts
        self.shards = shards
        self.max_failure_rate = max_failure_rate
        self.rate_tolerance = rate_tolerance
        self.lag_limit_ms = lag_limit_ms
        self.thresholds = tuple(thresholds)
        self.allow_gap = allow_gap
        self.stop_when = stop_when
        self._ids = ShardIds([NameTable(self.names_path(shard)) for shard in range(shards)]) if shards > 1 else None
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
            folder.mkdir(FOLDER_MODE, parents=True)
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
        lag_limit_ms: float = LAG_LIMIT_MS,
        thresholds: Sequence[Threshold] = (),
        allow_gap: bool = False,
        stop_when: StopRule | None = None,
    ) -> Run:
        limits = {"max_failure_rate": max_failure_rate, "rate_tolerance": rate_tolerance, "lag_limit_ms": lag_limit_ms}
        run = cls(folder, facts, shards=shards, thresholds=thresholds, allow_gap=allow_gap, stop_when=stop_when, **limits)
        data = {
            "format": "loadflow-run",
            "version": RUN_VERSION,
            "shards": shards,
            "max_failure_rate": max_failure_rate,
            "rate_tolerance": rate_tolerance,
            "lag_limit_ms": lag_limit_ms,
            "thresholds": [one.to_json() for one in thresholds],
            **({"allow_gap": True} if allow_gap else {}),
            **({"stop_when": stop_when.to_json()} if stop_when else {}),
            "facts": asdict(facts),
        }
        with told_disk(folder):
            write_atomically(folder / "run.json", json.dumps(data, indent=2, ensure_ascii=False))
        return run

    def add_log(self) -> None:
        """One more hit log, of what another process left of its share."""
        self.shards += 1
        self._ids = ShardIds([NameTable(self.names_path(shard)) for shard in range(self.shards)])
        self._rewrite(shards=self.shards)

    def change_pace(self, pace: Pace) -> None:
        """The load goes on by another pace, so that no run by the first is like this one any more."""
        self.facts = replace(self.facts, plan={**self.facts.plan, "pace": pace.to_json()})
        self._rewrite(facts=asdict(self.facts))

    def _rewrite(self, **changed: object) -> None:
        path = self.folder / "run.json"
        with told_disk(self.folder):
            write_atomically(path, json.dumps({**read_json(read_regular(path)), **changed}, indent=2, ensure_ascii=False))

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Raises RunError when the folder holds no run, or one of a newer release."""
        path = Path(folder)
        try:
            data = read_json(read_regular(path / "run.json"))
            if not isinstance(data, dict) or data.get("format") != "loadflow-run":
                raise ValueError("its run.json is something else")
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is not a run folder ({error}); runs stand below LOADFLOW_RUNS_DIR or ./loadflow-runs") from error
        if isinstance(data.get("version"), int) and data["version"] > RUN_VERSION:
            raise RunError(f"{path} was written by a newer loadflow (version {data['version']}); update this one")
        try:
            kept = typed(_Kept, data, "run.json")
            if not 1 <= kept.shards <= MOST_SHARDS:
                raise ValueError(f"run.json.shards must be from 1 to {MOST_SHARDS:,}")
            for threshold in kept.thresholds:
                parse_expression(threshold.expression)
            if kept.facts.calibration:
                typed(Ceiling, kept.facts.calibration, "run.json.facts.calibration")
        except ValueError as error:
            raise RunError(f"{path} is damaged ({error}); restore its run.json from a copy, or remove the folder") from error
        run = cls(
            path,
            kept.facts,
            shards=kept.shards,
            max_failure_rate=kept.max_failure_rate,
            rate_tolerance=kept.rate_tolerance,
            lag_limit_ms=kept.lag_limit_ms,
            thresholds=kept.thresholds,
            allow_gap=kept.allow_gap,
            stop_when=kept.stop_when,
        )
        run._take_revisions()
        return run

    @classmethod
    def of_flow_run(cls, flow_run_id: str | uuid.UUID, runs_dir: str | os.PathLike[str] | None = None) -> list[Run]:
        """The runs that a flow run or its subflows made, in the order they started; `runs_dir` None: where runs are put here.

        Raises RunError when there is none below `runs_dir`.
        """
        root, wanted = Path(runs_dir or usual.runs_dir()), str(flow_run_id)
        found = []
        for folder in usual.runs_below(root):
            if wanted.encode() in read_regular(folder / "run.json"):  # most are of another: not worth reading as JSON
                found.append(cls.open(folder))
        runs = sorted((run for run in found if wanted in run.facts.flow_run_ids), key=lambda run: (run.facts.started_unix_s, run.facts.id))
        if not runs:
            raise RunError(
                f"there is no run of the flow run {wanted} below {root}; give the folder that its runs_dir or LOADFLOW_RUNS_DIR named, "
                "on a disk that this machine sees; a flow run that sent nothing has none"
            )
        return runs

    def _take_revisions(self) -> None:
        """What the target's answers have said of its build so far becomes a fact of the run, and what TLS agreed on."""
        self.facts = with_notes(self.facts, [self.names_path(shard) for shard in range(self.shards)])

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

    @property
    def standing_path(self) -> Path:
        return self.folder / "standing.ndjson"

    def log_path(self, shard: int) -> Path:
        return self.folder / f"engine-{shard}.log"

    # -- reading

    @property
    def held(self) -> bool:
        """Whether the process that makes it lives and is not done with it."""
        return is_held(self.folder)

    @property
    def running(self) -> bool:
        """Whether its load goes on: a living process makes it, and has not stored how it ended."""
        return self.held and not (self.folder / "end.json").exists()

    def hits(self) -> Rows:
        """All hits, shape `(n,)`, dtype HIT_DTYPE; mapped from disk with one shard, joined in memory with several.

        `names()` says what `series` and `error` stand for.
        """
        parts = [
            self._renumbered(shard, final_rows(self.hits_path(shard), retries=self.plans_retries)) for shard in self._shards_with_hits()
        ]
        if not parts:
            return np.zeros(0, dtype=HIT_DTYPE)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def iter_hits(self, chunk_rows: int = 262_144, *, events: bool = False) -> Iterator[tuple[int, Rows]]:
        """(shard, rows) in bounded memory, each shard's hits in the order they ended, `events`: with those; ids as in `names()`."""
        for shard in self._shards_with_hits():
            for rows in self.iter_shard(shard, chunk_rows, events=events):
                yield shard, self._renumbered(shard, rows)

    def iter_shard(self, shard: int, chunk_rows: int = 262_144, *, events: bool = False) -> Iterator[Rows]:
        """The hits of one shard, their ids those of `shard_names`; attempts are unmarked whose retry never came (see `attempts`)."""
        return iter_final_rows(self.hits_path(shard), chunk_rows, retries=self.plans_retries, events=events)

    def frame(self, kind: Frame | None = None) -> Any:
        """All hits as a data frame, one row each: of "pandas", "polars" or "arrow"; None: of the first of them that is installed.

        Times are seconds since the run's start (`due_s`, `start_s`, `end_s`), or UTC (`started_at`); latencies are milliseconds, from
        when a hit was due (`response_ms`) or from sending (`service_ms`). All hits are in memory then, at about 150 bytes each;
        `iter_hits` is for more. Raises RunError where the library is not installed.

        >>> Run.open(load.folder).frame("pandas").groupby("name").response_ms.median()  # doctest: +SKIP
        """
        return frame_of(self, kind)

    @property
    def plans_retries(self) -> bool:
        """True if it is not known."""
        steps = self.facts.plan.get("steps")
        return not isinstance(steps, list | tuple) or any(step.get("retry") is not None for step in steps)

    def _shards_with_hits(self) -> list[int]:
        """Without those whose log was cut off before its header was whole."""
        return [shard for shard in range(self.shards) if self.hits_path(shard).exists() and row_count(self.hits_path(shard)) > 0]

    def names(self) -> NameTable:
        """What the ids in `hits()` and `iter_hits()` stand for, over all shards."""
        return self._ids.table() if self._ids is not None else self.shard_names(0)

    def shard_names(self, shard: int) -> NameTable:
        """What the ids in the log of one shard stand for: those that `iter_shard` gives."""
        table = NameTable(self.names_path(shard))
        table.refresh()
        return table

    def _renumbered(self, shard: int, rows: Rows) -> Rows:
        return self._ids.renumber(shard, rows) if self._ids is not None else rows

    def seconds(self) -> Iterator[SecondRow]:
        """Every second that was folded, in order. A run that was cut off lacks its last ones: `fold` has them."""
        path = self.folder / "snapshots.ndjson"
        if path.exists():
            for line in _whole_lines(path):
                yield SecondRow.from_json(read_json(line))

    def health(self) -> list[Health]:
        path = self.folder / "snapshots.ndjson"
        return [Health.from_json(read_json(line)["health"]) for line in _whole_lines(path)] if path.exists() else []

    @property
    def pace(self) -> Pace | None:
        """The arrival rate that was asked for; None where users decide when the next hit is sent."""
        data = self.facts.plan.get("pace")
        return Pace.from_json(data) if data else None

    @property
    def ceiling(self) -> Ceiling | None:
        """What the machine could make of it, by its calibration at the time of the run."""
        data = self.facts.calibration
        return typed(Ceiling, data, "run.json.facts.calibration") if data else None

    def samples(self) -> dict[tuple[SeriesName, ErrorText], list[Sample]]:
        found: dict[tuple[SeriesName, ErrorText], list[Sample]] = {}
        for shard in range(self.shards):
            path = self.samples_path(shard)
            if not path.exists():
                continue
            for line in _whole_lines(path):
                entry = read_json(line)
                key = (SeriesName(entry["method"], entry["name"]), ErrorText(Outcome(entry["outcome"]), entry["error"]))
                found.setdefault(key, []).append(entry["sample"])
        return found

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Who made the load, and how many hits of each are here; () for a run without workers of its own."""
        there = set(self._shards_with_hits())
        return tuple(
            replace(worker, hits=sum(row_count(self.hits_path(log)) for log in worker.logs if log in there))
            for worker in read_workers(self.workers_path)
        )

    def end(self) -> RunEnd:
        try:
            return typed(RunEnd, read_json(read_regular(self.folder / "end.json")), "end.json")
        except (OSError, ValueError):
            last = self.totals().last_end_ns or 0
            words = "the run is still going on" if self.running else "the run was cut off"
            return RunEnd(EndReason.UNKNOWN, words, self.facts.planned_s, last / 1e9)

    def totals(self) -> Totals:
        """The counts: as they were stored at the end, or folded anew from the hit log when there was no end."""
        if self._totals is None:
            try:
                self._totals = Totals.from_json(read_json(read_regular(self.folder / "totals.json")))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):  # missing, torn, or of another shape
                self._totals = self.fold()
            self._totals.duration_s = self.load_s
        return self._totals

    def totals_so_far(self) -> Totals:
        """What the stored seconds hold, all names together; no hit is looked at. For a run that is going on."""
        totals, all_names = Totals(), SeriesTotals()
        for row in self.seconds():
            all_names.succeeded.merge(row.succeeded)
            all_names.failed.merge(row.failed)
            totals.passes.merge(row.passes)
            totals.duration_s = row.second + 1.0
        totals.series[SeriesName("", "all")] = all_names
        return totals

    @property
    def load_s(self) -> float:
        """The time of the load, over which its rates are: until it was ended, without the drain; for a pace, at most the pace's own."""
        return min(self.end().ran_s, self.pace.duration_s if self.pace is not None else math.inf)

    def fold(self, from_s: float = 0.0, to_s: float = math.inf) -> Totals:
        """Count every hit in the log again, or those that ended in a window: seconds since the run's start."""
        totals = Totals()
        names = self.names()
        for _, rows in self.iter_hits(events=True):
            if from_s > 0 or to_s < math.inf:
                rows = rows[(rows["end_ns"] >= from_s * 1e9) & (rows["end_ns"] < to_s * 1e9)]
            for second in fold_rows(rows, names, paced=self.pace is not None).values():
                totals.merge(second)
        for row in self.seconds():  # which passes were due and dropped is in no row of a hit
            if from_s <= row.second < to_s:
                totals.passes.merge(row.passes)
        return totals

    def threshold_results(self) -> tuple[ThresholdResult, ...]:
        """Each of the run's thresholds, decided."""
        if self._results is None:
            self._results = results_of(self)
        return self._results

    def decide(self, threshold: Threshold) -> ThresholdResult:
        """Any threshold, held against this run; one with a window has its hits counted anew."""
        return decided(self, threshold)

    def verdict(self, health: Sequence[Health]) -> Verdict:
        """`health` is `self.health()`, which the caller has already read."""
        return judge(
            self.totals(),
            self.end(),
            health,
            max_failure_rate=self.max_failure_rate,
            rate_tolerance=self.rate_tolerance,
            lag_limit_ms=self.lag_limit_ms,
            thresholds=self.threshold_results(),
            degraded="" if self.allow_gap else degradation(self.workers()),
            ceiling=self.ceiling,
            unreached=[*(one.doubt for one in self.shortfalls(health) if one.doubt), *condition_doubts(self)],
            paced=self.pace is not None,
        )

    def shortfalls(self, health: Sequence[Health]) -> list[Shortfall]:
        """What was asked for and not reached, of a load that ran its time; [] for one that was ended early."""
        if self.end().reason not in (EndReason.COMPLETED, EndReason.PRECISE):
            return []
        names = self.names()
        wanted = len(self.facts.plan.get("steps") or ())
        counts = [names.steps[step] for step in range(wanted)] if len(names.steps) == wanted else None
        return shortfalls(self.facts.plan, users_peak_of(health), counts, names.conditioned)

    def summary(self) -> Summary:
        return summary_of([self])

    # -- ending

    def finish(self, totals: Totals, end: RunEnd) -> Summary:
        """Store how it ended and what was counted; idempotent."""
        self._totals, self._results = totals, None
        self._take_revisions()
        write_atomically(self.folder / "end.json", json.dumps(asdict(end)))
        totals.duration_s = self.load_s
        write_atomically(self.folder / "totals.json", json.dumps(totals.to_json(), separators=(",", ":")))
        summary = self.summary()
        write_atomically(self.folder / "summary.json", json.dumps(summary.to_json(), indent=2, ensure_ascii=False))
        return summary


class SnapshotLog:
    """Appends one line per second to a run's `snapshots.ndjson`."""

    def __init__(self, run: Run) -> None:
        self._folder = run.folder
        with told_disk(run.folder):
            self._file = open(run.folder / "snapshots.ndjson", "a", encoding="utf-8", buffering=1, opener=opener)  # noqa: SIM115  open as long as the run

    def append(self, snapshot: Snapshot) -> None:
        with told_disk(self._folder):
            self._file.write(json.dumps(snapshot.row().to_json(), separators=(",", ":")) + "\n")

    def close(self) -> None:
        with told_disk(self._folder):
            self._file.close()


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Lines that were written to their end. As bytes: a cut may fall inside a character, and text may hold U+2028."""
    with open_regular(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
