"""Makes the load of one engine process: Locust's runner starts and stops users, this file says when, and keeps time."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from socket import gethostname
from typing import IO, Any

import gevent
import gevent.event
from gevent import monkey
from locust.env import Environment
from locust.event import Events
from locust.runners import Runner

from loadflow.engine.base.own_name import is_own_name
from loadflow.engine.generator.locust.arrivals import Arrivals
from loadflow.engine.generator.locust.clients import Speakers
from loadflow.engine.generator.locust.lead import ParentLead, run_stages
from loadflow.engine.generator.locust.recorder import Recorder
from loadflow.engine.generator.locust.row_flushing import flush_rows
from loadflow.engine.generator.locust.step import compile_steps
from loadflow.engine.generator.locust.user import SharedByUsers, user_class
from loadflow.engine.generator.loop_watch import LoopWatch
from loadflow.engine.generator.probe import ProcessProbe
from loadflow.engine.plan.pick import weighted_order
from loadflow.engine.plan.plan import Plan, Shard
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.process.messages import Done, Flush, OfEngine, Ready, Stood, Tick, encode
from loadflow.engine.process.states import STOP_DRAIN_S, State, moved
from loadflow.engine.protocols.running.fence import Fence
from loadflow.engine.records.health import Health
from loadflow.engine.records.passes import Passes
from loadflow.engine.resolve.data import Data
from loadflow.errors import RunError

__all__ = ["Generator"]

LAG_PROBE_S = 0.05
NEVER_S = 10 * 365 * 86_400.0


class Generator:
    """One process's share of a plan, from compiling to the last row."""

    def __init__(self, plan: Plan, shard: int, shards: int, paths: Mapping[str, Path], messages: IO[str]) -> None:
        self._plan = plan
        self._lead = ParentLead()
        self._shard = shard
        self._of = Shard(shard, shards)
        self._paths = paths
        self._messages = messages
        self._speakers = Speakers(plan)
        self._data = Data.load(plan.sources, shard=shard, shards=shards, seed=plan.seed)
        self._steps = compile_steps(plan, self._speakers)
        weights = [unit.weight for unit in plan.way.units]
        # the passes of a pace are shared out among the processes, so their picks are one order for all of these
        order = f"picks {plan.seed}" if plan.pace else f"picks {plan.seed} {shard}"
        self._picks = weighted_order(weights, Random(order)) if plan.mode == "weighted" else None
        self._passes = Passes()
        self._arrivals = Arrivals(plan.pace, self._picks, self._of, self._passes) if plan.pace else None
        self._state = State.WAITING
        self._end: gevent.event.AsyncResult = gevent.event.AsyncResult()
        self._fatal: BaseException | None = None
        self._all_users_done = False
        self._lag_s = 0.0
        self._ran_s: float | None = None
        self._probe = ProcessProbe()  # anew as the load starts
        # not gevent's: a thread waits for it
        self._rows = monkey.get_original("_thread", "allocate_lock")()
        self._watch: LoopWatch | None = None
        self._standing: deque[Stood] = deque()  # what a thread found out, for the loop to say
        self._users_peak: Callable[[], int] = int

    def run(self) -> None:
        """Everything after compiling. Raises what makes it impossible to go on, e.g. OSError for a full disk."""
        if self._plan.allowed_hosts:
            Fence.install(self._plan.allowed_hosts)
        gevent.signal_handler(signal.SIGTERM, self._stop, "a stop was asked for")
        redactor = redactor_of(self._plan, os.environ)
        recorder = Recorder(**self._paths, shard=self._shard, redactor=redactor, traces=self._plan.traces)
        shared = SharedByUsers(
            self._plan, self._speakers, self._steps, self._picks, self._data, recorder, self._arrivals, self._of, self._passes
        )
        self._users_peak = shared.users_peak
        shared.on_fatal = self._on_fatal
        shared.on_done = self._on_user_done
        environment = self._environment(shared)
        runner = environment.create_local_runner()
        if self._arrivals is not None:
            self._start_all_users(runner, self._arrivals, shared)
        # Locust looks at it as a load ends, and the first look takes some 50 ms, for which hits in flight would have to wait
        inspect.stack()
        if self._plan.web_ui is not None:
            _start_web_ui(environment, *self._plan.web_ui)
            # Locust's own statistics are for its web UI; ours are made from the hit log
            recorder.on_hit = _locust_events(environment)
        self._moved("ready")
        self._say(Ready(self._shard))
        go = self._lead.wait_for_go(self._end)
        self._moved("stop" if go is None else "go")
        if go is None:
            return
        self._start_watch(recorder)
        recorder.start(*go, lock=self._rows)
        shared.go.set()
        if self._plan.users == 0 and self._plan.ends_with_users:
            self._on_user_done(0)
        self._make_load(environment, runner, recorder)

    def _make_load(self, environment: Environment, runner: Runner, recorder: Recorder) -> None:
        """From `go` to the last row."""
        self._probe = ProcessProbe()
        load = self._start_load(recorder, runner)
        gevent.spawn(self._lead.watch, self._stop, self._faster)
        gevent.spawn(self._probe_lag)
        tellers = [
            gevent.spawn(self._tick_every_second, recorder, runner),
            gevent.spawn(flush_rows, recorder.flush, gevent.sleep, self._on_fatal),
        ]
        if self._plan.flush_s is not None:
            tellers.append(gevent.spawn(self._flush_often, recorder, self._plan.flush_s))
        stopped = self._wait_for_end(recorder)
        if self._arrivals is not None and not self._end.ready():
            load.join()  # what was due at the very end is given away now, or dropped
            gevent.sleep(0)  # and those who got it send it
        ran_s = self._ran_s = recorder.now_ns() / 1e9
        health = self._health(recorder, runner)
        self._moved("over")
        recorder.draining = self._state is State.STOPPING
        environment.stop_timeout = min(self._plan.drain_s, STOP_DRAIN_S) if stopped else self._plan.drain_s
        load.kill()
        if self._arrivals is not None:
            self._arrivals.end(round(ran_s * 1e9))
        runner.quit()
        gevent.killall(tellers)
        if environment.web_ui is not None:
            environment.web_ui.stop()
        if self._watch is not None:
            self._watch.end()
        self._moved("drained")
        recorder.steps([(step.ran, step.skipped) for step in self._steps], max((step.conditioned for step in self._steps), default=0))
        recorder.close()
        self._moved("done" if self._fatal is None else "lost")
        if self._fatal is not None:
            raise self._fatal
        self._say(Done(self._shard, recorder.log.rows, ran_s, stopped, health, replace(self._passes)))

    def _moved(self, event: str) -> None:
        self._state = moved(self._state, event)

    def _stop(self, why: str) -> None:
        if not self._end.ready():
            self._end.set(why)

    def _faster(self, factor: float, at_s: int) -> None:
        if self._arrivals is not None:
            self._arrivals.faster(factor, at_s)

    def _on_fatal(self, error: BaseException) -> None:
        self._fatal = self._fatal or error
        self._stop(str(error))

    def _on_user_done(self, finished: int) -> None:
        if finished == self._plan.users:
            self._all_users_done = True
            self._stop("")

    def _wait_for_end(self, recorder: Recorder) -> str:
        """Until the load's time is over, all users are done, or something ends it early: then why."""
        left_s = NEVER_S if self._plan.duration_s is None else self._plan.duration_s - recorder.now_ns() / 1e9
        with gevent.Timeout(max(0.0, left_s), False):
            return str(self._end.get())
        return ""

    def _environment(self, shared: SharedByUsers) -> Environment:
        return Environment(user_classes=[user_class(shared)], events=Events(), stop_timeout=self._plan.drain_s, catch_exceptions=False)

    def _start_all_users(self, runner: Runner, arrivals: Arrivals, shared: SharedByUsers) -> None:
        """Before the first pass is due they all wait for one; those with an `on_start` begin it as the load begins."""
        runner.start(self._plan.users, spawn_rate=self._plan.users)
        while arrivals.free + shared.here < self._plan.users and not self._end.ready():
            gevent.sleep(0.001)

    def _start_load(self, recorder: Recorder, runner: Runner) -> gevent.Greenlet:
        """What decides when passes begin: the stages of users, or the pace."""
        if self._arrivals is None:
            load = gevent.spawn(self._run_stages, recorder, runner)
        else:
            load = gevent.spawn(self._arrivals.run, recorder.now_ns)
        load.link_exception(lambda failed: self._on_fatal(failed.exception))
        return load

    def _run_stages(self, recorder: Recorder, runner: Runner) -> None:
        run_stages(self._plan.stages, recorder.now_ns, lambda users, rate: runner.start(users, spawn_rate=rate))

    def _tick_every_second(self, recorder: Recorder, runner: Runner) -> None:
        second = 0
        while True:
            gevent.sleep(max(0.0, second + 1 - recorder.now_ns() / 1e9))
            try:
                recorder.flush()
            except OSError as error:
                self._on_fatal(error)
                return
            second = recorder.now_ns() // 1_000_000_000
            self._say(Tick(self._shard, second, recorder.log.rows, self._health(recorder, runner), replace(self._passes), self._ran_s))

    def _health(self, recorder: Recorder, runner: Runner) -> Health:
        """Since the last question."""
        lag_ms, self._lag_s = self._lag_s * 1e3, 0.0
        health = self._probe.health(runner.user_count, recorder.in_flight, lag_ms)
        return replace(health, users_peak=self._users_peak())

    def _flush_often(self, recorder: Recorder, every_s: float) -> None:
        while True:
            gevent.sleep(every_s)
            try:
                recorder.flush()
            except OSError as error:
                self._on_fatal(error)
                return
            self._say(Flush(self._shard, recorder.now_ns(), recorder.log.rows))

    def _start_watch(self, recorder: Recorder) -> None:
        """A thread of the system, which goes on while the loop stands."""
        pipe = self._messages.fileno() if hasattr(self._messages, "fileno") else None

        def standing(since_s: float, stood_s: float, doing: str) -> None:
            message = Stood(self._shard, recorder.now_ns() / 1e9 - (time.monotonic() - since_s), stood_s, doing)
            with contextlib.suppress(OSError):  # a full disk is noticed by the loop
                recorder.flush()
            if pipe is None:
                self._standing.append(message)
            else:
                with contextlib.suppress(OSError):
                    os.write(pipe, f"{encode(message)}\n".encode())  # at once: the loop may stand for good

        thread_id = monkey.get_original("_thread", "get_ident")()
        self._watch = LoopWatch(thread_id, standing, monkey.get_original("time", "sleep"))
        monkey.get_original("_thread", "start_new_thread")(self._watch.run, ())

    def _probe_lag(self) -> None:
        """How late a timer fires is how long any answer may have lain unread."""
        while True:
            due = time.monotonic() + LAG_PROBE_S
            gevent.sleep(LAG_PROBE_S)
            if self._watch is not None:
                self._watch.beat()
            while self._standing:
                self._say(self._standing.popleft())
            self._lag_s = max(self._lag_s, time.monotonic() - due)

    def _say(self, message: OfEngine) -> None:
        try:
            self._messages.write(encode(message) + "\n")
        except (BrokenPipeError, ValueError):
            self._stop("the parent is gone")


