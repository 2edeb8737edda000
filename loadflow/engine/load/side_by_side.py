"""The populations of one test: a load each, with engines, run folder, books and verdict of its own, side by side on one clock."""

from __future__ import annotations

import select
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING

from loadflow.engine.load.build import Asked
from loadflow.engine.load.one_load import POLL_S, Load, load_of
from loadflow.engine.process.launch import Engine, start_of_load
from loadflow.engine.records.summing import summary_of
from loadflow.engine.session.session import Session
from loadflow.errors import Interrupted, RunError

if TYPE_CHECKING:
    from loadflow.engine.fleet.fleet import Fleet
    from loadflow.engine.generator.native.fit import Choice
    from loadflow.engine.load.target_watch import Questions

__all__ = ["make_loads"]

Turns = Generator["Engine | Fleet", None, dict[str, object]]


class _Together:
    """Gives all loads one start, when the last of them is ready."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._ready: dict[Engine | Fleet, None] = {}
        self._origin: tuple[int, int] | None = None

    def begin(self, engine: Engine | Fleet) -> tuple[int, int] | None:
        self._ready[engine] = None
        if len(self._ready) < self._count:
            return None
        if self._origin is None:
            self._origin = _start(list(self._ready))
        return self._origin


def _start(ready: Sequence[Engine | Fleet]) -> tuple[int, int]:
    """Agents make all of the loads, or none."""
    engines = [one for one in ready if isinstance(one, Engine)]
    if engines:
        origin = start_of_load()
        for engine in engines:
            engine.go(origin)
        return origin
    from loadflow.engine.fleet.fleet import start_fleets  # a load of this machine needs no NATS

    return start_fleets([one for one in ready if not isinstance(one, Engine)])


def make_loads(session: Session, populations: Mapping[str, tuple[Asked, Choice, Questions | None]]) -> dict[str, object]:
    """Make the loads of all populations; returns the summary of all together, and in `populations` that of each, with its `run_dir`.

    One that is lost stops the others. Raises as `start_test` says, when all have ended.
    """
    targets = sorted({asked.target for asked, *_ in populations.values()})  # in one order, or two tests could wait for each other
    with ExitStack() as held:
        for target in targets:
            held.enter_context(session.lease(target))
        loads: list[Load] = []
        for name, (asked, (engine, why_not_native), questions) in populations.items():
            test = loads[0].record.facts.id if loads else None
            loads.append(held.enter_context(load_of(session, asked, engine, why_not_native, questions, name, test)))
        if (cluster := next(iter(populations.values()))[0].cluster) is not None and cluster.url is None and not cluster.children:
            from loadflow.engine.fleet.fleet import own_server  # as above

            server = held.enter_context(own_server(cluster, loads[0].record.folder))
            for load in loads:
                load.meet_at(server)
        summaries = _made(loads)
    together = summary_of([load.record for load in loads]).to_json()
    return {**together, "populations": dict(zip(populations, summaries, strict=True))}


def _made(loads: Sequence[Load]) -> list[dict[str, object]]:
    """The summaries of the loads, which take turns on this thread. Raises the first error of one, when all have ended."""
    together = _Together(len(loads))
    going: dict[Load, Turns] = {load: load.turns(together.begin, 0.0) for load in loads}
    engines: dict[Load, Engine | Fleet] = {}
    summaries: dict[Load, dict[str, object]] = {}
    errors: list[RunError] = []
    try:
        while going:
            for load, turns in list(going.items()):
                try:
                    engines[load] = next(turns)
                except StopIteration as ended:
                    summaries[load] = ended.value
                except RunError as error:
                    errors.append(error)
                    if not isinstance(error, Interrupted):
                        for other in going:
                            other.stop(f"population {load.record.facts.population} was lost")
                if getgeneratorstate(turns) == GEN_CLOSED:
                    del going[load]
            _wait([engines[load] for load in going])
    except BaseException as error:
        _end(list(going.values()), error)
        raise
    if errors:
        raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])
    return [summaries[load] for load in loads]


def _wait(engines: Sequence[Engine | Fleet]) -> None:
    """Until one of them has something to say."""
    select.select([engine for engine in engines if isinstance(engine, Engine)], [], [], POLL_S)


def _end(going: Sequence[Turns], error: BaseException) -> None:
    """What ends one load ends all: each records it as if it had come to it alone."""
    for turns in going:
        if getgeneratorstate(turns) == GEN_CLOSED:
            continue
        try:
            turns.throw(error)
        except BaseException as raised:  # noqa: BLE001  the first one is raised by whoever calls this
            del raised
