"""Who shares the load, where and by which rules, from the arguments of LD_start_test or from outside the script."""

from __future__ import annotations

import os
from typing import Any

from loadflow.engine.fleet.keys import TOKEN_VARIABLE, Token, find_token
from loadflow.engine.fleet.subjects import LEASE_S
from loadflow.engine.plan.cluster import Cluster, Workers

__all__ = ["cluster_of", "master_of"]


def cluster_of(test: Any, workers: Workers | None, root: str) -> Cluster | None:
    """None for a local load. `workers` from outside hold for loads whose script says nothing of it. Raises CommandError where a token is
    needed and there is none."""
    rules = {"startup_s": float(test.worker_startup_timeout), "degraded": test.worker_startup_policy == "degraded"}
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
    if workers is None:
        return None
    return Cluster(
        expected=workers.count,
        url=workers.url,
        credentials=workers.credentials,
        children=0 if workers.url else workers.count,
        **rules,
    )


def master_of(test: Any, root: str) -> tuple[str, int, Token]:
    """Whom a worker works for: host, port, and the token of both."""
    return test.master_host, test.master_port, find_token(test.master_host, f"{root}.master_host")
