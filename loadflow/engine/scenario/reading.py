"""Reads a function of a scenario and says it in steps, or raises the reason why it can't be said."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType

from loadflow.engine.scenario.code import Module, plain_function
from loadflow.engine.scenario.frame import Frame
from loadflow.engine.scenario.handles import Client, User
from loadflow.engine.scenario.messages import receives
from loadflow.engine.scenario.requests import message_step, of_batch, step_of
from loadflow.engine.scenario.symbols import Answer, Condition, Found, Pending, TracedStep, Untraceable, Value, holds_symbol
from loadflow.engine.scenario.values import Rows

__all__ = ["Reader", "User"]

MOST_AT_ONCE = 1_000  # of one batch
MOST_STEPS = 1_000  # of one function, loops unrolled
MOST_CALLS = 30  # within each other
MOST_TURNS = 100_000  # of all loops of a function


class Reader:
    """Reads one hook or task of a class. `name` is what its requests are called; `may_set`: it may set attributes of the user.

    `rows` gives the name of a CSV source; `variable` a name for a value that is kept, each once.
    """

    def __init__(
        self,
        modules: Mapping[str, Module],
        user: User,
        name: str,
        rows: Callable[[Rows], str],
        variable: Callable[[str], str],
        *,
        may_set: bool = False,
    ) -> None:
        self._modules = modules
        self._user = user
        self._name = name
        self.rows = rows
        self._variable = variable
        self.may_set = may_set
        self.steps: list[TracedStep] = []
        self.line = 0
        self._calls = 0
        self._turns = 0
        self._pending: list[Pending] = []

    def read(self, function: FunctionType) -> None:
        """Fill `steps`. Raises Untraceable."""
        try:
            result = self.call(function, [self._user, Client()], {})
            if isinstance(result, Pending):
                self.await_(result)
            self._all_awaited()
        except Untraceable as error:
            error.line = error.line or self.line
            raise
        except RecursionError:
            raise Untraceable("is nested too deeply", self.line) from None

    def check(self, function: FunctionType) -> None:
        """What `check_TASK(self, status, body)` asks of the last answer. Raises Untraceable."""
        try:
            last = self.steps[-1]
            before = len(self.steps)
            self.call(function, [self._user, self.part(last, "status"), self.part(last, "json")], {})
            if len(self.steps) > before:
                raise Untraceable("makes requests in a check")
        except Untraceable as error:
            error.line = error.line or self.line
            raise

    def turn(self) -> None:
        """One turn of a loop."""
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise Untraceable("has a loop with too many turns")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise Untraceable("calls functions within functions too deeply")
        try:
            yield
        finally:
            self._calls -= 1

    # -- functions

    def call(self, value: Value, arguments: list[Value], named: dict[str, Value]) -> Value:
        function = plain_function(value)
        module = self._modules.get(function.__code__.co_filename)
        if module is None:
            raise Untraceable(f"calls {function.__name__}, which is not in the scenario's file")
        if module.trick is not None:
            line, what = module.trick
            raise Untraceable(f"is in a module that {what}", line)
        node = module.function(function)
        frame = Frame(self, function, module, node)
        frame.bind(arguments, named)
        if isinstance(node, ast.AsyncFunctionDef):
            return self.pend(frame.run)
        return frame.run()

    def pend(self, begin: Callable[[], object]) -> Pending:
        self._pending.append(Pending(begin, self.line))
        return self._pending[-1]

    def await_(self, pending: Value) -> object:
        if not isinstance(pending, Pending):
            raise Untraceable("awaits what is neither a request nor a function of the scenario")
        if pending.is_awaited:
            raise Untraceable("awaits a call twice")
        pending.is_awaited = True
        return pending.begin()

    def _all_awaited(self) -> None:
        for one in self._pending:
            if not one.is_awaited:
                raise Untraceable("does not await a request, which is then never sent", one.line)

    # -- requests and answers

    def request(self, verb: str, arguments: list[Value], named: dict[str, Value]) -> Answer:
        if len(arguments) + ("path" in named) != 1:
            raise Untraceable(f"calls client.{verb} with other arguments than a path and keywords")
        path = arguments[0] if arguments else named.pop("path")
        return self._ask(verb, path, named)

    def batch(self, arguments: list[object], named: dict[str, object]) -> list[Answer]:
        """The answers of requests that are sent at once."""
        if len(arguments) + ("requests" in named) != 1 or named.keys() - {"requests"}:
            raise Untraceable("calls client.batch with other arguments than a list of requests")
        requests = arguments[0] if arguments else named["requests"]
        if not isinstance(requests, list | tuple):
            raise Untraceable("calls client.batch with what is no plain list")
        try:
            wanted = [of_batch(one) for one in requests]
        except TypeError as error:
            raise Untraceable(str(error)) from None
        if len(wanted) > MOST_AT_ONCE:
            raise Untraceable(f"sends more than {MOST_AT_ONCE:,} requests at once")
        answers = [self._ask(verb, path, options) for verb, path, options in wanted]
        for answer in answers:
            answer.step.beside = [one.step for one in answers]
        return answers

    def message(self, protocol: str, verb: str, arguments: list[Value], named: dict[str, Value]) -> Answer:
        """`client.PROTOCOL.VERB(…)`."""
        return self._taken(message_step(protocol, verb, self._default(), arguments, named))

    def _ask(self, verb: str, path: Value, options: Mapping[str, object]) -> Answer:
        return self._taken(step_of(verb, self._default(), path, options))

    def _default(self) -> str:
        """What the next request is called that says no name."""
        number = len(self.steps) + 1
        return f"{self._name} {number}" if number > 1 or self._name == "request" else self._name

    def _taken(self, step: dict[str, Value]) -> Answer:
        if len(self.steps) >= MOST_STEPS:
            raise Untraceable(f"makes more than {MOST_STEPS:,} requests")
        self.steps.append(TracedStep(step, self.line))
        return Answer(self.steps[-1])

    def _must_be_last(self, step: TracedStep, verb: str) -> None:
        """Of a batch: in Python the last of its hits fails by what an answer lacks, and of steps the one that has the answer."""
        if self.steps and step is not self.steps[-1] and step in self.steps[-1].beside:
            raise Untraceable(f"{verb} an answer of a batch that is not its last")

    def part(self, step: TracedStep, source: Value, path: tuple[str | int, ...] = ()) -> Found:
        """A part of the last answer: that of an earlier one would have to be taken before the requests after it were sent."""
        self._must_be_last(step, "reads")
        if not self.steps or step is not self.steps[-1]:
            raise Untraceable("reads an answer after a later request was sent; read it before")
        if "user" in step.config and (source in ("status", "header") or not receives(step.config)):
            raise Untraceable(f"reads what {step.config['user']} gives no step: {source}")
        found = step.part(source, path)
        found.name_of = self._variable
        return found

    def read_part(self, step: TracedStep, source: object, path: tuple[str | int, ...] = ()) -> Found:
        """The same, where Python would raise if it were not there."""
        found = self.part(step, source, path)
        found.is_read = True
        return found

    def assert_(self, condition: Condition) -> None:
        self._must_be_last(condition.step, "asserts of")
        if not self.steps or condition.step is not self.steps[-1]:
            raise Untraceable("asserts of an answer after a later request was sent; assert it before")
        if condition.stops:
            condition.step.stops = True
        if condition.part is not None:
            condition.part.is_asserted = True
        if condition.entry is not None:
            condition.step.assertions.append(condition.entry)

    def pause(self, arguments: list[Value], named: dict[str, Value]) -> None:
        given = dict(zip(("seconds", "most"), arguments, strict=False)) | named
        low, high = given.get("seconds"), given.get("most")
        for one in (low, high):
            if holds_symbol(one) or isinstance(one, bool) or not isinstance(one, int | float | None) or (one is not None and one < 0):
                raise Untraceable("sleeps for what is not a plain number of seconds")
        if low is None or given.keys() - {"seconds", "most"} or len(arguments) > 2:
            raise Untraceable("calls sleep with other arguments than seconds and most")
        if not self.steps:
            raise Untraceable("sleeps before its first request; steps pause after one")
        step = self.steps[-1]
        if high is None and (step.think is None or isinstance(step.think, int | float)):
            step.think = (step.think or 0) + low
        elif step.think is None and high is not None:
            step.think = {"min": low, "max": max(low, high)}
        else:
            raise Untraceable("sleeps twice after one request, and not both times for a plain number of seconds")
