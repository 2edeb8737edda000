"""The virtual user as Locust runs it: passes over the steps until it is stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import gevent
import gevent.event
from gevent import GreenletExit
from locust import User
from locust.env import Environment
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING

from loadflow.engine.generator.locust.arrivals import Arrivals, Turn
from loadflow.engine.generator.locust.batch import in_batches
from loadflow.engine.generator.locust.clients import Speakers, UserClients
from loadflow.engine.generator.locust.recorder import Recorder, UserWatch
from loadflow.engine.generator.locust.step import Pauser, Step, between
from loadflow.engine.plan.plan import Plan, Shard
from loadflow.engine.records.passes import Passes
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.scope import Scope

__all__ = ["SharedByUsers", "user_class"]

# a pass in which nothing was sent (every condition said no, every template lacked a value) must not spin
IDLE_PASS_S = 0.01
AWAITED_POLL_S = 0.01


class SharedByUsers:
    """What all users of a process share: the compiled plan, the order of weighted picks, the data, the recorder.

    With `arrivals` users wait for passes that are due, and `picks` has been given to it; without, each begins when it is ready.
    """

    def __init__(
        self,
        plan: Plan,
        speakers: Speakers,
        steps: Sequence[Step],
        picks: Iterator[int] | None,
        data: Data,
        recorder: Recorder,
        arrivals: Arrivals | None,
        shard: Shard,
        passes: Passes,
    ) -> None:
        self.plan = plan
        self.speakers = speakers
        self.way = plan.way
        self.start, self.stop, *self.units = (
            in_batches(speakers, steps, plan.steps, positions)
            for positions in (self.way.start, self.way.stop, *(unit.steps for unit in self.way.units))
        )
        self.go = gevent.event.Event()  # the load begins; before it users of a pace do nothing
        self.here = 0  # users who wait for that
        self.picks = picks
        self.data = data
        self.recorder = recorder
        self.arrivals = arrivals
        self.passes = passes
        self.on_fatal: Callable[[BaseException], None] = lambda error: None
        self.on_done: Callable[[int], None] = lambda finished: None
        self._shard = shard
        self._users = 0
        self._done = 0
        self._alive = 0
        self._peak = 0

    def comes(self) -> None:
        self._alive += 1
        self._peak = max(self._peak, self._alive)

    def goes(self) -> None:
        self._alive -= 1

    def users_peak(self) -> int:
        """The most users at once since this was asked last."""
        peak, self._peak = self._peak, self._alive
        return peak

    def number(self) -> int:
        """The next user's number; none is given twice, in any process of the run."""
        self._users += 1
        return (self._users - 1) * self._shard.count + self._shard.index

    def done(self) -> None:
        """A user has made all of its passes, or as many as there were rows for."""
        self._done += 1
        self.on_done(self._done)


def _never(user: object) -> None:
    """Stands for the steps in Locust's eyes."""


