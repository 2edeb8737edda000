"""Who shares the load, where and by which rules, from the arguments of LD_start_test or from outside the script."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from loadflow.engine.fleet.access import CREDENTIALS_VARIABLE, URL_VARIABLE, given_access
from loadflow.engine.fleet.keys import TOKEN_VARIABLE, Token, find_token, listen_address, strong_token
from loadflow.engine.fleet.subjects import LEASE_S
from loadflow.engine.plan.cluster import POOL_STARTUP_S, Cluster, Workers
from loadflow.errors import CommandError, Mistake

__all__ = ["cluster_of", "master_of"]


def cluster_of(test: Any, workers: Workers | None, root: str, secret: Callable[[str], str], *, ask: bool = True) -> Cluster | None:
    """None for a local load. `workers` from outside hold for loads whose script says nothing of it. `secret` as for `build_plan`; `ask`
    False: it is not asked. Raises CommandError where a token is needed and there is none."""
    rules = {
        "startup_s": float(test.worker_startup_timeout),
        "degraded": test.worker_startup_policy == "degraded",
        "delivery_s": float(test.delivery_timeout),
    }
    if test.runner_mode == "master":
        host = test.master_bind_host
        if host is None:  # without master_bind_host: other machines may connect only if there is a token
            host = "*" if os.environ.get(TOKEN_VARIABLE) else "127.0.0.1"
        return Cluster(
            expected=max(1, test.expected_workers),
            host=host,
            port=test.master_bind_port,
            token=find_token(host, f"{root}.master_bind_host").text,
            # a load that may still go on is not given to another
            lost_s=max(float(test.worker_lost_timeout), LEASE_S),
            **rules,
        )
    place = "--workers"
    if test.workers is not None:
        place = f"{root}.workers"
        workers = _written(test.workers, place)
    if workers is None:
        return None
    if workers.pool and "worker_startup_timeout" not in test.model_fields_set:
        rules["startup_s"] = POOL_STARTUP_S
    host, port = workers.listen or ("127.0.0.1", 0)
    started_elsewhere = bool(workers.pool or workers.external)
    token = ""
    if workers.url is None and started_elsewhere:
        token = _token(workers, host, place, secret, ask=ask)
    return Cluster(
        expected=workers.count,
        url=workers.url,
        credentials=workers.credentials,
        host=host,
        port=port,
        token=token,
        children=0 if workers.url or started_elsewhere else workers.count,
        pool=workers.pool,
        block=workers.block,
        **rules,
    )


def _written(key: Any, place: str) -> Workers:
    """What the script's `workers` says; the address of a server that it does not name may be in this machine's environment, as for the
    command line."""
    listen = None if key.listen is None else listen_address(key.listen, f"{place}.listen")
    url = key.nats_url or (os.environ.get(URL_VARIABLE) if listen is None else None)
    credentials = os.environ.get(CREDENTIALS_VARIABLE) if url else None
    if url:
        given_access(url, credentials, f"{place}.nats_url")
    return Workers(key.count, url, credentials, listen, key.pool or "", key.block or "", external=listen is not None)


def _token(workers: Workers, host: str, place: str, secret: Callable[[str], str], *, ask: bool) -> str:
    """With which the agents get into the load's own server."""
    if not workers.block:
        return find_token(host, place).text
    if not ask:
        return ""
    try:
        return strong_token(secret(workers.block).strip(), f"{place}.block", f"the secret {workers.block!r}")
    except LookupError as error:
        raise CommandError([Mistake(f"{place}.block", str(error), "save it, or leave the key out")]) from None


def master_of(test: Any, root: str) -> tuple[str, int, Token]:
    """Whom a worker works for: host, port, and the token of both."""
    return test.master_host, test.master_port, find_token(test.master_host, f"{root}.master_host")
