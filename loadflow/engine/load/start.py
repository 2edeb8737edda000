"""LD_start_test, the parent's side: from arguments to a plan, a run folder, engines, and a summary.

Protocol with the engines, by way of the supervisor: each says `ready`; `go` starts all at one time; a `tick` every second;
`done`, or an exit code that says otherwise. However it ends (also by an exception in this process: Ctrl-C, a task's
timeout, a cancelled flow), no engine outlives this call, and the run folder tells what happened.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import signal
import socket
import sys
import time
from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from loadflow.engine.calibration.machine import version_of
from loadflow.engine.calibration.place import ceiling_of_run
from loadflow.engine.cluster.serving import work_once
from loadflow.engine.load.build import Asked, build_plan, worker_of
from loadflow.engine.load.follow import Follower
from loadflow.engine.load.launch import Crew, Engine, describe_exit, local_job, master_job
from loadflow.engine.load.messages import Done, Failed, Flush, Message, Note, Ready, Served, SupervisorEnd, Tick
from loadflow.engine.load.native_fit import choose
from loadflow.engine.load.span_feed import SpanFeed, trace_rule
from loadflow.engine.load.telling import Telling
from loadflow.engine.plan.cluster import Cluster
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.run import Run, SnapshotLog
from loadflow.engine.records.summary import RunFacts
from loadflow.engine.records.threshold_watch import ThresholdWatch
from loadflow.engine.reliability.budget_watch import FLUSH_S, BudgetWatch
from loadflow.engine.reports.html import write_html_report
from loadflow.engine.session import Session, current_session
from loadflow.errors import CommandError, EngineError, Interrupted, Mistake, RunError

__all__ = ["start_test"]

LOG = logging.getLogger("loadflow.cluster")
POLL_S = 0.25
START_LIMIT_S = 60.0  # for importing, compiling and saying `ready`


def start_test(
    user_detail_dict: Mapping[str, Any],
    user_count: int = 50,
    spawn_rate: float = 10,
    test_time: float | None = 60,
    web_ui_dict: Mapping[str, Any] | None = None,
    runner_mode: str = "local",
    load_shape: str | None = None,
    shape_config: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Run one load test and return its summary (`Summary.to_json`, and `run_dir`, the run's folder).

    `settings` are the other keys of LD_start_test (`tasks`, `variables`, `csv_sources`, `host`, `wait_time`, `processes`, …):
    see docs/script.md. Raises ScriptError before anything is sent; EngineError when the engine was lost; Interrupted when
    an observer asked for the end. Failed hits are no error: they are in the summary and its verdict.

    >>> start_test({"user": "fast_http_user"}, user_count=5, test_time=10,
    ...            tasks=[{"method": "get", "request_url": "http://127.0.0.1:8000/"}])  # doctest: +SKIP
    """
    arguments = {
        "user_detail_dict": user_detail_dict,
        "user_count": user_count,
        "spawn_rate": spawn_rate,
        "test_time": test_time,
        "web_ui_dict": web_ui_dict,
        "runner_mode": runner_mode,
        "load_shape": load_shape,
        "shape_config": shape_config,
        **settings,
    }
    _forget_defaults(arguments)
    session = current_session()
    if runner_mode == "worker":
        cluster, processes = worker_of(arguments, session.variables, session.environment, session.target, session.secret)
        return work_once(cluster, processes, session)
    asked = build_plan(arguments, session.variables, session.environment, session.target, session.secret)
    _refuse_taken_port(asked.plan.web_ui)
    traces = trace_rule(session, asked.plan.protocol)
    plan = replace(asked.plan, network=session.network, traces=traces, flush_s=FLUSH_S if session.budget else None)
    engine, why_not_native = choose(plan, asked.engine) if asked.cluster is None else ("locust", "workers of a master run on Locust")
    # a loop of Locust needs a process of its own
    crew = Crew(engine, asked.processes, asked.threads) if engine == "native" else Crew(engine, asked.processes * asked.threads)
    with session.lease(asked.target):
        run = _new_run(session, plan, asked, crew, why_not_native)
        session.keep(run)
        if why_not_native:
            run.log_path(0).write_text(f"Locust makes this load: {why_not_native}\n", encoding="utf-8")
        return _Load(session, run, plan, crew, asked.cluster).run()


