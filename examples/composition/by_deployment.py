"""The data job with the load elsewhere: a deployment runs it, on whatever worker its pool has.

    prefect deploy --name ad-hoc && prefect worker start --pool load
    python examples/composition/by_deployment.py http://127.0.0.1:8000 access.csv 10

The run folder is read from `folder`, so the worker has to see it under the same path; where it does not, let the script end with
LD_persist_records and read the hits from the store.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from data_job import compare, publish, script, seed
from prefect import flow
from prefect.deployments import run_deployment
from prefect.runtime import flow_run

from loadflow import same_verdict


@flow(name="data-job-by-deployment", persist_result=False)
def by_deployment(base: str, access_log: Path, folder: Path = Path("data-job"), seconds: float = 10) -> Any:
    """Waits for the deployment's run, which is shown as a subflow of this one; its state is this flow's."""
    runs_dir = folder.resolve() / str(flow_run.id)  # of this run alone: what is in it is what we asked for
    runs_dir.mkdir(parents=True)
    users_csv = seed(base, runs_dir.parent, 20)
    parameters = {"script": script(base, users_csv, seconds), "label": "by-deployment", "runs_dir": str(runs_dir), "wait_for_target": 600}
    run: Any = run_deployment("loadflow/ad-hoc", parameters=parameters, poll_interval=1)
    for run_json in runs_dir.glob("*/run.json"):  # none, when the run was refused before its load; its state says why
        publish(compare(run_json.parent, access_log))
    return same_verdict(run.state)


if __name__ == "__main__":
    by_deployment(sys.argv[1], Path(sys.argv[2]), seconds=float(sys.argv[3]))
