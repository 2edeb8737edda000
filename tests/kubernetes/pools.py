"""Agents in a Kubernetes work pool: Prefect's own worker makes a job of each at a real API server. As tests.kubernetes.chart, by the
same command.

The load runs where these tests do; its own NATS server listens on an address of the node, encrypted, and a Secret block lets agents in.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from tests.ends.deploying import python
from tests.ends.processes import Stage, stage
from tests.kubernetes.cluster import NAMESPACE, Cluster
from tests.kubernetes.images import Images
from tests.kubernetes.pod import NODE_IP
from tests.prefect_database import OF_CONTAINERS
from tests.prefect_servers import PrefectServer
from tests.services import free_port
from tests.targets.fixture import Target

POOLS = Path(__file__).resolve().parents[2] / "deployments" / "work-pools"
SECRET = "a token that only the block holds"
AGENTS = 2
STILL_S = 5.0
Json = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    server = PrefectServer(tmp_path_factory.mktemp("prefect-server"))
    yield server
    server.stop()


@pytest.fixture
def pool(
    server: PrefectServer, cluster: Cluster, images: Images, target: Target, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Stage]:
    """As docs/work-pools.md says to set one up, with a worker that may do what its role says and no more."""
    target.reset()
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    with stage(server, target, tmp_path, name) as made:
        cluster.kubectl("apply", "-n", NAMESPACE, "-f", str(POOLS / "kubernetes-worker.yaml"))
        bind = ["--role=prefect-worker", "--user=worker", "-n", NAMESPACE, "--dry-run=client", "-o", "yaml"]
        binding = tmp_path / "binding.yaml"
        binding.write_text(cluster.kubectl("create", "rolebinding", "worker", *bind))
        cluster.kubectl("apply", "-f", str(binding))
        python(made, "-c", f"from prefect.blocks.system import Secret; Secret(value={SECRET!r}).save({name!r})")
        template = str(POOLS / "kubernetes.json")
        python(made, "-m", "prefect", "work-pool", "create", "--type", "kubernetes", "--base-job-template", template, name)
        variables = {"image": images.loadflow, "namespace": NAMESPACE, "cpu": "1", "memory": "512Mi"}
        given = [part for key, value in variables.items() for part in ("--job-variable", f"{key}={value}")]
        python(made, "-m", "loadflow", "deploy", "--agent", "--pool", name, *given)
        made.settings = {
            "KUBECONFIG": str(cluster.kubeconfig("worker")),
            "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES": json.dumps([NAMESPACE]),
            "PREFECT_INTEGRATIONS_KUBERNETES_CLUSTER_UID": "the-tests",  # or the worker would have to read kube-system
            **OF_CONTAINERS,
        }
        made.start("worker", [sys.executable, "-m", "prefect", "worker", "start", "--pool", name, "--type", "kubernetes"])
        yield made
        cluster.kubectl("delete", "jobs", "--all", "-n", NAMESPACE, "--wait=false")
        cluster.wait_for("the end of all pods", lambda: not pods(cluster, made) and not cluster.containers())


def load(pool: Stage, seconds: int) -> list[Any]:
    workers = {"pool": pool.name, "count": AGENTS, "block": pool.name, "listen": f"{NODE_IP}:{free_port()}"}
    return pool.rate_script(50, seconds, workers=workers)


def pods(cluster: Cluster, pool: Stage) -> list[Json]:
    """Of the agents of this pool, those that are no more to end first."""
    label = f"prefect.io/work-pool-name={pool.name}"
    found = cluster.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=label)
    return sorted(found, key=lambda pod: "deletionTimestamp" in pod["metadata"], reverse=True)


def agent_states(pool: Stage) -> list[str]:
    found = pool.server.ask("POST", "/flow_runs/filter", {"deployments": {"name": {"any_": [pool.name]}}})
    return sorted(run["state"]["name"] for run in found)


def wait_for_load(cluster: Cluster, pool: Stage, hits: int) -> None:
    told = lambda: pool.log("flow")[-1500:] + pool.log("worker")[-1500:]  # noqa: E731
    cluster.wait_for(f"{hits} hits at the target", lambda: len(pool.arrivals_ns()) >= hits, quiet_s=300, saying=told)


def ended(cluster: Cluster, pool: Stage, process: subprocess.Popen[bytes]) -> Any:
    """The summary, when the flow run and all pods have ended."""
    cluster.wait_for("the end of the load", lambda: process.poll() is not None, quiet_s=300, saying=lambda: pool.log("flow")[-1500:])
    over = ("Succeeded", "Failed")
    cluster.wait_for("the end of all pods", lambda: all(one["status"].get("phase") in over for one in pods(cluster, pool)))
    return pool.run().summary()


def books(summary: Any, pool: Stage, *, due: int) -> Any:
    passes = summary.passes
    assert passes.due == due == passes.started + passes.dropped + passes.lost, passes
    assert 0 <= len(pool.arrivals_ns()) - summary.overall.count <= passes.lost
    return passes


def test_agents_are_pods(pool: Stage, cluster: Cluster) -> None:
    process = pool.start_flow(load(pool, 10))
    wait_for_load(cluster, pool, 100)
    jobs = cluster.api.items(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", labelSelector=f"prefect.io/work-pool-name={pool.name}")
    assert len(jobs) == AGENTS
    for pod in pods(cluster, pool):
        (volume,) = pod["spec"]["volumes"]
        assert volume == {"name": "runs", "emptyDir": {}}, "a claim may be for one machine"
    summary = ended(cluster, pool, process)
    assert process.returncode == 0, pool.log("flow")
    assert summary.verdict.kind is VerdictKind.PASSED
    assert len(pool.arrivals_ns()) == summary.overall.count == 500
    assert [(one.state, one.hits) for one in summary.workers] == [("finished", 250)] * AGENTS
    assert agent_states(pool) == ["Completed"] * AGENTS
    ids = {job["metadata"]["labels"]["prefect.io/flow-run-id"] for job in jobs}
    assert {one.flow_run for one in summary.workers} == ids
    hosts = {pod["metadata"]["name"] for pod in pods(cluster, pool)}
    assert len(hosts) == AGENTS
    assert SECRET not in json.dumps([jobs, pods(cluster, pool)])


def test_a_pod_that_is_killed_is_taken_over(pool: Stage, cluster: Cluster) -> None:
    process = pool.start_flow(load(pool, 60))
    wait_for_load(cluster, pool, 300)
    victim = pods(cluster, pool)[0]["metadata"]["name"]
    subprocess.run(["podman", "kill", "--signal", "KILL", f"{victim}-prefect-job"], capture_output=True, check=True)
    summary = ended(cluster, pool, process)
    assert books(summary, pool, due=3000).lost > 0
    assert summary.verdict.kind is VerdictKind.INCONCLUSIVE
    assert sorted((str(one.state), one.from_s > 0) for one in summary.workers) == [
        ("finished", False),
        ("finished", True),
        ("lost", False),
    ]
    cluster.wait_for("the flow run of the pod to be Crashed", lambda: agent_states(pool) == ["Completed", "Crashed"])


def test_a_pod_that_is_deleted_delivers_and_another_goes_on(pool: Stage, cluster: Cluster) -> None:
    """As when its machine is taken away: TERM, and half a minute."""
    process = pool.start_flow(load(pool, 60))
    wait_for_load(cluster, pool, 300)
    victim = pods(cluster, pool)[0]["metadata"]["name"]
    cluster.kubectl("delete", "pod", victim, "-n", NAMESPACE, "--wait=false")
    summary = ended(cluster, pool, process)
    books(summary, pool, due=3000)
    assert summary.overall.count == len(pool.arrivals_ns())
    assert sorted((str(one.state), one.from_s > 0) for one in summary.workers) == [
        ("finished", False),
        ("finished", True),
        ("left", False),
    ]
    assert agent_states(pool) == ["Cancelled", "Completed"]


def test_a_cancelled_load_ends_all_pods(pool: Stage, cluster: Cluster) -> None:
    process = pool.start_flow(load(pool, 600))
    wait_for_load(cluster, pool, 100)
    parent = pool.server.flow_run(name=pool.name)
    assert parent is not None
    ended_ns = time.monotonic_ns()
    pool.server.set_state(parent["id"], "CANCELLING")
    summary = ended(cluster, pool, process)
    assert max(pool.arrivals_ns()) < ended_ns + STILL_S * 1e9
    assert summary.verdict.kind is VerdictKind.INTERRUPTED
    assert summary.overall.count == len(pool.arrivals_ns())