def user_class(shared: SharedByUsers) -> type[User]:
    """A Locust user class that runs the plan that is shared. Locust starts and stops its users; the loop is ours."""

    class PlanUser(User, Pauser):  # type: ignore[misc]  # locust is not typed for subclassing
        host = shared.plan.host or ""
        tasks: ClassVar[list[object]] = [_never]  # locust warns about users without tasks; `run` below does not use them

        def __init__(self, environment: Environment) -> None:
            super().__init__(environment)
            self._stopping = gevent.event.Event()
            self._forced = False
            self._turn: Turn | None = None
            self._steps_left: int | None = None  # of the pass that is under way; None: there is none
            self._begun = False
            self._is_set_up = False  # on_start is done, and on_stop is not
            self._leaving = False

        def run(self) -> None:
            if self._stopping.is_set():
                return
            self._state = LOCUST_STATE_RUNNING
            shared.comes()
            try:
                self._work()
            finally:
                shared.goes()

        def _work(self) -> None:
            number = shared.number()
            scope = Scope(shared.plan.variables, shared.data, user=number)
            watch = UserWatch(shared.recorder, number)
            clients = UserClients(shared.speakers, number, watch)
            try:
                try:
                    self._live(clients, scope, number)
                except GreenletExit:
                    if self._forced:
                        raise
                self._leave(clients, scope, number)
                while watch.awaited > 0:  # answers in flight, each with a timeout; the end of the drain cuts this short
                    gevent.sleep(AWAITED_POLL_S)
            except GreenletExit:
                return
            except Exception as error:  # noqa: BLE001  not of a hit, so of the engine: a full disk, or a mistake of ours
                shared.on_fatal(error)
            finally:
                clients.close()

        def _live(self, clients: UserClients, scope: Scope, number: int) -> None:
            if shared.arrivals is not None and shared.way.start:
                shared.here += 1
                shared.go.wait()
            if not self._set_up(clients, scope, number):
                self._finish(clients, scope, number)
                return
            if shared.arrivals is None:
                self._passes(clients, scope, number)
            else:
                self._turns(clients, scope, number, shared.arrivals)

        def _set_up(self, clients: UserClients, scope: Scope, number: int) -> bool:
            """`on_start`; whether all of it went well. A user who is stopped meanwhile goes no further."""
            self._begun = True  # its attempts are of no pass
            for step in shared.start:
                if self._state != LOCUST_STATE_RUNNING:
                    raise GreenletExit
                step.run(clients, scope, number, shared.recorder, self)
                if self.ends or scope.out_of_rows:
                    return False
            clients.pass_ends()
            self._is_set_up = True
            return True

        def _leave(self, clients: UserClients, scope: Scope, number: int) -> None:
            """`on_stop`, once, of a user whose `on_start` went well."""
            if not self._is_set_up:
                return
            self._is_set_up, self._leaving, self._begun = False, True, True
            for step in shared.stop:
                step.run(clients, scope, number, shared.recorder, self)
                if self.ends:
                    return

        def pause(self, seconds: float) -> None:
            """Nothing is in flight now, so a stop may end the user here."""
            if self._leaving:
                gevent.sleep(seconds)
            elif self._stopping.wait(seconds):
                raise GreenletExit

        def stop(self, force: bool = False) -> bool:
            """Locust kills a waiting user; one whose wait ends in that moment has just sent a request, and it would be lost."""
            if force:
                self._forced = True
                return bool(super().stop(force=True))
            self._state = LOCUST_STATE_STOPPING
            self.stopping = True
            self._stopping.set()
            if self._turn is not None and not self._turn.ready():
                self._turn.set(None)
            return False

        def attempt_begins(self) -> bool:
            if self._begun:
                return False
            self._begun = True
            shared.passes.started += 1
            return True

        def step_made(self) -> None:
            if self._steps_left is not None:
                self._steps_left -= 1
                if self._steps_left == 0:
                    self._settle()

        def _book(self, steps: int) -> None:
            """A pass begins for the books; exactly one `_settle` ends it."""
            self._steps_left, self._begun, self.ends = steps, False, False

        def _settle(self) -> None:
            """The pass, if there is one, has made all its steps; or was cut off; or was dropped, if no request had begun."""
            left, self._steps_left = (0 if self.ends and self._steps_left is not None else self._steps_left), None
            if left == 0:
                shared.passes.started += not self._begun  # every condition said no: all was done that there was to do
                shared.passes.made += 1
            elif left is not None and self._begun:
                shared.passes.cut_off += 1
            elif left is not None:
                shared.passes.dropped += 1

        def _passes(self, clients: UserClients, scope: Scope, number: int) -> None:
            units, picks, recorder = shared.units, shared.picks, shared.recorder
            low, high = shared.plan.wait_s
            for _ in itertools.count() if shared.plan.iterations is None else range(shared.plan.iterations):
                sent = False
                if self._state != LOCUST_STATE_RUNNING:
                    return  # before the pick: one that is taken and not used would be missing from its step's share
                picked = next(picks) if picks is not None else 0
                chosen = units[picked]
                self._book(len(shared.way.units[picked].steps))
                try:
                    for step in chosen:
                        if self._state != LOCUST_STATE_RUNNING:
                            return
                        sent = step.run(clients, scope, number, recorder, self) or sent
                        if scope.out_of_rows or self.ends:
                            break
                finally:
                    self._settle()
                clients.pass_ends()
                if scope.out_of_rows:
                    self._finish(clients, scope, number)
                    return
                if high > 0:
                    self.pause(between(scope.rng, low, high))
                elif not sent:
                    self.pause(IDLE_PASS_S)
            self._finish(clients, scope, number)

        def _finish(self, clients: UserClients, scope: Scope, number: int) -> None:
            """Nothing is left to do. Stays until the end: locust would start another user in the place of one that is gone."""
            self._leave(clients, scope, number)
            shared.done()
            self._stopping.wait()

        def _turns(self, clients: UserClients, scope: Scope, number: int, arrivals: Arrivals) -> None:
            """A pass that was given to this user is made, also when the load ends in that moment: it was counted as started."""
            while self._state == LOCUST_STATE_RUNNING:
                self._turn = turn = Turn()
                arrivals.wait(turn)
                given = turn.get()
                if given is None:
                    return
                due_ns, position = given
                picked = max(0, position)
                chosen = shared.units[picked]
                self._book(len(shared.way.units[picked].steps))
                try:
                    for step in chosen:
                        if due_ns is None and self._state != LOCUST_STATE_RUNNING:
                            return
                        if step.run(clients, scope, number, shared.recorder, self, due_ns):
                            due_ns = None  # the first request of a pass is due with it, the others when the one before is done
                        if scope.out_of_rows or self.ends:
                            break
                finally:
                    self._settle()
                    arrivals.passed()
                clients.pass_ends()
                if scope.out_of_rows:
                    self._finish(clients, scope, number)
                    return

        def context(self) -> dict[str, object]:
            return {}

    return PlanUser
