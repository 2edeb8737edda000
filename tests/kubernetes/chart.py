"""The chart at a real API server, with real containers: `make test-kubernetes` runs this, in this order, on one cluster.

Not collected with the other tests (its name says so): it takes minutes, and tools that not every machine has.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.helm import HelmError, render
from tests.kubernetes.cluster import NAMESPACE, Cluster
from tests.kubernetes.images import CHART, Images
from tests.kubernetes.releases import Releases
from tests.targets.fixture import Target
from tests.test_chart import REFUSED, SETTINGS

RELEASE = "demo"
AGENTS = 3
Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def releases(cluster: Cluster) -> Releases:
    return Releases(cluster.kubeconfig("installer"), NAMESPACE)


@pytest.fixture(scope="session")
def values(images: Images) -> Json:
    """Of the release: all that the chart has, with claims, and whom agents may load."""
    found = copy.deepcopy(images.values())
    found["agent"] |= {"replicas": AGENTS, "slots": 1, "allowedHosts": ["127.0.0.1", f"{RELEASE}-test-target"]}
    found["coordinator"] |= {"enabled": True, "serveAgents": AGENTS, "persistence": {"enabled": True, "size": "1Gi"}}
    found["nats"] |= {"persistence": {"enabled": True, "size": "1Gi"}, "jetstream": {"file": "1Gi"}}
    return found


@pytest.fixture(scope="session")
def release(cluster: Cluster, releases: Releases, values: Json) -> str:
    """Installed once, for the tests that follow."""
    try:
        releases.install(RELEASE, values)
    except HelmError as why:
        events = cluster.kubectl("get", "pods,events", "-n", NAMESPACE, check=False)
        raise AssertionError(f"helm install --wait: {why}\n{events}\n{cluster.told()}") from why
    return RELEASE


class Load:
    """A script that runs at the coordinator, as a client over HTTP sees it."""

    def __init__(self, cluster: Cluster, target: Target, **load: Any) -> None:
        self._cluster = cluster
        self.before = target.counts().get("/ok", 0)
        self._target = target
        task = {"method": "get", "request_url": f"{target.url}/ok"}
        script = [["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [task], **load}]]
        self.lines: list[Json] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self._thread.start()

    def _run(self, script: list[Any]) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = False
                headers = {"Authorization": f"Bearer {secret(self._cluster, f'{RELEASE}-coordinator', 'token')}"}
                url = f"{coordinator(self._cluster)}/run"
                with session.post(url, headers=headers, data=json.dumps(script), stream=True, timeout=300) as answer:
                    assert answer.status_code == 200, answer.text
                    self.lines.extend(json.loads(line) for line in answer.iter_lines() if line)
        except BaseException as why:  # noqa: BLE001  # told by who waits for it
            self._error = why

    @property
    def arrived(self) -> int:
        return self._target.counts().get("/ok", 0) - self.before

    def wait_for_requests(self, count: int) -> None:
        def there() -> bool:
            assert self._thread.is_alive(), f"the load has ended: {self._error or self.lines[-1:]}"
            return self.arrived >= count

        self._cluster.wait_for(f"{count} requests", there)

    def end(self) -> Json:
        """The summary of its load, from the coordinator's claim, when its last line is there."""
        self._cluster.wait_for("the end of the load", lambda: not self._thread.is_alive(), quiet_s=600)
        if self._error is not None:
            raise self._error
        last = self.lines[-1]
        assert last["phase"] == "done", last
        (load,) = last["loads"]
        folder = load["folder"] if isinstance(load, dict) else load
        claim = self._cluster.folder / "claims" / f"{NAMESPACE}-runs-{RELEASE}-coordinator-0"
        summary: Json = json.loads((claim / Path(folder).relative_to("/runs") / "summary.json").read_text(encoding="utf-8"))
        return summary


def secret(cluster: Cluster, name: str, key: str) -> str:
    """As the notes of `helm install` say to read one."""
    return base64.b64decode(cluster.kubectl("-n", NAMESPACE, "get", "secret", name, "-o", f"jsonpath={{.data.{key}}}")).decode()


