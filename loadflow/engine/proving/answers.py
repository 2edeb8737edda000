"""What the recording server answers one user: what the steps want, and sometimes not.

The answer to a request depends on nothing but the requests of the same function before it, so two ways that send the same get the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from urllib.parse import unquote

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.proving.recorder import Given, Request
from loadflow.engine.proving.wanted import answer_of, faults_of
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.script.placeholders import pieces

__all__ = ["OF", "Answers"]

OF = "X-Loadflow-Proof"  # a header of each request: which function asked
FAULTY = 0.3  # of passes, about
COOKIE = "proof=1; Path=/"

Steps = Sequence[Mapping[str, object]]


class Answers:
    """`steps`: those of each function by name; `always_good`: functions whose answers lack nothing, because a user can't go on without.

    The values that these keep may stand in any request of user 0; those of others may be such that a request with them can't be made.
    `reached` are the steps that were asked for, each as function and position.
    """

    def __init__(self, steps: Mapping[str, Steps], always_good: Sequence[str], data: Data, variables: JsonMapping, user: int) -> None:
        self.reached: set[tuple[str, int]] = set()
        self._scope = Scope(variables, data)
        self._user = user
        self._walks = {name: _Walk(of, Random(f"{user} {name}"), faulty=name not in always_good) for name, of in steps.items()}

    def __call__(self, request: Request) -> Given:
        name = request.header(OF)
        walk = self._walks.get(name)
        if walk is None:
            return Given(404, (), b"")
        at = walk.step_of(request)
        self.reached.add((name, at))
        step = walk.steps[at]
        made = answer_of(step, walk.random, self._fill, plain=not (walk.faulty or self._user))
        if walk.is_faulty(at):
            walk.random.choice(faults_of(step, walk.random, self._fill))(made)
        if not walk.faulty:
            made.headers.setdefault("set-cookie", COOKIE)
        self._scope.session.update(made.kept(step))
        return made.given()

    def _fill(self, value: object) -> object:
        return compile_value(value, self._scope.variables).render(self._scope)


class _Walk:
    """Where one function is in its steps, recognised by what it asks: a pass may have ended after any of them."""

    def __init__(self, steps: Steps, random: Random, *, faulty: bool) -> None:
        self.steps = steps
        self.random = random
        self.faulty = faulty
        self._patterns = [_pattern(str(step["request_url"])) for step in steps]
        self._next = 0
        self._fault_at: int | None = None

    def step_of(self, request: Request) -> int:
        path = unquote(request.target.partition("?")[0])
        order = dict.fromkeys((self._next, 0, *range(len(self.steps))))
        method = request.method.lower()
        fits = (at for at in order if self.steps[at]["method"].lower() == method and self._patterns[at].fullmatch(path))
        at = next(fits, self._next)
        if at == 0:
            self._fault_at = self.random.randrange(len(self.steps)) if self.faulty and self.random.random() < FAULTY else None
        self._next = (at + 1) % len(self.steps)
        return at

    def is_faulty(self, at: int) -> bool:
        return at == self._fault_at


def _pattern(url: str) -> re.Pattern[str]:
    """Paths that the URL of a step may become."""
    path = url.partition("?")[0]
    return re.compile("".join(re.escape(unquote(one)) if isinstance(one, str) else ".*" for one in pieces(path)), re.DOTALL)
