"""One pass of `python_user`: a function of the scenario is called with a client whose requests are hits.

A hit is written when the next one begins or the function has ended: until then an exception of the function makes it a failure, as a failed
assertion of a step does. An exception ends the pass; in `on_start` it ends the user.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import gevent
from gevent import GreenletExit

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.values import shown
from loadflow.engine.generator.call_messages import Messages
from loadflow.engine.generator.locust.clients import ClientsOf
from loadflow.engine.generator.locust.python_client import Answer, Client
from loadflow.engine.generator.locust.recorder import UNKNOWN, Recorder
from loadflow.engine.generator.locust.step import Pauser
from loadflow.engine.generator.network import Network
from loadflow.engine.generator.throttle import Throttle
from loadflow.engine.plan.pace import LATE_NS
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.python.call import Call
from loadflow.engine.protocols.python.drawing import Drawing
from loadflow.engine.protocols.python.protocol import PYTHON, PythonClient
from loadflow.engine.protocols.python.words import NOTHING_SENT, words_of
from loadflow.engine.protocols.running.error_words import error_words
from loadflow.engine.protocols.running.seam import HitFailure, UserProtocol
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.scenario.client import RequestFailed
from loadflow.engine.scenario.messages import message_of
from loadflow.engine.scenario.requests import of_batch
from loadflow.engine.scenario.values import Rows, drawing

__all__ = ["PythonStep"]

Failure = tuple[Outcome, str]


class PythonStep:
    """Shared by all users of a process, like `Step`, which it stands for."""

    conditioned = 0

    def __init__(
        self,
        call: Call,
        config: StepJson,
        limits: Sequence[Throttle],
        network: Network | None,
        is_secret: Callable[[str], bool],
        revision_header: str | None,
        messages: Messages,
        protocols: Mapping[str, UserProtocol],
    ) -> None:
        self.call = call
        self.messages = messages
        self.protocols = protocols
        self.phase = config.get("phase")
        self.limits = limits
        self.network = network
        self.is_secret = is_secret
        self.revision_header = revision_header
        self.ran = 0  # requests
        self.skipped = 0
        # the loop is gevent's: what asyncio would do with a loop of its own is done here, one thing after the other
        asyncio.sleep, asyncio.gather = _sleep, _gather  # type: ignore[assignment]

    def run(self, clients: ClientsOf, scope: Scope, user: int, recorder: Recorder, pauser: Pauser, due_ns: int | None = None) -> bool:
        """One call of the function by one user; whether anything was sent. GreenletExit passes, after a hit in flight was recorded."""
        scope.begin_step()
        scope.out_of_rows = False
        client: Any = clients.of(PYTHON.user)
        work = _Pass(self, clients, client, scope, user, recorder, pauser, due_ns)
        failed = True
        try:
            try:
                with drawing(work):
                    target = client.object_of(self.call.cls)
                    _finished(getattr(target, self.call.function)(Client(work)))
                    work.check(target)
                failed = False
            except RequestFailed:
                pass  # its hit says it already
            except GreenletExit:
                raise
            except BaseException as error:  # noqa: BLE001  whatever the scenario's own code raises is data: sys.exit(), too
                work.raised(error)
        finally:
            work.write()
        pauser.ends = failed
        pauser.step_made()
        if failed:
            gevent.sleep(0)
        return work.sent


class _Hit:
    """The last request, which may still become a failure."""

    __slots__ = (
        *(
            "due_ns",
            "end_ns",
            "failure",
            "flags",
            "method",
            "name",
            "protocol",
            "received",
            "reply",
            "request",
            "sample",
            "sent",
            "start_ns",
            "timings",
        ),
        "is_whole",
    )

    @property
    def is_http(self) -> bool:
        return self.protocol is PYTHON

    def __init__(self, method: str, name: str, due_ns: int | None, start_ns: int, flags: int) -> None:
        self.method = method
        self.name = name
        self.timings = UNKNOWN
        self.due_ns = due_ns
        self.start_ns = self.end_ns = start_ns
        self.flags = flags
        self.sent = self.received = 0  # bytes
        self.protocol: UserProtocol = PYTHON
        self.request: Any = None
        self.sample: Callable[[Any], JsonObject] | None = None
        self.reply: Any = None
        self.is_whole = False  # the answer is there, whatever its status
        self.failure: Failure | None = None


class _Pass(Drawing):
    """One call under way: where its values come from, and where its hits go."""

    def __init__(
        self,
        step: PythonStep,
        clients: ClientsOf,
        client: PythonClient,
        scope: Scope,
        user: int,
        recorder: Recorder,
        pauser: Pauser,
        due_ns: int | None,
    ) -> None:
        self.step = step
        self.clients = clients
        self.client = client
        self.sent = False
        self._scope = scope
        self._user = user
        self._recorder = recorder
        self._pauser = pauser
        self._due_ns = due_ns
        self._count = 0
        self._last: _Hit | None = None

    @property
    def scope(self) -> Scope:
        return self._scope

    @property
    def sources(self) -> Mapping[Rows, str]:
        return self.step.call.sources

    @property
    def pauses(self) -> bool:
        return self.step.call.pauses

    def sleep(self, seconds: float, most: float) -> None:
        self._pauser.pause(self.length_s(seconds, most))

    # -- requests

    def ask(self, verb: str, path: object, options: Mapping[str, object], http: Any = None) -> Answer:
        """One hit. Raises RequestFailed where no whole answer came; TypeError for what a request does not take."""
        hit = self._begin_http(verb, path, options)
        self._send(hit, self.client.http if http is None else http)
        self._last = hit
        return self._answer(hit)

    def speak(self, protocol: str, verb: str, arguments: Sequence[object], options: Mapping[str, object]) -> Answer:
        """One hit of another protocol. Raises as `ask`, and RuntimeError for a protocol of which the load knows nothing."""
        messages = self.step.messages
        user = messages.user(protocol)
        method = ""

        def made() -> tuple[Any, Any, Callable[[Any], JsonObject]]:
            nonlocal method
            step, values, name = messages.step(protocol, message_of(protocol, verb, arguments, options))
            method = step.method
            return messages.rendered(step, values, self._scope), name, step.sample

        hit = self._begin(made, options.get("name"))
        hit.method = method or protocol.upper()
        hit.protocol = self.step.protocols[user]
        self._send(hit, self.clients.of(user))
        self._last = hit
        return self._answer(hit)

    def ask_all(self, requests: Sequence[Mapping[str, object]]) -> list[Answer]:
        """All at once, each over a connection of its own; the answers in the order of their requests. The first failure is raised when all
        have ended."""
        wanted = [of_batch(one) for one in requests]
        if not wanted:
            return []
        hits = [self._begin_http(verb, path, options) for verb, path, options in wanted]
        clients = self.client.http.at_once(len(hits))
        work = [gevent.spawn(self._send, hit, http) for hit, http in zip(hits, clients, strict=True)]
        try:
            gevent.joinall(work, raise_error=True)
        finally:
            gevent.killall(work)
            for hit in hits[:-1]:
                self._record(hit)
            self._last = hits[-1]
        return [self._answer(hit) for hit in hits]

    def _begin_http(self, verb: str, path: object, options: Mapping[str, object]) -> _Hit:
        call = self.step.call
        hit = self._begin(lambda: (*call.request(verb, path, options, self._scope), call.sample), options.get("name"))
        hit.method = verb.upper()
        return hit

    def _begin(self, make: Callable[[], tuple[Any, Any, Callable[[Any], JsonObject]]], name: Any) -> _Hit:
        """`make` gives the request, the name that it is called by, and what shows it."""
        self.write()
        self._count += 1
        request, failure, sample = None, None, None
        try:
            request, name, sample = make()
        except (HitFailure, MissingValue) as error:
            failure = (Outcome.TEMPLATE, str(error))
        for limit in self.step.limits:
            if (wait_s := limit.reserve(self._recorder.now_ns())) > 0:
                self._due_ns = None if self._due_ns is None else max(self._due_ns, self._recorder.now_ns() + round(wait_s * 1e9))
                self._pauser.pause(wait_s)
        title = self.step.call.title
        default = f"{title} {self._count}" if self._count > 1 or title == "request" else title
        hit = self._hit("", str(name) if name is not None else default)
        hit.request, hit.failure, hit.sample = request, failure, sample
        return hit

    def _hit(self, method: str, name: str) -> _Hit:
        self.step.ran += 1
        flags = HitFlag.FIRST if self._pauser.attempt_begins() else 0
        flags |= HitFlag.SETUP if self.step.phase is not None else 0
        start_ns = self._recorder.now_ns()
        due_ns, self._due_ns = self._due_ns, None
        return _Hit(method, name if self.step.phase is None else f"{self.step.phase}: {name}", due_ns, start_ns, flags)

    def _send(self, hit: _Hit, client: Any) -> None:
        if hit.failure is not None:
            return
        recorder = self._recorder
        recorder.in_flight += 1
        hit.start_ns = hit.end_ns = recorder.now_ns()
        try:
            if self.step.network is not None:
                named: Any = _Named(hit.name)
                self.step.network.pass_through(named, self._scope, self._user)
            traffic = client.traffic if hit.is_http and hit.request.stream is not None else None
            if traffic is not None:
                marks = HitFlag.SETUP if self.step.phase is not None else 0
                traffic.on_event = recorder.events_of(recorder.series(hit.method, hit.name), self._user, hit.start_ns, marks)
            hit.reply = client.perform(hit.request)
            hit.end_ns = recorder.now_ns()
            hit.is_whole = True
            hit.failure = hit.protocol.fails(hit.reply)
            if hit.failure is None and traffic is not None and traffic.lacks is not None:
                hit.failure, hit.is_whole = traffic.lacks, False
        except HitFailure as error:
            hit.end_ns = recorder.now_ns()
            hit.failure, hit.reply = (error.outcome, str(error)), error.reply
        except GreenletExit:
            hit.end_ns = recorder.now_ns()
            hit.failure = (Outcome.UNFINISHED, "not answered before the end of the load")
            self._last = hit
            raise
        except Exception as error:  # noqa: BLE001  whatever a library raises is data
            hit.end_ns = recorder.now_ns()
            hit.failure = (hit.protocol.outcome_of(error), error_words(error))
        finally:
            recorder.in_flight -= 1
            counted = hit.protocol.traffic(client) if hit.protocol.traffic is not None else hit.reply
            if counted is not None:
                hit.sent, hit.received = counted.sent_bytes, counted.received_bytes
                hit.timings = getattr(counted, "timings", UNKNOWN)
        self.sent = True

    def _answer(self, hit: _Hit) -> Answer:
        if not hit.is_whole:
            raise RequestFailed(hit.failure[1] if hit.failure is not None else "no answer")
        return Answer(hit)

    # -- what became of it

    def check(self, target: object) -> None:
        """`check_TASK(status, body)` of the last answer; and a function that asks nothing has failed."""
        if self._count == 0 and self.step.phase is None:
            raise AssertionError(NOTHING_SENT)
        if self.step.call.check is not None and self._last is not None and self._last.reply is not None:
            reply = self._last.reply
            try:
                body = reply.json()
            except ValueError:
                body = None
            getattr(target, f"check_{self.step.call.function}")(Answer(self._last).status_code, body)

    def raised(self, error: BaseException) -> None:
        """The function has raised: the last hit has failed, or a hit without a request where there is none."""
        kind = Outcome.ASSERTION if isinstance(error, AssertionError) else Outcome.EXTRACT
        text = words_of(error)
        if self._last is None:
            self._last = self._hit("PYTHON", self.step.call.title)
            kind = Outcome.TEMPLATE
        if self._last.failure is None:
            self._last.failure = (kind, text)

    def write(self) -> None:
        """The last hit is what it is."""
        hit, self._last = self._last, None
        if hit is not None:
            self._record(hit)

    def _record(self, hit: _Hit) -> None:
        recorder, reply = self._recorder, hit.reply
        due_ns = hit.start_ns if hit.due_ns is None else hit.due_ns
        if hit.start_ns - due_ns > LATE_NS and self.step.phase is None:
            hit.flags |= HitFlag.LATE
        if self._scope.out_of_rows:
            hit.flags |= HitFlag.LAST
        series = recorder.series(hit.method, hit.name)
        status, sent, received = (reply.status if reply is not None else 0), hit.sent, hit.received
        if self.step.revision_header is not None and reply is not None and (revision := reply.header(self.step.revision_header)):
            recorder.revision(revision)
        times = (due_ns, hit.start_ns, hit.end_ns)
        if recorder.on_hit is not None:
            recorder.on_hit(hit.method, hit.name, (hit.end_ns - due_ns) / 1e6, received, hit.failure and hit.failure[1])
        if hit.failure is None:
            recorder.succeeded(series, self._user, *times, status, sent, received, hit.flags, hit.timings)
            return
        outcome, text = hit.failure

        def sample() -> JsonObject:
            return {
                **({"request": hit.sample(hit.request)} if hit.request is not None and hit.sample is not None else {}),
                **({"response": reply.sample()} if reply is not None else {}),
                "error": text,
            }

        secrets = list(self._secrets())
        recorder.failed(series, self._user, *times, status, sent, received, hit.flags, outcome, text, sample, secrets, hit.timings)

    def _secrets(self) -> Iterator[object]:
        """The user's values that have a secret's name: attributes of his object, and cells of his rows."""
        held = vars(self.client.object_of(self.step.call.cls))
        yield from (value for name, value in held.items() if self.step.is_secret(name) and isinstance(value, str | int))
        yield from (value for name, value in self._scope.cells() if self.step.is_secret(name))


def _finished(result: object) -> None:
    """Runs a coroutine to its end: all that it can wait for here is done when it asks."""
    if not inspect.iscoroutine(result):
        return
    try:
        waits_for = result.send(None)
    except StopIteration:
        return
    result.close()
    what = shown(type(waits_for).__name__)
    text = f"awaits {what}, which needs an event loop of asyncio"
    raise RuntimeError(text)


async def _sleep(delay: float, result: object = None) -> object:
    gevent.sleep(delay)
    return result


async def _gather(*wanted: Awaitable[object], return_exceptions: bool = False) -> list[object]:
    made: list[object] = []
    for one in wanted:
        try:
            made.append(await one)
        except Exception as error:
            if not return_exceptions:
                raise
            made.append(error)
    return made


class _Named:
    """What the network conditioner asks of a step."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.name = None

    def render_name(self, scope: Scope) -> str:
        return self._name
