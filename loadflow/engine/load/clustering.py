"""Where the master is, who shares the load and by which rules, from the arguments of LD_start_test."""

from __future__ import annotations

import os
from typing import Any

from loadflow.engine.cluster.keys import TOKEN_VARIABLE, find_token
from loadflow.engine.plan.cluster import Cluster

__all__ = ["cluster_of"]


def cluster_of(test: Any, root: str) -> Cluster | None:
    """None for a local load. Raises CommandError where a token is needed and there is none."""
    if test.runner_mode == "local":
        return None
    is_master = test.runner_mode == "master"
    host = test.master_bind_host if is_master else test.master_host
    if host is None:  # nobody said whether others may reach it: with a token they may
        host = "*" if os.environ.get(TOKEN_VARIABLE) else "127.0.0.1"
    return Cluster(
        mode=test.runner_mode,
        host=host,
        port=test.master_bind_port if is_master else test.master_port,
        token=find_token(host, f"{root}.{'master_bind_host' if is_master else 'master_host'}").text,
        expected=max(1, test.expected_workers),
        startup_s=float(test.worker_startup_timeout),
        beat_s=float(test.worker_heartbeat_interval),
        lost_s=float(test.worker_lost_timeout),
        degraded=test.worker_startup_policy == "degraded",
    )
