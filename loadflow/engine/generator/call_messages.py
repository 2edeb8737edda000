"""What functions of Python send beside HTTP: each call of `client.websocket` and its like as a request of its protocol.

A call is a step of the script language that is compiled when it is first made. What differs from call to call is filled in, as a
placeholder of a step is, so a function that sends a million messages compiles one step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.running.seam import HitFailure, PreparedStep
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, compile_value
from loadflow.engine.scenario.messages import WHOM, refuse_attribute, user_of

__all__ = ["Messages", "Preparing"]

# how the step of a user type is compiled, and what is looked up for it before; None where nothing is
Prepare = Callable[[StepJson, Plan, Compiler], PreparedStep]
Gather = Callable[[StepJson, Plan, Compiler, dict[str, str]], None]
Preparing = tuple[Prepare, Gather | None]

MOST_COMPILED = 1_000  # steps of one protocol
# the keys whose values a compiled step takes for each hit
FILLED = ("payload", "payload_hex", "payload_base64", "topic", "request_url", "metadata", "headers", "expect", "expect_substring")
HOW_KNOWN = "say how the method is known: proto=, a file, stub_path=, a class of generated code, or reflection=True, which asks the server"
REFUSED_S = 10.0  # what could not be found out is asked for no more often: a process each time
PLACE = "loadflow_{}"  # where such a value stands among the session's


class Messages:
    """Shared by all users of a process. `parts`: what each user type is to know of the plan; `preparing`: how its steps are compiled."""

    def __init__(self, parts: Mapping[str, Plan], preparing: Callable[[str], Preparing]) -> None:
        self._parts = parts
        self._preparing = preparing
        self._compiled: dict[tuple[str, str], PreparedStep] = {}
        self._material: dict[str, str] = {}
        self._refused: dict[tuple[str, str], tuple[HitFailure, float]] = {}  # and until when that is remembered
        self._lock = Lock()  # to find something out, a user may wait

    def user(self, protocol: str) -> str:
        """The user type that speaks. Raises RuntimeError where the plan knows nothing of it."""
        user = user_of(protocol)
        if user not in self._parts:
            refuse_attribute(protocol)
        return user

    def step(self, protocol: str, called: StepJson) -> tuple[PreparedStep, JsonObject, Any]:
        """What `message_of` made of a call as its compiled step, the values of this hit, and the name that it gives. Raises HitFailure."""
        config = dict(called)
        name = config.pop("name", None)
        values = {}
        for key in FILLED:
            if key in config and not (key == "topic" and "delivery" in config):  # hits of a delivery are called after the topic
                values[PLACE.format(key)] = config[key]
                config[key] = f"${{session.{PLACE.format(key)}}}"
        if "command" in config:
            word, *rest = config["command"]
            values.update({PLACE.format(position): one for position, one in enumerate(rest)})
            config["command"] = [word, *(f"${{session.{PLACE.format(position)}}}" for position in range(len(rest)))]
        user = config.pop("user")
        made_of = (user, json.dumps(config, default=repr, sort_keys=True))
        step = self._compiled.get(made_of)
        if step is None:
            if len(self._compiled) >= MOST_COMPILED:
                self._compiled.clear()
            with self._lock:
                step = self._compiled.get(made_of) or self._prepared(protocol, made_of, config, values)
            self._compiled[made_of] = step
        return step, values, name

    @staticmethod
    def rendered(step: PreparedStep, values: StepValues, scope: Scope) -> object:
        """The request of one hit. Raises MissingValue, HitFailure."""
        scope.session.update(values)
        try:
            return step.render(scope)
        finally:
            for name in values:
                del scope.session[name]

    def _prepared(self, name: str, made_of: tuple[str, str], config: dict[str, object], values: StepValues) -> PreparedStep:
        user = made_of[0]
        if any("${" in text for text in _texts(config) if not text.startswith("${session.loadflow_")):
            raise HitFailure(Outcome.TEMPLATE, "holds the characters ${, which begin a placeholder in steps")
        if user == "grpc_user" and not any(config.get(key) for key in ("proto", "stub_path", "reflection")):
            raise HitFailure(Outcome.TEMPLATE, HOW_KNOWN)
        prepare, gather = self._preparing(user)
        part = self._parts[user]
        if part.host is None and (whom := WHOM.get(name)) is not None and config.get(whom) is None:
            raise HitFailure(Outcome.TEMPLATE, f'says not whom it asks; give {whom}=…, or hosts={{"{user}": "host:port"}} to @scenario')

        def compiler(value: object) -> Any:
            return compile_value(value, {}, os.environ)

        if gather is not None:
            refusal, until = self._refused.get(made_of, (None, 0.0))
            if refusal is not None and monotonic() < until:
                raise refusal
            try:
                gather({key: values.get(PLACE.format(key), value) for key, value in config.items()}, part, compiler, self._material)
            except HitFailure as failure:
                self._refused[made_of] = (failure, monotonic() + REFUSED_S)
                raise
            part = replace(part, material=self._material)
        return prepare(config, part, compiler)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list | tuple) else []
