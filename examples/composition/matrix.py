"""A matrix of loads: one script with several numbers of users, by `task.map`, and one table of all of them.

    python examples/shop/server.py --port 8000
    python examples/composition/matrix.py http://127.0.0.1:8000 10 1 5 20

One load at a time: two on one machine would measure each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from loadflow import LoadResult, load_of, run_script, same_verdict


def script(base: str, users: int, seconds: float) -> list[Any]:
    search = {"name": "search", "method": "get", "request_url": "/search?q=lamp"}
    pace = {"user_count": users, "spawn_rate": users, "test_time": seconds, "wait_time": 0.05}
    return [["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "host": base, **pace, "tasks": [search]}]]


@task(task_run_name="{users} users")
def load(users: int, base: str, seconds: float) -> LoadResult:
    """Also one that did not pass is a row of the table."""
    return load_of(run_script(script=script(base, users, seconds), label=f"matrix-{users}", return_state=True))


@flow(name="matrix", task_runner=ThreadPoolTaskRunner(max_workers=1), persist_result=False)
def matrix(base: str, seconds: float = 10, users: Sequence[int] = (1, 5, 20)) -> Any:
    """Its verdict is the worst of all."""
    loads = load.map(list(users), base=base, seconds=seconds).result()
    rows = [
        {"users": one.users_peak, "verdict": str(one.verdict), "rate_per_s": one.overall.rate_per_s, "p95_ms": one["search"].latency.p95_ms}
        for one in loads
    ]
    create_table_artifact(rows, key="matrix", description="One row per number of users.")
    return same_verdict(loads)


if __name__ == "__main__":
    matrix(sys.argv[1], float(sys.argv[2]), [int(users) for users in sys.argv[3:]])
