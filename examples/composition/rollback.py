"""A chain: deploy a release, load it, and roll back when the load did not pass. The job's verdict is the load's either way.

    python examples/shop/server.py --port 8000
    python examples/composition/rollback.py http://127.0.0.1:8000 current.txt r2 10

A release is a name in a file here; put what your deploys do into the two tasks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from loadflow import load_of, run_script, same_verdict


@task
def deploy(current: Path, release: str) -> str:
    """Put the release live; what was live before."""
    before = current.read_text(encoding="utf-8") if current.exists() else ""
    current.write_text(release, encoding="utf-8")
    return before


@task
def roll_back(current: Path, before: str) -> None:
    current.write_text(before, encoding="utf-8")


def script(base: str, path: str, seconds: float) -> list[Any]:
    """Passed: none failed, and the 95th percentile is below two seconds."""
    pace = {"user_count": 4, "spawn_rate": 4, "test_time": seconds, "wait_time": 0.05}
    step = {"name": "page", "method": "get", "request_url": path}
    test = {"user_detail_dict": {"user": "fast_http_user"}, "host": base, **pace, "tasks": [step], "thresholds": ["p95 < 2000 ms"]}
    return [["LD_start_test", test]]


@flow(name="release", persist_result=False)
def release(base: str, current: Path, name: str, seconds: float = 10, path: str = "/search?q=lamp") -> Any:
    before = deploy(current, name)
    state = run_script(script=script(base, path, seconds), label=f"release-{name}", return_state=True)
    if not state.is_completed():  # failed, inconclusive, cancelled, or no load at all: nobody knows that the release is good
        get_run_logger().warning("rolled back to %s: %s", before or "nothing", state.message)
        roll_back(current, before)
        return same_verdict(state)
    get_run_logger().info("%s stays: p95 %.1f ms", name, load_of(state)["page"].latency.p95_ms)
    return same_verdict(state)


if __name__ == "__main__":
    release(sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
