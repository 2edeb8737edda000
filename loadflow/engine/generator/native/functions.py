"""Functions of a scenario, which the native core calls and resumes: coroutines as they are, all others in a greenlet of their own.

The core's loop sends each request that a function yields and resumes it with the answer; nothing of asyncio or gevent runs. What the
function raises, and what is wrong with its requests, is said here in the words of `locust/python_step.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import asdict
from types import coroutine
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from loadflow.engine.base.counted import counted
from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.values import shown
from loadflow.engine.generator.call_messages import Messages
from loadflow.engine.generator.native.asked import NOT_BEGUN, Asked, Asking, AskingAtOnce, Spoken, kept
from loadflow.engine.generator.native.awaiting import awaiting
from loadflow.engine.generator.native.messages import SPEECHES, Got, message_with_trust, preparing, request_of, speeches_of
from loadflow.engine.generator.native.request import digest_of
from loadflow.engine.generator.native.sleeping import may_sleep
from loadflow.engine.generator.native.streams import stream_of
from loadflow.engine.generator.native.tls_table import TlsTable
from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.http.oauth2 import NotYet
from loadflow.engine.protocols.python.call import Call
from loadflow.engine.protocols.python.drawing import Drawing
from loadflow.engine.protocols.python.words import words_of
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.scenario.client import VERBS, RequestFailed
from loadflow.engine.scenario.messages import refuse_attribute, user_of
from loadflow.engine.scenario.values import Rows, turn

__all__ = ["Functions", "own_asyncio"]

ELSEWHERE = 'mark the task with @task(engine="locust"), where a library that waits for its socket may be called'
Running = Generator[object, object, object] | Coroutine[object, object, object]


class Functions:
    """Those of one core's users. `steps` are the compiled steps of the plan."""

    def __init__(self, plan: Plan, steps: Sequence[Call], data: Data, tls: TlsTable) -> None:
        self._plan = plan
        self._steps = [_Step(one) for one in steps]
        self._data = data
        self._tls = tls
        self._is_secret = Redactor(plan.redact).is_secret
        self._speeches = {name: number for number, name in enumerate(speeches_of(plan))}
        self._messages = Messages({name: plan.part(name) for name in self._speeches}, preparing)
        self._scope = Scope(plan.variables, data)  # what a message is made of is in the call
        self.turn = turn
        self.spoken_type = Spoken
        # what the core calls itself: the method, what it is anew, and whether it has a check
        self.awaited = [(one.name, one.anew, one.check is not None) if one.is_awaited else None for one in self._steps]
        self.encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode  # as `filling.json_text`

    def user(self, number: int) -> _User:
        return _User(number, self._plan, self._data)

    def begin(self, user: _User, step: int) -> Running:
        """A function that needs a greenlet, called; nothing of it has run yet."""
        one = self._steps[step]
        user.begin(one.call)
        user.asking.due, user.asking.last = 0, None
        return _apart(one, user)

    def prepare(self, user: _User, step: int) -> None:
        """One that is awaited is called next."""
        user.begin(self._steps[step].call)
        user.hub = None

    def target(self, user: _User, step: int) -> Any:
        """The object whose methods the user's functions are."""
        return user.object_of(self._steps[step].call.cls)

    def check(self, user: _User, step: int) -> None:
        one = self._steps[step]
        assert one.check is not None
        _check(one.check, user.object_of(one.call.cls), user.asking)

    @staticmethod
    def refuse_due(asking: Asking) -> None:
        _refuse_due(asking)

    def raised(self, error: BaseException, is_written: bool) -> tuple[int, str, bool] | None:
        """Outcome and words of what a function raised, and whether no request of it is to blame; None: a hit says it already.
        `is_written`: it is a `def` that was made a coroutine, which can't raise all that a `def` can."""
        if isinstance(error, RequestFailed):
            return None
        if isinstance(error, AttributeError) and isinstance(error.obj, Asking):
            error = _no_such(error)
        if is_written and isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
            error = error.__cause__ if error.args == ("coroutine raised StopIteration",) else error
        kind = Outcome.ASSERTION if isinstance(error, AssertionError) else Outcome.EXTRACT
        return int(kind), words_of(error), getattr(error, NOT_BEGUN, False)

    def foreign(self, thing: object) -> RuntimeError:
        what = shown(type(thing).__name__)
        return RuntimeError(f"awaits {what}, which needs an event loop of asyncio; {ELSEWHERE}")

    def request(self, step: int, asked: Asked) -> tuple[str | None, dict[str, object] | str | None]:
        """The name that a request has of its own, and its parts; or why there are none; None: it waits for a token."""
        options = asked.options or {}
        name = options.get("name")
        name = None if name is None else str(name)
        try:
            scope = turn.drawing.scope  # type: ignore[union-attr]
            made, _ = self._steps[step].call.request(VERBS[asked.verb], asked.path, options, scope, waits=False)
        except NotYet:
            return name, None
        except (HitFailure, MissingValue) as error:
            return name, str(error)
        own = {field.lower() for field, _ in made.headers}
        number = self._tls.number(made.verify, made.cert)
        tls = self._tls.to_json()[number]
        return name, {
            "head": made.head,
            "body": made.body,
            "place": (made.scheme == "https", made.host, made.port, number, made.sni),
            "cookies": made.cookies,
            "own": ("host" in own, "content-length" in own, made.closes),
            "limits": (made.connect_timeout_s, made.timeout_s, made.allow_redirects),
            "tls": (tls["verify"], tls["authorities"], tls["certificate"], tls["key"]),
            "digest": digest_of(made),
            "stream": None if made.stream is None else json.dumps(stream_of(asdict(made.stream))),
        }

    def message(self, asked: Spoken) -> tuple[str, str | None, int | None, str]:
        """Method and own name of a hit of another protocol, the number of that, and its request; without a number, why there is none."""
        name = asked.called.get("name")
        name = None if name is None else str(name)
        method, user = asked.protocol.upper(), user_of(asked.protocol)
        try:
            step, values, _ = self._messages.step(asked.protocol, asked.called)
            method = step.method
            request = self._messages.rendered(step, values, self._scope)
        except (HitFailure, MissingValue) as error:
            return method, name, None, str(error)
        made = message_with_trust(request_of(SPEECHES[user], step, request, self._tls), self._tls)
        return method, name, self._speeches[user], json.dumps(made)

    @staticmethod
    def kept(asked: Asked | Spoken) -> Got:
        """An answer in parts, for a sample."""
        return kept(asked)

    def secrets(self, user: _User) -> list[str]:
        """The user's values that have a secret's name: attributes of his object, and cells of his rows. Each as JSON."""
        return [json.dumps(value) for name, value in user.held() if self._is_secret(name) and isinstance(value, str | int)]


