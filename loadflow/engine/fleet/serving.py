"""How agents that serve one run get in: those of LD_start_test with `runner_mode` worker, and those that a work pool starts."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loadflow.engine.fleet.access import CREDENTIALS_VARIABLE, URL_VARIABLE, Access, Keys, given_access
from loadflow.engine.fleet.agent import run_agent
from loadflow.engine.fleet.keys import TOKEN_VARIABLE, Token, find_token, is_loopback, strong_token
from loadflow.errors import Interrupted, RunError

if TYPE_CHECKING:
    from loadflow.engine.session.session import Session

__all__ = ["pool_access", "token_access", "work_once"]

LOG = logging.getLogger("loadflow.fleet")


def token_access(host: str, port: int, token: Token) -> Access:
    """The way of an agent to the server that a load with `runner_mode` master has started; on more than loopback it must be
    encrypted, on loopback it is where the server wants it."""
    keys = Keys.of(token.text)
    plain = is_loopback(host)
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return Access(f"{'nats' if plain else 'tls'}://{name}:{port}", seed=keys.agent, authority=keys.authority)


def pool_access(url: str, *, own: bool, secret: str) -> Access:
    """Of an agent that a work pool has started, to the server of a `PoolOrder`; `secret`: the value of the order's secret, "" for none.

    A server of the load's own asks for the token: the secret, or what this machine has. Of another server the secret is a URL with a user
    and a password, an nkey's seed or the text of a credentials file; without one LOADFLOW_NATS_URL and LOADFLOW_NATS_CREDS count here too.
    Raises CommandError for what is none of it.
    """
    secret = secret.strip()
    if own:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
        place = "the secret" if secret else TOKEN_VARIABLE
        token = Token(strong_token(secret, place, "the token"), own=False) if secret else find_token(host, place)
        return token_access(host, port, token)
    if "://" in secret:
        return Access(secret)
    if secret.startswith("SU"):
        return Access(url, seed=secret)
    if secret:
        return Access(url, credentials_text=secret)
    return given_access(os.environ.get(URL_VARIABLE) or url, os.environ.get(CREDENTIALS_VARIABLE), URL_VARIABLE)


def work_once(host: str, port: int, token: Token, slots: int, session: Session) -> dict[str, object]:
    """One run of the master, and how many of its shares are made here."""
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
