"""A step of `python_user`, compiled: the function that it calls, and how its requests are made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.http.request import HttpRequest, HttpStep
from loadflow.engine.protocols.python.place import split_place
from loadflow.engine.protocols.running.filling import filled
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler
from loadflow.engine.scenario.client import VERBS
from loadflow.engine.scenario.definition import HOOKS, ScenarioDef, check_of
from loadflow.engine.scenario.loading import ALLOW, chosen, digest_of, load_scenarios
from loadflow.engine.scenario.messages import users_spoken
from loadflow.engine.scenario.requests import as_options, url_of
from loadflow.engine.scenario.sources import sources_of
from loadflow.errors import ScriptError

__all__ = ["ALLOW", "Call", "gather"]


MOST_MADE = 1_000  # requests that are kept


class Call:
    """`cls` is the scenario's class, `function` the name of its method; `sources` the CSV sources of the plan by the rows that it uses."""

    method = "PYTHON"
    name: str | None = None

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        file, cls, self.function = split_place(config["call"])
        known = plan.material.get(file)
        if known is not None and known != _digest(file):
            raise HitFailure(Outcome.TEMPLATE, f"{file} has changed since the load was checked; start it again")
        made = _scenario(file, cls)
        self.cls = made.cls
        if self.function not in HOOKS and self.function not in [task.name for task in made.tasks]:
            raise HitFailure(Outcome.TEMPLATE, f"{cls} has no task {self.function!r}; mark it with @task")
        self.title = "request" if self.function in HOOKS else self.function
        self.check = None if self.function in HOOKS else check_of(self.cls, self.function)
        self.sources = {rows: name for name, rows in sources_of(made).items()}
        self.speaks = users_spoken(made.cls)  # beside HTTP
        self.place = plan.host or ""
        self.pauses = plan.pauses
        self._headers = compiler(config.get("headers") or {})
        self._made: dict[tuple[str, str], HttpRequest] = {}  # those of a path alone are the same each time
        # the same steps make the requests that scripts make: one of each verb, asked for with the values of each hit
        self._verbs = {verb: HttpStep({"method": verb.upper(), "request_url": "/", "name": verb}, plan, compiler) for verb in VERBS}

    def request(self, verb: str, path: Any, options: Mapping[str, object], scope: Scope, *, waits: bool = True) -> tuple[HttpRequest, Any]:
        """The request of a call of the client, and the name that it gives. Raises TypeError and HitFailure, and unless it `waits` for a
        token, NotYet where that is not there."""
        is_plain = not options and isinstance(path, str)
        if is_plain and (made := self._made.get((verb, path))) is not None:
            return made, None
        values, url = as_options(options), url_of(path)
        name = values.pop("name", None)
        headers = {**filled(self._headers, scope), **(values.get("headers") or {})}
        request = self._verbs[verb].made_of({**values, **({"headers": headers} if headers else {})}, url, scope.user, waits=waits)
        if is_plain and self._headers.is_static and len(self._made) < MOST_MADE:
            self._made[verb, path] = request
        return request, name

    def sample(self, request: HttpRequest) -> JsonObject:
        return self._verbs["get"].sample(request)

    def render(self, scope: Scope) -> object:
        raise NotImplementedError("a function is called, not rendered")

    def render_name(self, scope: Scope) -> str:
        return self.title


def gather(step: StepJson, plan: Plan, compiler: Compiler, material: dict[str, str]) -> None:
    """The file as it is now, so that every process runs the same. Raises HitFailure where Python is not allowed or it is gone."""
    if not os.environ.get(ALLOW):
        text = f"functions of Python run only where {ALLOW} is set, or by `loadflow run FILE.py`"
        raise HitFailure(Outcome.TEMPLATE, text)
    file = split_place(step["call"])[0]
    material[file] = _digest(file)


def _digest(file: str) -> str:
    try:
        return digest_of(Path(file))
    except OSError as error:
        raise HitFailure(Outcome.TEMPLATE, f"{file} can't be read: {error.strerror}") from None


def _scenario(file: str, name: str) -> ScenarioDef:
    try:
        return chosen(_loaded(file, _digest(file)), name, file)
    except ScriptError as error:
        raise HitFailure(Outcome.TEMPLATE, str(error)) from None


@lru_cache(maxsize=16)
def _loaded(file: str, digest: str) -> list[ScenarioDef]:
    """Once in a process: users share what a module has."""
    return load_scenarios(file)
