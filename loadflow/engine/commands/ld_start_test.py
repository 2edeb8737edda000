"""LD_start_test: run a load test and return its summary."""

from __future__ import annotations

from loadflow.engine.script.command import LOAD, Command

__all__ = ["COMMAND"]

COMMAND = Command(
    "LD_start_test",
    "loadflow.engine.load.start:start_test",
    "Run a load test and return its summary.",
    LOAD,
    model="loadflow.engine.load_test.model:StartTest",
    loads=True,
    dry=True,
    group="load",
    returns="object: the summary, and `run_dir`",
    example={
        "user_detail_dict": {"user": "fast_http_user"},
        "user_count": 20,
        "test_time": 30,
        "tasks": [{"method": "get", "request_url": "http://127.0.0.1:8000/health"}],
    },
)
