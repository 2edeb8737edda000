"""`python -m tests.ends.outer_flow WAY SCRIPT NAME`: a flow NAME-outer with a load below it, in this process or by a deployment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.deployments import run_deployment

from loadflow.flows import compile_script

WAYS = ("subflow", "deployment", "deployment below a subflow")


def outer(way: str, script: Path, name: str) -> None:
    def by_deployment() -> Any:
        parameters = {"script": json.loads(script.read_text()), "label": "below", "exclusive": False}
        return run_deployment(f"loadflow/{name}", parameters=parameters, poll_interval=1).state

    @flow(name=f"{name}-middle", persist_result=False)
    def middle() -> Any:
        return by_deployment()

    @flow(name=f"{name}-outer", persist_result=False)
    def root() -> Any:
        return {"subflow": compile_script(script, name=name), "deployment": by_deployment}.get(way, middle)()

    root()


if __name__ == "__main__":
    outer(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