def _locust_events(environment: Environment) -> Any:
    def fire(method: str, name: str, time_ms: float, length: int, error: str | None) -> None:
        exception = RuntimeError(error) if error else None
        environment.events.request.fire(
            request_type=method, name=name, response_time=time_ms, response_length=length, exception=exception, context={}
        )

    return fire


def _start_web_ui(environment: Environment, host: str, port: int) -> None:
    """Locust would say in its log only that it can't listen. Raises RunError, before anything is sent."""
    web = environment.create_web_ui(host, port, delayed_start=True)
    web.app.before_request(partial(_refuse_other_names, host))
    web.start()
    assert web.greenlet is not None
    while not web.greenlet.ready():
        if web.server is not None and web.server.started:
            return
        gevent.sleep(0.001)
    raise RunError(f"the web UI can't listen on {host}:{port}: {web.greenlet.exception}; choose another port in web_ui_dict")


def _refuse_other_names(host: str) -> Any:
    """Locust's web UI has no password: a page elsewhere must not use it through a browser."""
    from flask import abort, request

    if not is_own_name(request.headers.getlist("host"), {host, gethostname().lower()}):
        abort(421)


logging.getLogger("locust").setLevel(logging.WARNING)
assert monkey.is_module_patched("socket"), "the engine process must be patched before this module is imported"
