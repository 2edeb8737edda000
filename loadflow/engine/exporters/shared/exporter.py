"""An exporter's life: started once in a session, given every second, flushed and stopped with the script at the latest."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar, cast

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError, Mistake

__all__ = ["Exporter", "start_in", "stop_in"]


class Exporter(Observer):
    """What is started opens its port or its thread in its constructor, and raises there when it can't.

    Observer's methods only fold; whatever waits for the network does so on another thread. `arguments`: what it was started with.
    """

    kind: ClassVar[str]
    arguments: JsonMapping

    def close(self) -> dict[str, object]:
        """Send the unsent data, in bounded time, and free everything; returns counts by outcome. A second call does nothing."""
        raise NotImplementedError


class _Noted(Exporter):
    """Stands for an exporter that would have been started."""

    port = 0


E = TypeVar("E", bound=Exporter)


def start_in(session: Session, kind: type[E], arguments: Mapping[str, object], make: Callable[[], E]) -> E:
    """The session's exporter of this kind: a new one that `make` gives, or the one that runs, if it was started the same way.

    Raises CommandError when one runs that was started otherwise.
    """
    running = cast("Exporter | None", session.exporters.get(kind.kind))
    if running is not None:
        if running.arguments == arguments:
            return cast(E, running)
        differ = ", ".join(sorted(name for name in arguments if arguments[name] != running.arguments.get(name)))
        message = f"{kind.kind} is exported to already, with another {differ}"
        raise CommandError([Mistake("", message, "stop it first; or start it once, with what is meant")])
    if session.rehearsing:
        noted = _Noted()
        noted.arguments = dict(arguments)
        session.exporters[kind.kind] = noted
        return cast(E, noted)
    exporter = make()
    exporter.arguments = dict(arguments)
    session.exporters[kind.kind] = exporter
    session.observers.append(exporter)
    session.at_end(lambda: _end(session, exporter))
    atexit.register(exporter.close)  # outside of scripts nothing else ends the session
    return exporter


def stop_in(session: Session, kind: str) -> dict[str, object]:
    """Stop the session's exporter of this kind; does no harm where none runs."""
    if session.rehearsing:
        session.exporters.pop(kind, None)
    exporter = cast("Exporter | None", session.exporters.get(kind))
    return {"status": "not started"} if exporter is None else {"status": "stopped", **_end(session, exporter)}


def _end(session: Session, exporter: Exporter) -> dict[str, object]:
    if session.exporters.get(exporter.kind) is exporter:
        del session.exporters[exporter.kind]
        session.observers.remove(exporter)
        atexit.unregister(exporter.close)
    return exporter.close()