class _Step:
    """`is_awaited`: its function is a coroutine of which nothing waits but at an `await`, or `anew` is what it would be as one."""

    __slots__ = ("anew", "call", "check", "is_awaited", "name")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.name = call.function
        self.check = f"check_{call.function}" if call.check is not None else None
        self.anew = awaiting(call.cls, call.function)
        is_coroutine = inspect.iscoroutinefunction(getattr(call.cls, call.function))
        self.is_awaited = self.anew is not None or (is_coroutine and not may_sleep(call.cls, call.function))


class _User(Drawing):
    """One user: his object, his client, and where his values come from."""

    __slots__ = ("_data", "_object", "_plan", "_scope", "asking", "call", "child", "hub", "number")

    def __init__(self, number: int, plan: Plan, data: Data) -> None:
        self.number = number
        self.asking = Asking(plan.max_body_bytes, plan.speakers)
        self.call: Call | None = None
        self.hub: greenlet | None = None  # where his function waits: the loop's greenlet; None: at each await
        self.child: greenlet | None = None  # his greenlet, where it waits for a pass
        self._plan = plan
        self._data = data
        self._object: Any = None
        self._scope: Scope | None = None  # few functions draw values, and a scope is some kilobytes

    def begin(self, call: Call) -> None:
        self.call = call
        if self._scope is not None:
            self._scope.begin_step()
            self._scope.out_of_rows = False

    def object_of(self, cls: type) -> Any:
        if self._object is None:
            self._object = cls()
        return self._object

    @property
    def scope(self) -> Scope:
        if self._scope is None:
            self._scope = Scope(self._plan.variables, self._data, user=self.number)
            self.asking.draws = True
        return self._scope

    @property
    def out_of_rows(self) -> bool:
        return self._scope is not None and self._scope.out_of_rows

    def held(self) -> list[tuple[str, Any]]:
        own = list(vars(self._object).items()) if hasattr(self._object, "__dict__") else []
        return own if self._scope is None else [*own, *self._scope.cells()]

    @property
    def sources(self) -> Mapping[Rows, str]:
        return self.call.sources if self.call is not None else {}

    @property
    def pauses(self) -> bool:
        return self._plan.pauses

    def sleep(self, seconds: float, most: float) -> None:
        length = self.length_s(seconds, most)
        if self.hub is None:
            raise RuntimeError("sleep is called through another name in an async def; write `await asyncio.sleep(…)` there")
        self.hub.switch(length)