def address(cluster: Cluster, service: str) -> str:
    found = cluster.api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/services/{service}")["spec"]
    return f"{found['clusterIP']}:{found['ports'][0]['port']}"


def coordinator(cluster: Cluster) -> str:
    return f"http://{address(cluster, f'{RELEASE}-coordinator')}"


def pods(cluster: Cluster, component: str = "") -> list[Json]:
    labels = f"app.kubernetes.io/instance={RELEASE}" + (f",app.kubernetes.io/component={component}" if component else "")
    return cluster.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=labels)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def ready_agents(cluster: Cluster) -> int:
    return sum(map(is_ready, pods(cluster, "agent")))


def registered(cluster: Cluster) -> list[Json]:
    """Who answers at NATS."""
    password = secret(cluster, f"{RELEASE}-nats", "coordinator-password")
    environment = {**os.environ, "LOADFLOW_NATS_URL": f"nats://coordinator:{password}@{address(cluster, f'{RELEASE}-nats')}"}
    command = [sys.executable, "-m", "loadflow", "agents", "--json", "--at-least=0", "--wait=3"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Json] = json.loads(done.stdout)
    return found


def with_agents(values: Json, count: int) -> Json:
    """The same release with another number of agents; the coordinator still divides each load by AGENTS."""
    return {**values, "agent": {**values["agent"], "replicas": count}}


def kill_container(cluster: Cluster, pod: Json, container: str) -> None:
    """As the kernel does when memory is short."""
    subprocess.run(["podman", "kill", "--signal", "KILL", f"{pod['metadata']['name']}-{container}"], capture_output=True, check=True)


def books(summary: Json, load: Load, *, due: int) -> Json:
    """No pass is nowhere: all that were due were started, dropped or lost, and what was started arrived."""
    passes: Json = summary["passes"]
    assert passes["due"] == due == passes["started"] + passes["dropped"] + passes["lost"], passes
    return passes