class _Load:
    """One run, from its folder to its summary."""

    def __init__(self, session: Session, run: Run, plan: Plan, crew: Crew, cluster: Cluster | None) -> None:
        self._observers = tuple(session.observers)
        self._record = run
        self._plan = plan
        self._crew = crew
        self._shards = shards = crew.shards
        self._start_limit_s = START_LIMIT_S if cluster is None else START_LIMIT_S + 2 * cluster.startup_s
        self._job = local_job(run, plan, crew) if cluster is None else master_job(run, plan, cluster)
        self._follower = Follower(run, shards, plan.duration_s, plan.pace)
        self._installed = session.budget
        self._budget = BudgetWatch(session.budget.budget, range(shards)) if session.budget else None
        if self._budget is not None:
            self._follower.on_rows = self._budget.rows
        self._thresholds = ThresholdWatch(run.thresholds)
        self._snapshots = SnapshotLog(run)
        self._telling = Telling(
            [self._snapshots.append, self._thresholds.add, *(partial(observer.snapshot, run) for observer in self._observers)]
        )
        self._spans = SpanFeed(run, shards if plan.traces is not None else 0, self._observers)
        self._ready: set[int] = set()
        self._done: dict[int, Done] = {}
        self._failed = ""
        self._exit: SupervisorEnd | None = None
        self._origin_ns: int | None = None
        self._stop_reason = ""
        self._trip = ""
        self._breach = ""

    def run(self) -> dict[str, Any]:
        for observer in self._observers:
            observer.run_started(self._record)
        error: BaseException | None = None
        try:
            with Engine(self._job) as engine:
                self._follow(engine)
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

    def _follow(self, engine: Engine) -> None:
        started = time.monotonic()
        while self._exit is None:
            for message in engine.messages(POLL_S):
                self._take(message, engine)
            self._spans.take()
            if self._origin_ns is None and time.monotonic() - started > self._start_limit_s:
                raise RunError(f"the engine was not ready within {self._start_limit_s:.0f} s; see {self._record.log_path(0)}")
            self._hold_to_budget(engine)
            if self._thresholds.breach and not self._breach:
                self._breach = self._thresholds.breach
                engine.stop()
            if not self._stop_reason:
                self._stop_reason = next((reason for observer in self._observers if (reason := observer.stop_requested())), "")
                if self._stop_reason:
                    engine.stop()

    def _hold_to_budget(self, engine: Engine) -> None:
        if self._budget is None or self._trip or not (reason := self._budget.tripped()):
            return
        self._trip = reason
        engine.stop()
        if self._installed is not None and self._installed.on_trip is not None:
            self._installed.on_trip()

    def _take(self, message: Message, engine: Engine) -> None:
        match message:
            case Ready():
                self._ready.add(message.shard)
                if len(self._ready) == self._shards:
                    self._origin_ns, unix_ns = engine.go()
                    self._follower.origin_unix_s = unix_ns / 1e9
                    if self._budget is not None:
                        self._budget.start(self._origin_ns)
            case Flush():
                self._follower.flush(message)
                self._told(message.shard, message.until_ns)
            case Tick():
                self._telling.tell(self._follower.tick(message))
                self._told(message.shard, message.until_s * 1e9)
            case Done():
                self._done[message.shard] = message
                self._telling.tell(self._follower.done(message))
                self._told(message.shard, math.inf)
            case Failed():
                self._failed = self._failed or message.text
            case Note():
                LOG.info("%s", message.text)
            case Served():
                pass  # of workers, which start_test does not lead by a pipe
            case SupervisorEnd():
                self._exit = message

    def _told(self, shard: int, until_ns: float) -> None:
        if self._budget is not None:
            self._budget.until(shard, until_ns)

    def _finish(self, error: BaseException | None) -> dict[str, Any]:
        """Fold what is left, tell the observers of it, store end, totals, summary and report."""
        self._telling.tell(self._follower.end())
        self._spans.take()
        self._snapshots.close()
        summary = self._record.finish(self._follower.totals, self._end(error))
        write_html_report([self._record], self._record.folder / "report.html")
        for observer in self._observers:
            observer.run_ended(self._record, summary)
        return summary.to_json()

    def _end(self, error: BaseException | None) -> RunEnd:
        ran_s = max((done.ran_s for done in self._done.values()), default=(self._follower.totals.last_end_ns or 0) / 1e9)
        reason, message = self._how(error)
        return RunEnd(reason, message, self._plan.duration_s, ran_s)

    def _how(self, error: BaseException | None) -> tuple[EndReason, str]:
        if self._trip:
            return EndReason.BUDGET, self._trip
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
        bad = [(process, code) for process, code in enumerate(self._exit.exit_codes) if code != 0]
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
        if len(self._done) < self._shards:
            return EndReason.ENGINE_LOST, "the engine ended without a word"
        return EndReason.COMPLETED, ""


