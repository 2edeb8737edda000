"""A load of LD_start_test from its run folder to its summary: the parent's side, once the plan stands.

Protocol with the engines, by way of the supervisor: each says `ready`; `go` starts all at one time; a `tick` every second;
`done`, or an exit code that says otherwise. However it ends (also by an exception in this process: Ctrl-C, a task's
timeout, a cancelled flow), no engine outlives this call, and the run folder says what happened.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from asyncio import CancelledError
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from loadflow.engine.base.disk import refuse_gone, told_disk
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.private import opener
from loadflow.engine.load.build import Asked
from loadflow.engine.load.facts import facts_of, parts_of
from loadflow.engine.load.follow import Follower
from loadflow.engine.load.made_of import made_of
from loadflow.engine.load.snapshot_feed import SnapshotFeed
from loadflow.engine.load.span_feed import SpanFeed, trace_rule
from loadflow.engine.load.target_watch import Questions, TargetWatch, refuse_broken
from loadflow.engine.plan.cluster import Cluster
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.process.launch import Engine, Processes, describe_exit, local_job
from loadflow.engine.process.messages import Done, Failed, Flush, Message, Note, Opened, Ready, Stood, SupervisorEnd, Tick
from loadflow.engine.process.states import State, after_exit, moved
from loadflow.engine.records.evidence import begin_evidence, end_evidence, start_digests
from loadflow.engine.records.generator import lag_limit_of
from loadflow.engine.records.going_on import going_on
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.run import Run, SnapshotLog
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.standing import Standing, note_standing
from loadflow.engine.records.stop_watch import StopWatch
from loadflow.engine.records.threshold_watch import ThresholdWatch
from loadflow.engine.reliability.budget_watch import FLUSH_S, BudgetWatch
from loadflow.engine.reports.html import write_html_report
from loadflow.engine.session.session import Session
from loadflow.errors import EngineError, Interrupted, RunError

if TYPE_CHECKING:
    from loadflow.engine.fleet.broker import Broker
    from loadflow.engine.fleet.fleet import Fleet

__all__ = ["Begin", "Load", "load_of", "make_load"]

LOG = logging.getLogger("loadflow.fleet")
POLL_S = 0.25
AHEAD_S = 2  # until a rate changes: more than an engine needs to hear of it
START_LIMIT_S = 60.0  # for importing, compiling and saying `ready`

# Starts a load whose engines are all ready, now or with others; asked again until it says when the load begins: on the monotonic clock
# and in Unix time, nanoseconds.
Begin = Callable[["Engine | Fleet"], tuple[int, int] | None]


def make_load(
    session: Session, asked: Asked, engine: Literal["native", "locust"], why_not_native: str, questions: Questions | None = None
) -> JsonObject:
    """Make the load that `asked` is, and ask `questions` meanwhile; returns its summary, and `run_dir`. Raises as `start_test` says."""
    with session.lease(asked.target), load_of(session, asked, engine, why_not_native, questions) as load:
        turns = load.turns()
        try:
            while True:
                next(turns)
        except StopIteration as ended:
            summary: dict[str, object] = ended.value
            return summary
        except BaseException as error:
            if getgeneratorstate(turns) != GEN_CLOSED:  # it was raised between two turns
                turns.throw(error)
            raise


@contextmanager
def load_of(
    session: Session,
    asked: Asked,
    engine: Literal["native", "locust"],
    why_not_native: str,
    questions: Questions | None,
    population: str = "",
    test: str | None = "",
) -> Iterator[Load]:
    """The load that `asked` is, with the folder of its run, before it starts; the folder is in use inside of the block.

    `population` and `test`: see `RunFacts`; `test` None: that of this run itself.
    """
    if questions is not None:
        refuse_broken(questions)
    traces = trace_rule(session, asked.plan.protocols)
    plan = replace(asked.plan, network=session.network, traces=traces, flush_s=FLUSH_S if session.budget else None)
    parts = parts_of(asked, engine)
    label = asked.label or session.label
    run_id, folder = Run.new_folder(session.runs_dir, label or session.name)
    with going_on(folder):
        run = _new_run(session, run_id, folder, plan, asked, parts, why_not_native, population, run_id if test is None else test)
        session.keep(run)
        begin_evidence(run, made_of(session, asked))
        if why_not_native:
            with told_disk(run.folder), open(run.log_path(0), "w", encoding="utf-8", opener=opener) as log:
                log.write(f"Locust makes this load: {why_not_native}\n")
        yield Load(session, run, plan, parts, asked.cluster, questions)


def _now(engine: Engine | Fleet) -> tuple[int, int]:
    return engine.go()


class Load:
    """One run, from its folder to its summary."""

    def __init__(
        self, session: Session, run: Run, plan: Plan, parts: Processes, cluster: Cluster | None, questions: Questions | None
    ) -> None:
        self._observers = tuple(session.observers)
        self._record = run
        self._plan = plan
        shards = parts.shards
        self._start_limit_s = START_LIMIT_S if cluster is None else START_LIMIT_S + 2 * cluster.startup_s
        self._cluster = cluster
        self._environment = session.environment
        self._pool = session.pool
        self._server: Broker | None = None
        self._job = local_job(run, plan, parts)
        self._follower = Follower(run, shards, plan.duration_s, plan.pace)
        self._installed = session.budget
        self._budget = BudgetWatch(session.budget.budget, range(shards)) if session.budget else None
        if self._budget is not None:
            self._follower.on_rows = self._budget.rows
        self._thresholds = ThresholdWatch(run.thresholds)
        self._precise = StopWatch(run.stop_when, None if plan.pace else plan.users) if run.stop_when else None
        self._snapshots = SnapshotLog(run)
        self._target = TargetWatch(run.folder, questions) if questions is not None else None
        self._masked = redactor_of(plan, session.environment).text
        self._feed = SnapshotFeed(
            [
                self._snapshots.append,
                self._thresholds.add,
                *self._watches(),
                *(partial(observer.snapshot, run) for observer in self._observers),
            ]
        )
        self._spans = SpanFeed(run, shards if plan.traces is not None else 0, self._observers)
        self._states = dict.fromkeys(range(shards), State.WAITING)
        self._done: dict[int, Done] = {}
        self._failed = ""
        self._exit: SupervisorEnd | None = None
        self._origin_ns: int | None = None
        self._stop_reason = ""
        self._stop_asked = ""
        self._trip = ""
        self._breach = ""
        self._ended = ""  # why a condition ended it
        self._pace = plan.pace
        self._changed_s = 0  # from this second on the pace is as it is; until then it can't be changed again

    def _watches(self) -> list[Callable[[Snapshot], object]]:
        return [self._precise.add] if self._precise is not None else []

    @property
    def record(self) -> Run:
        return self._record

    def meet_at(self, server: Broker) -> None:
        """Where agents come to a server of the test's own: it is one for all of its loads."""
        self._server = server

    def stop(self, reason: str) -> None:
        """End it early, at its next turn."""
        self._stop_asked = self._stop_asked or reason

    def turns(self, begin: Begin = _now, poll_s: float = POLL_S) -> Generator[Engine | Fleet, None, dict[str, object]]:
        """Makes the load, turn by turn, each at most `poll_s` long where nothing comes; returns its summary, and `run_dir`."""
        for observer in self._observers:
            observer.run_started(self._record)
        error: BaseException | None = None
        try:
            with told_disk(self._record.folder), self._start() as engine:
                yield from self._follow(engine, begin, poll_s)
        except BaseException as raised:
            error = raised
            raise
        finally:
            summary = self._finish(error)
        end = self._record.end()
        if end.reason in (EndReason.ENGINE_LOST, EndReason.DEADLINE):
            raise EngineError(f"{end.message}; what was recorded until then is in {self._record.folder}", self._follower.hits)
        if end.reason is EndReason.STOPPED:
            raise Interrupted(f"the load was stopped: {self._stop_reason or end.message}; results so far are in {self._record.folder}")
        return {**summary, "run_dir": str(self._record.folder)}

    def _start(self) -> Engine | Fleet:
        """What makes the load, on this machine or on any number of them."""
        if self._cluster is None:
            return Engine(self._job)
        # a load of this machine needs no NATS
        from loadflow.engine.fleet.fleet import Fleet

        return Fleet(self._job, self._plan, self._record, self._cluster, self._environment, self._pool, self._server)

    def _follow(self, engine: Engine | Fleet, begin: Begin, poll_s: float) -> Generator[Engine | Fleet, None, None]:
        started = time.monotonic()
        while self._exit is None:
            for message in engine.messages(poll_s):
                self._take(message)
            if self._origin_ns is None and all(state is State.READY for state in self._states.values()):
                self._begin(begin(engine))
            refuse_gone(self._record.folder)
            self._spans.take()
            if self._origin_ns is None and time.monotonic() - started > self._start_limit_s:
                raise RunError(f"the engine was not ready within {self._start_limit_s:.0f} s; see {self._record.log_path(0)}")
            self._hold_to_budget(engine)
            if self._thresholds.breach and not self._breach:
                self._breach = self._thresholds.breach
                engine.stop()
            if self._target is not None and not self._breach and not self._ended:
                self._breach, self._ended = self._target.breach, self._target.ended
                if self._breach or self._ended:
                    engine.stop()
            if self._precise is not None and self._precise.met:
                engine.over()
            if not self._stop_reason:
                asked = (reason for observer in self._observers if (reason := observer.stop_requested()))
                self._stop_reason = self._stop_asked or next(asked, "")
                if self._stop_reason:
                    engine.stop()
            if isinstance(engine, Engine):
                self._change_rate(engine)
            if self._exit is None:
                yield engine

    def _begin(self, origin: tuple[int, int] | None) -> None:
        if origin is None:
            return
        self._origin_ns, unix_ns = origin
        for shard in self._states:
            self._moved(shard, "go")
        self._follower.origin_unix_s = unix_ns / 1e9
        if self._target is not None:
            self._target.start(unix_ns / 1e9)
        if self._budget is not None:
            self._budget.start(self._origin_ns)

    def _change_rate(self, engine: Engine) -> None:
        """Engine and books go over to another pace at a second that is still to come for all."""
        if self._pace is None or self._origin_ns is None or self._stop_reason:
            return
        ran_s = (time.monotonic_ns() - self._origin_ns) / 1e9
        at_s = max(0, math.floor(ran_s)) + AHEAD_S
        if ran_s < self._changed_s or at_s >= self._pace.duration_s:
            return
        by_hand = () if self._record.facts.population else self._observers  # what they are asked for is of a whole test
        factor = math.prod(observer.rate_factor() for observer in by_hand)
        if self._target is not None:
            factor *= self._target.rate_factor()
        if factor == 1.0:
            return
        self._pace, self._changed_s = self._pace.faster(factor, at_s), at_s
        engine.faster(factor, at_s)
        self._follower.change(self._pace, at_s)
        self._record.change_pace(self._pace)

    def _hold_to_budget(self, engine: Engine | Fleet) -> None:
        if self._budget is None or self._trip or not (reason := self._budget.tripped()):
            return
        self._trip = reason
        engine.stop()
        if self._installed is not None and self._installed.on_trip is not None:
            self._installed.on_trip()

    def _take(self, message: Message) -> None:
        match message:
            case Ready():
                self._moved(message.shard, "ready")
            case Stood():
                note_standing(
                    self._record.standing_path, Standing(message.shard, message.since_s, message.stood_s, self._masked(message.doing))
                )
            case Flush():
                self._follower.flush(message)
                self._told(message.shard, message.until_ns)
            case Tick():
                if message.ran_s is not None:
                    self._moved(message.shard, "over")
                self._feed.send(self._follower.tick(message))
                self._told(message.shard, message.until_s * 1e9)
            case Done():
                self._done[message.shard] = message
                self._moved(message.shard, "over", "drained", "done", "stop")
                self._feed.send(self._follower.done(message))
                self._told(message.shard, math.inf)
            case Failed():
                self._failed = self._failed or message.text
                self._moved(message.shard, "lost")
            case Note():
                LOG.info("%s", message.text)
            case Opened():
                self._record.add_log()
                self._follower.open(message)
                self._spans.open(message.shard)
                self._states[message.shard] = State.GOING
                if self._budget is not None:
                    self._budget.open(message.shard)
            case SupervisorEnd():
                self._exit = message

    def _moved(self, shard: int, *events: str) -> None:
        self._states[shard] = moved(self._states[shard], *events)

    def _told(self, shard: int, until_ns: float) -> None:
        if self._budget is not None:
            self._budget.until(shard, until_ns)

    def _finish(self, error: BaseException | None) -> dict[str, object]:
        """Fold what is left, pass it to the observers, store end, totals, summary and report.

        A disk that is full, or a folder that is gone, costs what can't be written; the observers hear of the end all the same.
        """
        trouble: RunError | None = None
        try:
            with told_disk(self._record.folder):
                self._store(error)
        except RunError as raised:
            trouble = raised
        summary = self._record.summary()
        for observer in self._observers:
            observer.run_ended(self._record, summary)
        if trouble is not None and not isinstance(error, RunError):  # which says it already
            raise trouble
        return summary.to_json()

    def _store(self, error: BaseException | None) -> None:
        try:
            refuse_gone(self._record.folder)
            self._feed.send(self._follower.end())
            self._spans.take()
        finally:
            self._snapshots.close()
        digests = start_digests(self._record)
        totals = self._follower.totals
        if self._plan.pace is None:
            totals.passes = self._follower.closed_passes(self._plan.users, self._plan.iterations)
        end = self._end(error)
        if self._target is not None:
            self._target.finish(end.ran_s)
        self._record.finish(totals, end)
        write_html_report([self._record], self._record.folder / "report.html")
        end_evidence(self._record, digests)

    def _end(self, error: BaseException | None) -> RunEnd:
        ran_s = max((done.ran_s for done in self._done.values()), default=(self._follower.totals.last_end_ns or 0) / 1e9)
        reason, message = self._how(error)
        return RunEnd(reason, message, self._plan.duration_s, ran_s)

    def _how(self, error: BaseException | None) -> tuple[EndReason, str]:
        if self._trip:
            return EndReason.BUDGET, self._trip
        if self._ended and error is None and not self._failed:
            return EndReason.CONDITION, self._ended
        if self._breach and error is None and not self._failed:
            return EndReason.THRESHOLD, f"ended early by a threshold: {self._breach}"
        if isinstance(error, TimeoutError | CancelledError):  # ours, or a task's timeout_seconds: Prefect raises the latter inside
            return EndReason.DEADLINE, str(error) or "the command's timeout_seconds passed"
        if self._failed:
            return EndReason.ENGINE_LOST, f"the engine failed: {self._failed}"
        if isinstance(error, Exception):  # what ends a run on request (Ctrl-C, signals, cancels) is none
            return EndReason.ENGINE_LOST, str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        if error is not None:
            return EndReason.STOPPED, _words(error)
        assert self._exit is not None
        bad = [(process, code) for process, code in enumerate(self._exit.exit_codes) if after_exit(code) is State.LOST]
        if self._exit.reason == "deadline":
            return EndReason.DEADLINE, "the engine did not end in time and was ended by its supervisor"
        if self._exit.reason == "stopped" or self._stop_reason:
            return EndReason.STOPPED, self._stop_reason or "a stop was asked for"
        if bad:
            process, code = bad[0]
            return EndReason.ENGINE_LOST, f"the engine process {process} {describe_exit(code)}; see {self._record.log_path(process)}"
        early = next((done.stopped for done in self._done.values() if done.stopped), "")
        if early:
            return EndReason.STOPPED, early
        if any(state is not State.DONE for state in self._states.values()):
            return EndReason.ENGINE_LOST, "the engine ended without a message"
        if self._precise is None:
            return EndReason.COMPLETED, ""
        return (EndReason.PRECISE if self._precise.met else EndReason.COMPLETED), self._precise.said


def _words(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted from the keyboard"
    number = getattr(error, "signal", None)  # an orchestrator's exception for a signal that it caught
    if isinstance(number, int) and number in set(signal.Signals):
        return f"a stop by {signal.Signals(number).name}"
    return str(error) or type(error).__name__


def _new_run(
    session: Session,
    run_id: str,
    folder: Path,
    plan: Plan,
    asked: Asked,
    parts: Processes,
    why_not_native: str,
    population: str,
    test: str,
) -> Run:
    own = {"id": run_id, "folder": str(folder), "started_unix_s": time.time(), "population": population, "test": test}
    facts = replace(facts_of(session, plan, asked, parts, why_not_native), **own)  # type: ignore[arg-type]
    return Run.create(
        folder,
        facts,
        shards=parts.shards,
        max_failure_rate=asked.max_failure_rate,
        thresholds=asked.thresholds,
        rate_tolerance=asked.rate_tolerance,
        lag_limit_ms=lag_limit_of(os.environ),
        allow_gap=asked.allow_gap,
        stop_when=asked.stop_when,
    )
