"""Steps that one user sends at once: each runs as it would by itself, in a greenlet and over a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gevent
from gevent import GreenletExit

from loadflow.engine.generator.locust.clients import ClientsOf, OneClient, Speakers
from loadflow.engine.generator.locust.recorder import Recorder
from loadflow.engine.generator.locust.step import Pauser, Step, between
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.static import tokens_in

__all__ = ["Batch", "in_batches"]


class _Part(Pauser):
    """Waits for one of the steps. `has_begun`: it was not left out; `is_cut_off`: the user was stopped while it waited to send."""

    def __init__(self, user: Pauser) -> None:
        self._user = user
        self.has_begun = False
        self.is_cut_off = False

    @property
    def stopping(self) -> bool:  # type: ignore[override]
        return self._user.stopping

    def pause(self, seconds: float) -> None:
        try:
            self._user.pause(seconds)
        except GreenletExit:
            self.is_cut_off = True
            raise

    def attempt_begins(self) -> bool:
        self.has_begun = True
        return self._user.attempt_begins()

    def step_made(self) -> None:
        self._user.step_made()


class Batch:
    """Shared by all users of a process, like the steps that it holds."""

    def __init__(self, speakers: Speakers, steps: Sequence[Step], configs: Sequence[StepJson]) -> None:
        self._speaker = speakers.name_of(configs[0])  # of all of them
        at_once = speakers.protocols[self._speaker].at_once
        assert at_once is not None  # a script has no batch for other users
        self._at_once = at_once
        self._steps = steps
        self._sources = list(dict.fromkeys(token.parts[0] for token in tokens_in(list(configs)) if token.kind == "csv"))
        self._extracted = [[(entry["var"], entry.get("scope") == "session") for entry in one.get("extract") or ()] for one in configs]
        think: Any = configs[0].get("think_after") or 0
        self._think_s: tuple[float, float] = (think["min"], think["max"]) if isinstance(think, Mapping) else (think, think)

    def run(self, clients: ClientsOf, scope: Scope, user: int, recorder: Recorder, pauser: Pauser, due_ns: int | None = None) -> bool:
        """As `Step.run`: whether anything was sent. All are due at `due_ns`. A failure that ends the pass ends it when all have ended."""
        count = len(self._steps)
        parts = [_Part(pauser) for _ in self._steps]
        scopes = scope.at_once(count, self._sources)
        work = [
            gevent.spawn(step.run, OneClient(one), values, user, recorder, part, due_ns)
            for step, one, values, part in zip(self._steps, self._at_once(clients.of(self._speaker), count), scopes, parts, strict=True)
        ]
        try:
            gevent.joinall(work, raise_error=True)
        finally:
            gevent.killall(work)  # those in flight at the end of the drain are recorded
            scope.end_at_once(self._extracted)
        if any(part.is_cut_off for part in parts):
            raise GreenletExit
        pauser.ends = any(part.ends for part in parts)
        low, high = self._think_s
        if high > 0 and not pauser.ends and any(part.has_begun for part in parts):
            pauser.pause(between(scope.rng, low, high))
        return any(one.value for one in work)


def in_batches(speakers: Speakers, steps: Sequence[Step], configs: Sequence[StepJson], positions: range) -> list[Step | Batch]:
    """The steps at these positions as they are run: those that are sent at once in one batch."""
    found: list[Step | Batch] = []
    position = positions.start
    while position < positions.stop:
        count = configs[position].get("at_once", 0)
        chosen = slice(position, position + max(1, count))
        found.append(Batch(speakers, steps[chosen], configs[chosen]) if count else steps[position])
        position = chosen.stop
    return found
