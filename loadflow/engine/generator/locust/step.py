"""One step of a script, compiled: condition, throttle, send, check, extract, record, retry, think.

Every attempt is a hit of its own with a row of its own, whatever happened to it. The measured time runs from just before the
request is handed to the client to just after the whole answer is there; rendering, checking and waiting are outside.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import gevent
from gevent import GreenletExit

from loadflow.engine.base.json_path import MISSING
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.values import number_of, shown
from loadflow.engine.generator.call_messages import Messages
from loadflow.engine.generator.locust.clients import ClientsOf, Speakers
from loadflow.engine.generator.locust.recorder import UNKNOWN, Recorder
from loadflow.engine.generator.network import Network, is_conditioned
from loadflow.engine.generator.retry import RetryRule, failure_class
from loadflow.engine.generator.throttle import Throttle, throttles_of
from loadflow.engine.generator.tracing import Trace
from loadflow.engine.plan.constants import constants_of
from loadflow.engine.plan.pace import LATE_NS
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import AssertionJson, StepJson
from loadflow.engine.plan.way import fails_pass
from loadflow.engine.protocols.running.checks import Check, Extract, Finder, compile_checks, compile_extracts, secret_finders
from loadflow.engine.protocols.running.condition import compile_condition
from loadflow.engine.protocols.running.error_words import error_words
from loadflow.engine.protocols.running.seam import Client, HitFailure, PreparedStep, Reply, Traffic, UserProtocol
from loadflow.engine.protocols.running.work import Work
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.reliability.classify import FailureClass
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.static import tokens_in
from loadflow.engine.resolve.template import Compiled, Compiler, compile_value

__all__ = ["Pauser", "Step", "between", "compile_steps"]

PYTHON = "python_user"  # whose steps are functions

Failure = tuple[Outcome, str]


class Pauser:
    """Waits for a virtual user; the user's own class knows how to be stopped meanwhile. `stopping`: no pause will end as it should."""

    stopping = False
    ends = False  # set by a step whose failure ends the pass, or in on_start the user

    def pause(self, seconds: float) -> None:
        raise NotImplementedError

    def attempt_begins(self) -> bool:
        """A request of the user's pass is about to be made; whether it is the first."""
        return False

    def step_made(self) -> None:
        """Nothing of the step is left to do but its think time."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where a user's secrets lie when a hit of one step fails: variables and cells with such names, and places in the reply."""

    variables: Sequence[str]
    cells: Sequence[tuple[str, ...]]
    finders: Sequence[Finder]

    @classmethod
    def of(cls, config: StepJson, written: Sequence[str], is_secret: Callable[[str], bool]) -> Secrets:
        """`written` are the variables that any step extracts; those that stay as they are in the plan are known from the start."""
        cells = {token.parts for token in tokens_in(dict(config)) if token.kind == "csv" and is_secret(token.parts[1])}
        finders = secret_finders(config.get("assertions") or (), config.get("extract") or (), is_secret)
        return cls([name for name in written if is_secret(name)], sorted(cells), finders)

    def held(self, scope: Scope, reply: Reply | None) -> list[Any]:
        found = [store[name] for name in self.variables for store in (scope.variables, scope.session) if name in store]
        found += [value for source, column in self.cells if (value := scope.cell(source, column)) is not None]
        if reply is not None:
            found += [value for find in self.finders if (value := _found(find, reply)) is not MISSING]
        return found


def _found(find: Finder, reply: Reply) -> Any:
    try:
        return find(reply)[0]
    except HitFailure:  # a body that can't be read
        return MISSING