def _no_such(error: AttributeError) -> BaseException:
    """What the other engine's client says of an attribute that it has not."""
    try:
        refuse_attribute(str(error.name))
    except (AttributeError, RuntimeError) as other:
        return other.with_traceback(error.__traceback__)


class _Raised:
    """What a function in a greenlet raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _apart(step: _Step, user: _User) -> Generator[object, object, None]:
    """The pass of a function that waits where it asks, in the user's greenlet: what that switches here for is what it waits for.

    The greenlet lives as long as its user: each new one costs some 20 µs, most of them for memory that the kernel maps for its frames.
    """
    hub = user.hub = getcurrent()
    child, user.child = user.child, None
    if child is None:
        child = greenlet(_live)
        wanted = child.switch(user, hub, step)
    else:
        wanted = child.switch(step)
    try:
        while type(wanted) is not _Raised and wanted is not None:
            try:
                given = yield wanted
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  what is raised at a wait is the function's to see
                wanted = child.throw(error)
            else:
                wanted = child.switch(given)
        user.child = child
    finally:
        if user.child is None and not child.dead:
            child.throw(GreenletExit)
    if wanted is not None:
        raise wanted.error


def _live(user: _User, hub: greenlet, step: _Step) -> None:
    """One pass after the other; None, or what was raised, is the end of each."""
    while True:
        told: _Raised | None = None
        try:
            _in_greenlet(step, user, hub)
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001  raised anew where the core looks
            told = _Raised(error)
        step = hub.switch(told)


def _in_greenlet(step: _Step, user: _User, hub: object) -> None:
    target = user.object_of(step.call.cls)
    function = getattr(target, step.name)
    asking = user.asking
    if inspect.iscoroutinefunction(function):
        _drive(function(asking), hub)
        if asking.due:
            _refuse_due(asking)
    else:
        made = function(AskingAtOnce(asking, hub))
        if inspect.iscoroutine(made):
            _drive(made, hub)
    if step.check is not None:
        _check(step.check, target, asking)


def _drive(running: Coroutine[object, None, object], hub: greenlet) -> None:
    """A coroutine to its end."""
    try:
        wanted = running.send(None)
        while True:
            try:
                given = hub.switch(wanted)
            except GreenletExit:
                running.close()
                raise
            except BaseException as error:  # noqa: BLE001  as above
                wanted = running.throw(error)
            else:
                wanted = running.send(given)
    except StopIteration:
        return


def _refuse_due(asking: Asking) -> None:
    raise RuntimeError(f"did not await {counted(asking.due, 'request')} of its own, so nothing was sent for it")


def _check(name: str, target: object, asking: Asking) -> None:
    """`check_TASK(status, body)` of the last answer."""
    last = asking.last
    if last is None:
        return
    try:
        body = last.json()
    except ValueError:
        body = None
    getattr(target, name)(last.status_code, body)


@coroutine
def _pause(seconds: float) -> Generator[float, None, None]:
    yield seconds


async def _sleep(delay: float, result: object = None) -> object:
    await _pause(float(delay))
    return result


async def _gather(*wanted: Awaitable[object], return_exceptions: bool = False) -> list[object]:
    """One after the other: requests at the same time are `client.batch`."""
    made: list[object] = []
    for one in wanted:
        try:
            made.append(await one)
        except Exception as error:
            if not return_exceptions:
                raise
            made.append(error)
    return made


def own_asyncio() -> None:
    """What scenarios may await of asyncio is done by the core. To be called before a scenario is imported."""
    replaced: Mapping[str, Callable[..., object]] = {"sleep": _sleep, "gather": _gather}
    for name, function in replaced.items():
        setattr(asyncio, name, function)