def _words(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted from the keyboard"
    number = getattr(error, "signal", None)  # an orchestrator's exception for a signal that it caught
    if isinstance(number, int) and number in set(signal.Signals):
        return f"a stop by {signal.Signals(number).name}"
    return str(error) or type(error).__name__


def _forget_defaults(arguments: dict[str, Any]) -> None:
    """The defaults are for plain loads: a shape has a length of its own, a rate also its users."""
    rate = arguments.get("rate")
    if (arguments["load_shape"] is not None or isinstance(rate, Mapping)) and arguments["test_time"] == 60:
        del arguments["test_time"]
    if rate is not None:
        for key, default in (("user_count", 50), ("spawn_rate", 10)):
            if arguments[key] == default:
                del arguments[key]


def _refuse_taken_port(web_ui: tuple[str, int] | None) -> None:
    """Locust starts its web UI in the background, where a taken port is a line in a log and nothing more."""
    if web_ui is None:
        return
    try:
        with socket.create_server(web_ui):
            pass
    except OSError as error:
        place = "LD_start_test.web_ui_dict"
        raise CommandError(
            [Mistake(place, f"{web_ui[0]}:{web_ui[1]} can't be listened on: {error.strerror}", "choose another port")]
        ) from None


def _new_run(session: Session, plan: Plan, asked: Asked, crew: Crew, why_not_native: str) -> Run:
    label = asked.label or session.label
    run_id, folder = Run.new_folder(session.runs_dir, label or session.name)
    redactor = redactor_of(plan, session.environment)
    # of a master's workers this machine knows nothing
    ceiling = None if asked.cluster else ceiling_of_run(crew.engine, plan.protocol, crew.shards, plan.asked_per_s)
    facts = RunFacts(
        id=run_id,
        label=redactor.text(label),
        script=session.name,
        folder=str(folder),
        protocol=plan.protocol,
        engine=crew.engine,
        why_not_native=why_not_native,
        calibration=ceiling.to_json() if ceiling else None,
        target=redactor.text(asked.target),
        users=plan.users,
        planned_s=plan.duration_s,
        started_unix_s=time.time(),
        plan=redactor.value(replace(plan, material={}).to_json()),
        environment={**_environment(), "processes": str(crew.shards)},
    )
    return Run.create(
        folder,
        facts,
        shards=crew.shards,
        max_failure_rate=asked.max_failure_rate,
        thresholds=asked.thresholds,
        rate_tolerance=asked.rate_tolerance,
    )


def _environment() -> dict[str, str]:
    versions = {name: version_of(name) for name in ("loadflow", "locust", "gevent", "prefect")}
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cores": str(os.cpu_count()),
        "command": Path(sys.argv[0]).name,
    }