class Step:
    """Shared by all users of a process; it holds no user's state."""

    def __init__(
        self,
        speaker: str,
        protocol: UserProtocol,
        prepared: PreparedStep,
        config: StepJson,
        compiler: Compiler,
        throttles: Sequence[Throttle],
        network: Network | None = None,
        secrets: Secrets | None = None,
        revision_header: str | None = None,
    ) -> None:
        self._phase = config.get("phase")
        self._marks = 0 if self._phase is None else HitFlag.SETUP
        self._on_failure = fails_pass(config)
        self._protocol = protocol
        self._speaker = speaker
        self._prepared = prepared
        self._throttles = throttles
        self._network = network
        self._run_if = compile_condition(config.get("run_if"), compiler)
        self._skip_if = compile_condition(config.get("skip_if"), compiler)
        assertions: Sequence[AssertionJson] = config.get("assertions") or ()
        self._checks: Sequence[Check] = compile_checks(assertions, compiler)
        self._own_status = any(entry["type"] == "status_code" for entry in assertions)
        self._extracts: Sequence[Extract] = compile_extracts(config.get("extract") or ())
        self._secrets = secrets or Secrets((), (), ())
        self._revision_header = revision_header
        self._retry = RetryRule.of(config["retry"]) if config.get("retry") is not None else None
        self._think = _seconds(config.get("think_time"), compiler)
        self._streams = config.get("stream") is not None
        self._series: int | None = None
        self.ran = 0  # attempts
        self.skipped = 0  # how often its conditions said no

    @property
    def conditioned(self) -> int:
        """Hits of all steps that the network conditioner was asked to treat."""
        return self._network.treated if self._network is not None else 0

    def run(self, clients: ClientsOf, scope: Scope, user: int, recorder: Recorder, pauser: Pauser, due_ns: int | None = None) -> bool:
        """One use of the step by one user; whether anything was sent. GreenletExit passes, after a hit in flight was recorded.

        With `scope.out_of_rows` true after it, a source had no row left for this step: there is nothing more for this user to do.

        `due_ns`: when its first attempt should have started; None: it is due when it starts. A throttle moves that to its own slot.
        """
        scope.begin_step()
        is_skipped = (self._run_if is not None and not self._run_if(scope)) or (self._skip_if is not None and self._skip_if(scope))
        scope.out_of_rows = False  # a condition without a value is false, and no failure
        if is_skipped:
            self.skipped += 1
            pauser.step_made()
            return False
        think_s = (0.0, 0.0)
        if self._think is not None:
            try:
                think_s = self._think(scope)
            except (MissingValue, ValueError) as error:
                now_ns = recorder.now_ns()
                flags = self._begin(pauser) | self._marks
                self._record(recorder, scope, user, now_ns, now_ns, now_ns, flags, None, (Outcome.TEMPLATE, f"think_time: {error}"), None)
                pauser.ends = self._on_failure != "continue"
                pauser.step_made()
                return False
        client, flags = clients.of(self._speaker), self._marks
        used: dict[FailureClass, int] = {}
        while True:
            for throttle in self._throttles:
                if (wait_s := throttle.reserve(recorder.now_ns())) > 0:
                    due_ns = None if due_ns is None else max(due_ns, recorder.now_ns() + round(wait_s * 1e9))
                    pauser.pause(wait_s)
            outcome, lacking, delay_s = self._attempt(client, scope, user, recorder, pauser, due_ns, flags, used)
            if outcome is not Outcome.OK:
                gevent.sleep(0)  # a refused connection fails without ever letting others run
            if delay_s is None:
                break
            pauser.pause(delay_s)
            flags, due_ns = HitFlag.RETRY | self._marks, None
        pauser.ends = outcome is not Outcome.OK and (self._on_failure == "stop" or (self._on_failure == "stop_if_lacking" and lacking))
        pauser.step_made()
        # drawn when the requests have been made, as a function of Python draws it
        if not pauser.ends and (wait_s := between(scope.rng, *think_s)) > 0:
            pauser.pause(wait_s)
        return outcome.sent

    def _begin(self, pauser: Pauser) -> int:
        """An attempt begins; its flag if it is the first of its pass."""
        self.ran += 1
        return HitFlag.FIRST if pauser.attempt_begins() else 0

    def _attempt(
        self,
        client: Client,
        scope: Scope,
        user: int,
        recorder: Recorder,
        pauser: Pauser,
        due_ns: int | None,
        flags: int,
        used: dict[FailureClass, int],
    ) -> tuple[Outcome, bool, float | None]:
        """One hit, recorded: how it ended, whether something of it lacks, and seconds to wait before the next attempt, or None when there
        is none."""
        flags |= self._begin(pauser)
        prepared = self._prepared
        request: object = None
        reply: Reply | None = None
        failure: Failure | None = None
        trace: Trace | None = None
        traffic = None  # of a hit that its client was asked to make
        lacking = True
        start_ns = end_ns = recorder.now_ns()
        try:
            request = prepared.render(scope)
            if recorder.tracer is not None:
                request, trace = recorder.tracer.traced(request, start_ns)
            recorder.in_flight += 1
            try:
                start_ns = recorder.now_ns()
                if self._network is not None:
                    self._network.pass_through(prepared, scope, user)
                traffic = self._protocol.traffic and self._protocol.traffic(client)
                if self._streams and traffic is not None:
                    traffic.on_event = self._on_event(scope, user, recorder, start_ns)
                reply = client.perform(request)
                end_ns = recorder.now_ns()
            except BaseException:
                end_ns = recorder.now_ns()
                raise
            finally:
                recorder.in_flight -= 1
            failure, lacking = self._judge(reply, scope, (end_ns - start_ns) / 1e6)
            if failure is None and traffic is not None and traffic.lacks is not None:
                failure, lacking = traffic.lacks, True
        except MissingValue as error:
            # an assertion that lacks a value can't be held against the answer; the request was sent all the same
            failure = (Outcome.TEMPLATE if reply is None else Outcome.ASSERTION, str(error))
        except HitFailure as error:
            failure, reply = (error.outcome, str(error)), reply if error.reply is None else error.reply
        except GreenletExit:
            self._record(
                recorder,
                scope,
                user,
                start_ns if due_ns is None else due_ns,
                start_ns,
                end_ns,
                flags,
                reply,
                (Outcome.UNFINISHED, "not answered before the end of the load"),
                request,
                trace,
                traffic,
            )
            raise
        except Exception as error:  # noqa: BLE001  the outermost loop of a hit: whatever a library raises is data
            asked = request is not None and reply is None  # else no library of the protocol was at work
            failure = (self._protocol.outcome_of(error) if asked else Outcome.ENGINE, error_words(error))
        delay_s: float | None = None
        if failure is not None and self._retry is not None and not scope.out_of_rows:
            kind = failure_class(failure[0], reply.status if reply else 0)
            delay_s = self._retry.delay_s(used, kind, scope.rng)
            if recorder.draining or pauser.stopping:
                delay_s = None  # nothing follows any more, so this attempt is the last
            if delay_s is not None:
                used[kind] = used.get(kind, 0) + 1
                flags |= HitFlag.SUPERSEDED
        due_ns = start_ns if due_ns is None else due_ns
        self._record(recorder, scope, user, due_ns, start_ns, end_ns, flags, reply, failure, request, trace, traffic)
        return (failure[0] if failure is not None else Outcome.OK), lacking, delay_s

    def _on_event(self, scope: Scope, user: int, recorder: Recorder, start_ns: int) -> Callable[[int, int], None]:
        """Records each event of the answer to one attempt."""
        series = self._series if self._series is not None else self._series_of(scope, recorder)
        return recorder.events_of(series, user, start_ns, self._marks)

    def _judge(self, reply: Reply, scope: Scope, time_ms: float) -> tuple[Failure | None, bool]:
        """The default rule, then the assertions in order, then the extracts, which all run; and whether one of these two failed.

        A step that stops its pass only where something lacks looks for it also in an answer that failed by the default rule.
        """
        by_status = None if self._own_status else self._protocol.fails(reply)
        if by_status is not None and self._on_failure != "stop_if_lacking":
            return by_status, True
        if not self._checks and not self._extracts:
            return by_status, False
        failure = None
        work = Work()
        for check in self._checks:
            failure = check(reply, scope, time_ms)
            if failure is not None:
                return by_status or failure, True
            work.check()
        for extract in self._extracts:
            failure = extract(reply, scope) or failure
            work.check()
        return by_status or failure, failure is not None

    def _record(
        self,
        recorder: Recorder,
        scope: Scope,
        user: int,
        due_ns: int,
        start_ns: int,
        end_ns: int,
        flags: int,
        reply: Reply | None,
        failure: Failure | None,
        request: Any,
        trace: Trace | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        series = self._series
        if series is None:
            series = self._series_of(scope, recorder)
        if recorder.on_hit is not None:
            recorder.on_hit(
                self._prepared.method,
                self._name(scope),
                (end_ns - due_ns) / 1e6,
                reply.received_bytes if reply else 0,
                failure and failure[1],
            )
        if self._revision_header is not None and reply is not None and (revision := reply.header(self._revision_header)):
            recorder.revision(revision)
        if start_ns - due_ns > LATE_NS and self._phase is None:
            flags |= HitFlag.LATE
        if scope.out_of_rows:
            flags |= HitFlag.LAST
        status, counted = (reply.status, traffic or reply) if reply is not None else (0, traffic or Traffic())
        sent, received = counted.sent_bytes, counted.received_bytes
        timings = traffic.timings if traffic is not None else UNKNOWN
        secrets = self._secrets.held(scope, reply) if failure is not None or trace is not None else ()
        if trace is not None and recorder.tracer is not None:
            method, name = self._prepared.method, self._name(scope)
            recorder.tracer.notes.ended(trace, method, name, user, due_ns, start_ns, end_ns, status, flags, failure, secrets)
        if failure is None:
            recorder.succeeded(series, user, due_ns, start_ns, end_ns, status, sent, received, flags, timings)
            return
        outcome, text = failure

        def sample() -> JsonObject:
            return {
                **({"request": self._prepared.sample(request)} if request is not None else {}),
                **({"response": reply.sample()} if reply is not None else {}),
                "error": text,
            }

        recorder.failed(series, user, due_ns, start_ns, end_ns, status, sent, received, flags, outcome, text, sample, secrets, timings)

    def _series_of(self, scope: Scope, recorder: Recorder) -> int:
        series = recorder.series(self._prepared.method, self._name(scope))
        if self._prepared.name is not None:
            self._series = series
        return series

    def _name(self, scope: Scope) -> str:
        name = self._prepared.name
        if name is None:
            try:
                name = self._prepared.render_name(scope)
            except MissingValue as error:
                name = f"(name: {error})"
        return name if self._phase is None else f"{self._phase}: {name}"


def compile_steps(plan: Plan, speakers: Speakers) -> list[Step]:
    constants = constants_of(plan)

    def compiler(value: object) -> Compiled:
        return compile_value(value, constants, os.environ)

    throttles = throttles_of(plan.steps)
    written = sorted({entry["var"] for step in plan.steps for entry in step.get("extract") or ()})
    is_secret = Redactor(plan.redact).is_secret
    network = Network(plan.network, gevent.sleep) if plan.network is not None else None

    cap = Throttle(plan.max_rate_per_s) if plan.max_rate_per_s is not None else None

    messages = Messages(speakers.parts, speakers.preparing)

    def compiled(config: StepJson, throttle: Throttle | None) -> Any:
        speaker = speakers.name_of(config)
        protocol = speakers.protocols[speaker]
        prepared: Any = protocol.prepare(config, speakers.parts[speaker], compiler)
        if plan.protocol == PYTHON:
            from loadflow.engine.generator.locust.python_step import PythonStep

            limits = [cap] if cap else []
            return PythonStep(prepared, config, limits, network, is_secret, plan.revision_header, messages, speakers.protocols)
        selected = plan.network is not None and is_conditioned(plan.network, config, prepared, compiler)
        secrets = Secrets.of(config, written, is_secret)
        limits = [one for one in (throttle, cap) if one]
        return Step(speaker, protocol, prepared, config, compiler, limits, network if selected else None, secrets, plan.revision_header)

    return [compiled(config, throttle) for config, throttle in zip(plan.steps, throttles, strict=True)]


def _seconds(config: object, compiler: Compiler) -> Any:
    """A function from scope to the least and the most seconds; None where nothing is to be waited."""
    if config is None:
        return None
    if isinstance(config, Mapping):
        low, high = compiler(config["min"]), compiler(config["max"])
        return lambda scope: (_number(low, scope), _number(high, scope))
    value = compiler(config)
    return lambda scope: (_number(value, scope),) * 2


def _number(compiled: Any, scope: Scope) -> float:
    value = compiled.value if compiled.is_static else compiled.render(scope)
    seconds = number_of(value)
    if seconds is None or not 0 <= seconds < math.inf:
        raise ValueError(f"{shown(value)} is not a number of seconds")
    return seconds


def between(rng: Random, low: float, high: float) -> float:
    return low + (high - low) * rng.random() if high > low else low
