"""LD_start_test with `runner_mode` worker: agents for one run of a master, which has the records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from loadflow.engine.fleet.access import Access, Keys
from loadflow.engine.fleet.agent import run_agent
from loadflow.engine.fleet.keys import Token, is_loopback
from loadflow.errors import Interrupted, RunError

if TYPE_CHECKING:
    from loadflow.engine.session.session import Session

__all__ = ["token_access", "work_once"]

LOG = logging.getLogger("loadflow.fleet")


def token_access(host: str, port: int, token: Token) -> Access:
    """The way of an agent to the server that a load with `runner_mode` master has started; on more than loopback it must be
    encrypted, on loopback it is where the server wants it."""
    keys = Keys.of(token.text)
    plain = is_loopback(host)
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return Access(f"{'nats' if plain else 'tls'}://{name}:{port}", seed=keys.agent, authority=keys.authority)


def work_once(host: str, port: int, token: Token, slots: int, session: Session) -> dict[str, Any]:
    """One run of the master, of which so many shares are made here."""
    observers = tuple(session.observers)

    def stop() -> str:
        return next((reason for observer in observers if (reason := observer.stop_requested())), "")

    served = run_agent(token_access(host, port, token), slots=slots, once=True, say=LOG.info, stop=stop)
    if reason := stop():
        raise Interrupted(f"the worker was stopped: {reason}")
    problems = [one.problem for one in served if one.problem]
    if problems:
        raise RunError("; ".join(problems))
    return {"runner_mode": "worker", "master": f"{host}:{port}", "run": served[0].run, "hits": sum(one.hits for one in served)}
