"""What the tests of both engines' rules share: one user of a plan on each side, and how much Hypothesis makes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, settings

from loadflow.engine.generator.native.calls import Calls
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.generator.native.plan import compile_plan
from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.constants import constants_of
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.http.request import HttpStep
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiled, compile_value
from loadflow.engine.resolve.variables import Variables
from tests.services import need

EXAMPLES = int(os.environ.get("LOADFLOW_EXAMPLES", "30"))
settings.register_profile(
    "rules", max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
rules = settings.get_profile("rules")
CLASSES = ("transient", "flaky", "permanent")


def the_core() -> Any:
    need(is_built(), "the native core is not built")
    from loadflow import _native

    return _native.rules


def plan_of(*steps: dict[str, Any], variables: dict[str, Any] | None = None, **arguments: Any) -> Plan:
    given = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": list(steps), "host": "http://target:8080", **arguments}
    known = Variables()
    for name, one in (variables or {}).items():
        known.register(name, one)
    return build_plan(given, known, {}, TargetRules(), lambda name: "").plan


class Sides:
    """One user of a plan on both engines."""

    def __init__(self, core: Any, plan: Plan, variables: dict[str, Any] | None = None) -> None:
        env: dict[str, str] = {}
        constants = constants_of(plan)

        def compiler(one: Any) -> Compiled:
            return compile_value(one, constants, env)

        self.plan = plan
        self.compiler = compiler
        compiled = compile_plan(plan, 0, 1, env)
        notes: Any = SimpleNamespace(series=None)
        self.calls = Calls(compiled, notes, plan)
        self.core = core.Steps(compiled.json, 0, self.calls)
        self.scope = Scope(plan.variables, Data.load(plan.sources, shard=0, shards=1, seed=plan.seed), user=0)

    def request(self, step: int) -> None:
        """Both make the same request, or say alike why they can't."""
        made = HttpStep(self.plan.steps[step], self.plan, self.compiler)
        assert told(lambda: self.core.request(step)) == told(lambda: parts(made, self.scope))

    def draws_alike(self) -> None:
        assert self.core.draw() == self.scope.rng.random()


def parts(made: HttpStep, scope: Scope) -> tuple[bytes, bytes, str]:
    request = made.render(scope)
    return request.head, request.body, request.cookies


def told(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (ValueError, HitFailure, MissingValue) as error:
        return str(error)