@pytest.mark.parametrize(("what", "settings"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_the_api_server_takes_every_document_of_every_setting_without_a_warning(what: str, settings: Json, cluster: Cluster) -> None:
    """In a namespace that allows what the standard "restricted" allows, and of a release's pods, too, which only their owners make."""
    documents = render(CHART, settings, "dry")
    account = [one for one in documents if one["kind"] == "ServiceAccount"]
    rest = [one for one in documents if one["kind"] != "ServiceAccount"]
    apply = [str(cluster.tools.kubectl), f"--kubeconfig={cluster.kubeconfig('admin')}", "-n", NAMESPACE]
    subprocess.run([*apply, "apply", "-f", "-"], input=yaml.safe_dump_all(account), text=True, check=True, capture_output=True)
    create = [*apply, "create", "--dry-run=server", "--validate=strict", "-f", "-"]
    done = subprocess.run(create, input=yaml.safe_dump_all(rest), text=True, capture_output=True, check=False)
    subprocess.run([*apply, "delete", "serviceaccount", "dry"], check=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(rest)


@pytest.mark.parametrize(("what", "wrong", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_wrong_values_are_refused_by_name_and_nothing_is_installed(
    what: str, wrong: Json, says: str, cluster: Cluster, releases: Releases
) -> None:
    with pytest.raises(HelmError, match=says.replace(".", r"\.")):
        releases.install("wrong", wrong, wait=False)
    assert releases.names() == []
    assert pods(cluster) == []


def test_an_administrator_of_the_namespace_installs_it_and_all_of_it_becomes_ready(release: str, cluster: Cluster) -> None:
    found = pods(cluster)
    assert all(map(is_ready, found)), [one["metadata"]["name"] for one in found if not is_ready(one)]
    components = sorted(one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found)
    assert components[: AGENTS + 2] == [*(["agent"] * AGENTS), "coordinator", "grafana" if "grafana" in components else "nats"]
    assert {"nats", "prometheus"} <= set(components)
    assert all(one["restartCount"] == 0 for pod in found for one in pod["status"]["containerStatuses"])


def test_who_is_ready_is_registered_at_nats(release: str, cluster: Cluster) -> None:
    found = registered(cluster)
    assert len(found) == AGENTS == ready_agents(cluster)
    hosts = {"127.0.0.1", f"{RELEASE}-test-target"}
    assert all(set(one["allowed_hosts"]) == hosts for one in found), found


def test_no_process_of_the_release_is_root_or_may_become_it(release: str, cluster: Cluster) -> None:
    containers = cluster.containers()
    assert len(containers) == len(pods(cluster))
    for name in containers:
        shown = json.loads(subprocess.run(["podman", "inspect", name], capture_output=True, text=True, check=True).stdout)[0]
        lines = Path(f"/proc/{shown['State']['Pid']}/status").read_text(encoding="ascii").splitlines()
        state = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
        assert "0" not in state["Uid"] + state["Gid"] + state["Groups"], (name, state["Uid"], state["Gid"], state["Groups"])
        assert int(state["CapEff"][0], 16) == int(state["CapBnd"][0], 16) == 0, name
        assert (state["NoNewPrivs"], state["Seccomp"]) == (["1"], ["2"]), name
        assert shown["HostConfig"]["ReadonlyRootfs"] is True, name


def test_helm_test_makes_a_load_and_asks_each_server(release: str, releases: Releases) -> None:
    said = releases.test(RELEASE)
    assert "requests arrived" in said, said
    arrived, reported = next(line for line in said.splitlines() if "requests arrived" in line).split()[0:4:3]
    assert arrived == reported == "250"


def test_a_load_over_http_arrives_as_often_as_it_says(release: str, cluster: Cluster, target: Target) -> None:
    load = Load(cluster, target, rate={"mode": "constant", "rps": 60, "duration": 10})
    summary = load.end()
    assert books(summary, load, due=600)["started"] == 600
    assert load.lines[-1]["requests_total"] == summary["totals"]["requests"] == load.arrived == 600
    assert len(summary["workers"]) == AGENTS
    assert all(worker["hits"] == 200 for worker in summary["workers"])


def test_prometheus_scrapes_the_coordinator_with_its_token(release: str, cluster: Cluster) -> None:
    url = f"http://{address(cluster, f'{RELEASE}-prometheus')}/api/v1/query"

    def values_of(query: str) -> list[str]:
        with requests.Session() as session:
            session.trust_env = False
            return [one["value"][1] for one in session.get(url, params={"query": query}, timeout=30).json()["data"]["result"]]

    cluster.wait_for("a scrape of the coordinator", lambda: values_of('up{job="loadflow"}') == ["1"])
    counts = "sum(max_over_time(loaddensity_requests_total[1h]))"
    cluster.wait_for("the counts of the load before", lambda: values_of(counts) == ["600"], saying=lambda: values_of(counts))


def test_a_host_that_the_agents_may_not_load_is_not_asked(release: str, cluster: Cluster, target: Target) -> None:
    """The coordinator's page of health would answer, but is not among the hosts of the chart's value."""
    task = {"method": "get", "request_url": f"http://{RELEASE}-coordinator:8080/healthz"}
    load = Load(cluster, target, tasks=[task], user_count=3, iterations=2)
    summary = load.end()
    assert (summary["totals"]["requests"], summary["totals"]["failures"]) == (6, 6)
    assert load.lines[-1]["verdict"]["verdict"] == "failed"


def test_an_agent_that_is_killed_in_a_load_is_started_again_and_its_share_is_taken_over(
    release: str, cluster: Cluster, target: Target
) -> None:
    load = Load(cluster, target, rate={"mode": "constant", "rps": 60, "duration": 40})
    load.wait_for_requests(300)
    victim = pods(cluster, "agent")[0]
    kill_container(cluster, victim, "agent")
    summary = load.end()
    passes = books(summary, load, due=2400)
    rows = summary["totals"]["requests"]
    assert rows <= load.arrived <= rows + 40  # what a killed engine had not written yet, and one request in flight
    assert 0 < passes["lost"] <= 800
    assert "lost" in {worker["state"] for worker in summary["workers"]}
    assert summary["verdict"]["verdict"] == "inconclusive"
    cluster.wait_for("the agent's next start", lambda: ready_agents(cluster) == AGENTS)
    again = next(one for one in pods(cluster, "agent") if one["metadata"]["uid"] == victim["metadata"]["uid"])
    (container,) = again["status"]["containerStatuses"]
    assert (container["restartCount"], container["lastState"]["terminated"]["exitCode"]) == (1, 137)


def test_agents_that_are_scaled_away_in_a_load_deliver_and_nothing_is_missing(
    release: str, cluster: Cluster, releases: Releases, values: Json, target: Target
) -> None:
    load = Load(cluster, target, rate={"mode": "constant", "rps": 60, "duration": 40})
    load.wait_for_requests(300)
    releases.upgrade(RELEASE, with_agents(values, 1))
    summary = load.end()
    books(summary, load, due=2400)
    assert summary["totals"]["requests"] == load.arrived
    assert [worker["state"] for worker in summary["workers"]].count("left") == 2
    cluster.wait_for("the end of two agents", lambda: len(pods(cluster, "agent")) == 1)
    assert "ended with 0 when it was asked to" in cluster.log("node"), "an agent did not end by itself within its grace"
    releases.upgrade(RELEASE, values)
    assert len(registered(cluster)) == ready_agents(cluster) == AGENTS


def test_nats_that_is_killed_in_a_load_is_started_again_and_no_request_is_missing(release: str, cluster: Cluster, target: Target) -> None:
    load = Load(cluster, target, rate={"mode": "constant", "rps": 60, "duration": 30})
    load.wait_for_requests(300)
    kill_container(cluster, pods(cluster, "nats")[0], "nats")
    summary = load.end()
    books(summary, load, due=1800)
    assert summary["totals"]["requests"] == load.arrived
    cluster.wait_for("NATS and all agents", lambda: all(map(is_ready, pods(cluster))) and ready_agents(cluster) == AGENTS)


def test_without_nats_no_agent_is_ready_and_helm_test_fails(release: str, cluster: Cluster, releases: Releases) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", f"statefulset/{RELEASE}-nats", "--replicas=0", role="installer")
    cluster.wait_for("agents that are not ready", lambda: ready_agents(cluster) == 0)
    with pytest.raises(HelmError):
        releases.test(RELEASE)
    cluster.kubectl("-n", NAMESPACE, "scale", f"statefulset/{RELEASE}-nats", "--replicas=1", role="installer")
    cluster.wait_for("all agents", lambda: ready_agents(cluster) == AGENTS)


def test_an_upgrade_keeps_passwords_and_what_did_not_change_goes_on(
    release: str, cluster: Cluster, releases: Releases, values: Json
) -> None:
    names = [(f"{RELEASE}-nats", "agent-password"), (f"{RELEASE}-nats", "coordinator-password"), (f"{RELEASE}-coordinator", "token")]
    before = [secret(cluster, *one) for one in names]
    running = {one["metadata"]["uid"] for one in pods(cluster)}
    releases.upgrade(RELEASE, with_agents(values, AGENTS + 1))
    assert [secret(cluster, *one) for one in names] == before
    assert ready_agents(cluster) == AGENTS + 1
    assert running < {one["metadata"]["uid"] for one in pods(cluster)}
    assert len(registered(cluster)) == AGENTS + 1
    releases.test(RELEASE)


def test_a_coordinator_that_is_deleted_in_a_load_ends_it(release: str, cluster: Cluster, target: Target) -> None:
    load = Load(cluster, target, rate={"mode": "constant", "rps": 60, "duration": 600})
    load.wait_for_requests(120)
    (old,) = pods(cluster, "coordinator")
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", old["metadata"]["name"], "--wait=false", role="installer")
    summary = load.end()
    assert summary["totals"]["requests"] == load.arrived
    cluster.wait_for(
        "the next coordinator",
        lambda: any(is_ready(one) and one["metadata"]["uid"] != old["metadata"]["uid"] for one in pods(cluster, "coordinator")),
    )
    seen = load.arrived
    time.sleep(1)  # whether something is still sent shows only in time
    assert load.arrived == seen


def test_a_job_of_the_kubernetes_work_pool_runs_and_writes_to_its_claim(release: str, cluster: Cluster, images: Images) -> None:
    """The manifest of the template with its defaults, as Prefect's worker fills it in: what has no value is left out."""
    template = json.loads((ROOT / "deployments" / "work-pools" / "kubernetes.json").read_text(encoding="utf-8"))
    said = {name: one.get("default") for name, one in template["variables"]["properties"].items()}
    volume = said["runs_volume"]["persistentVolumeClaim"]["claimName"]
    said |= {"namespace": NAMESPACE, "name": "flow-run", "image": images.loadflow}
    said["command"] = ["python", "-c", "open('/runs/written', 'w').write('by the job')"]
    said["env"] = [{"name": name, "value": value} for name, value in said["env"].items()]
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": volume},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    job = filled(template["job_configuration"]["job_manifest"], said)
    for key in ("completions", "parallelism"):  # the worker demands them there, where Kubernetes knows no such field and leaves it out
        assert job["spec"]["template"]["spec"].pop(key) == job["spec"][key] == 1
    create = [str(cluster.tools.kubectl), f"--kubeconfig={cluster.kubeconfig('installer')}", "create", "--validate=strict", "-f", "-"]
    done = subprocess.run(create, input=yaml.safe_dump_all([claim, job]), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"

    def has_ended(one: Json) -> bool:  # `SuccessCriteriaMet` and `FailureTarget` are said before
        return any(met["type"] in ("Complete", "Failed") and met["status"] == "True" for met in one["status"].get("conditions", ()))

    ended = cluster.wait_for("the end of the job", lambda: [one for one in cluster.api.items(path) if has_ended(one)])
    assert ended[0]["status"].get("succeeded") == 1, ended[0]["status"]
    written = cluster.folder / "claims" / f"{NAMESPACE}-{volume}" / "written"
    assert written.read_text(encoding="utf-8") == "by the job"
    cluster.kubectl("-n", NAMESPACE, "delete", f"job/{ended[0]['metadata']['name']}", f"pvc/{volume}", role="installer")


def filled(template: Any, said: Json) -> Any:
    """`{{ name }}` by its value, in whole texts and in parts of them; without what has none."""
    if isinstance(template, dict):
        return {key: made for key, value in template.items() if (made := filled(value, said)) is not None}
    if isinstance(template, list):
        return [made for value in template if (made := filled(value, said)) is not None]
    if isinstance(template, str) and "{{" in template:
        names = re.findall(r"\{\{ (\w+) \}\}", template)
        if template == f"{{{{ {names[0]} }}}}":
            return said[names[0]]
        return re.sub(r"\{\{ (\w+) \}\}", lambda found: str(said[found[1]]), template)
    return template


def test_uninstall_leaves_nothing_but_the_claims(release: str, cluster: Cluster, releases: Releases) -> None:
    releases.uninstall(RELEASE)
    cluster.wait_for("the end of all pods", lambda: not pods(cluster) and not cluster.containers())
    kinds = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()

    def left() -> list[str]:
        found = cluster.kubectl("-n", NAMESPACE, "get", ",".join(kinds), "-o", "name", "--ignore-not-found").split()
        return sorted(one for one in found if RELEASE in one and not one.startswith("event"))

    claims = [f"persistentvolumeclaim/data-{RELEASE}-nats-0", f"persistentvolumeclaim/runs-{RELEASE}-coordinator-0"]
    cluster.wait_for("what belongs to it", lambda: left() == claims, saying=left)
    cluster.kubectl("-n", NAMESPACE, "delete", "pvc", "-l", f"app.kubernetes.io/instance={RELEASE}", role="installer")
    assert left() == []
    assert releases.names() == []
