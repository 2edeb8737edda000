"""The Helm chart: it lints, renders what Kubernetes takes, and says what it means to say. No cluster is asked."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from loadflow.cli import COMMANDS
from tests.helm import HelmError, lint, render
from tests.services import need

pytestmark = pytest.mark.xdist_group("chart")  # what was rendered is kept in the process

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deployments" / "helm" / "loadflow"
VERSIONS = ("1.25", "1.34")  # the oldest that the chart takes, and that of `make test-kubernetes`

EVERYTHING: dict[str, Any] = {
    "imagePullSecrets": [{"name": "registry"}],
    "agent": {"slots": 2, "allowedHosts": ["shop.test", "10.0.0.1"], "maxRatePerS": 500, "nodeSelector": {"role": "load"}},
    "coordinator": {"enabled": True, "serveAgents": 2, "persistence": {"enabled": True}, "allowedHosts": ["shop.test"]},
    "nats": {
        "service": {"type": "LoadBalancer"},
        "tls": {"enabled": True, "existingSecret": "nats-tls"},
        "persistence": {"enabled": True, "storageClass": "fast"},
    },
    "monitoring": {
        "prometheus": {"persistence": {"enabled": True, "size": "20Gi"}},
        "grafana": {"persistence": {"enabled": True}, "adminPassword": "s3cret", "anonymousViewer": True},
    },
    "networkPolicy": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("as it is", {}),
    ("with everything", EVERYTHING),
    ("agents and NATS alone", {"monitoring": {"enabled": False}, "networkPolicy": {"enabled": False}, "tests": {"load": False}}),
    ("with secrets of others", {"nats": {"auth": {"existingSecret": "mine"}}, "coordinator": {"enabled": True, "existingSecret": "mine"}}),
    ("with what LoadPilot's document sets", {
        "agent": {"image": "loadpilot-agent", "tag": "local", "imagePullPolicy": "Never"},
        "coordinator": {"enabled": True, "image": "loadpilot-coordinator", "tag": "local", "imagePullPolicy": "Never", "serveAgents": 3},
        "monitoring": {"coordinator": {"scrapeTarget": ""}},
    }),
]  # fmt: skip
BY_SETTINGS = pytest.mark.parametrize(("what", "values"), SETTINGS, ids=[row[0] for row in SETTINGS])


@cache
def _rendered(values: str, release: str) -> tuple[dict[str, Any], ...]:
    return tuple(render(CHART, json.loads(values), release))


def rendered(values: dict[str, Any], release: str = "demo") -> tuple[dict[str, Any], ...]:
    return _rendered(json.dumps(values), release)


def of_kind(documents: tuple[dict[str, Any], ...], kind: str, name: str = "") -> Any:
    found = [one for one in documents if one["kind"] == kind and (not name or one["metadata"]["name"] == name)]
    return found[0] if name else found


def pods(documents: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    workloads = [one["spec"]["template"]["spec"] for one in documents if one["kind"] in ("Deployment", "StatefulSet")]
    return workloads + [one["spec"] for one in documents if one["kind"] == "Pod"]


@BY_SETTINGS
def test_it_lints_without_a_warning(what: str, values: dict[str, Any]) -> None:
    assert [one for one in lint(CHART, values) if "icon is recommended" not in one] == []


@pytest.mark.parametrize("version", VERSIONS)
@BY_SETTINGS
def test_kubernetes_takes_every_document_and_knows_every_key(what: str, values: dict[str, Any], version: str) -> None:
    need(importlib.util.find_spec("kubernetes_validate"), "kubernetes-validate is not installed (pip install 'loadflow[test]')")
    import kubernetes_validate

    for document in rendered(values):
        kubernetes_validate.validate(document, version, strict=True)


@BY_SETTINGS
def test_no_pod_is_root_or_has_a_right_or_an_open_root_filesystem(what: str, values: dict[str, Any]) -> None:
    for pod in pods(rendered(values)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
            assert security["capabilities"] == {"drop": ["ALL"]}


@BY_SETTINGS
def test_what_a_pod_names_is_there(what: str, values: dict[str, Any]) -> None:
    documents = rendered(values)
    names = {kind: {one["metadata"]["name"] for one in of_kind(documents, kind)} for kind in ("ConfigMap", "Secret", "ServiceAccount")}
    given = {"mine", "nats-tls"}
    for pod in pods(documents):
        volumes = {one["name"]: one for one in pod.get("volumes", [])}
        claims = {"data", "runs"}
        assert pod["serviceAccountName"] in names["ServiceAccount"]
        for volume in volumes.values():
            assert volume.get("configMap", {}).get("name") in names["ConfigMap"] | {None}
            assert volume.get("secret", {}).get("secretName") in names["Secret"] | given | {None}
        for container in pod["containers"]:
            assert {one["name"] for one in container["volumeMounts"]} <= set(volumes) | claims
            for variable in container.get("env", []):
                assert variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name") in names["Secret"] | given | {None}


@BY_SETTINGS
def test_no_secret_is_on_a_command_line_or_in_a_config_map(what: str, values: dict[str, Any]) -> None:
    documents = rendered(values)
    secrets = [value for one in of_kind(documents, "Secret") for key, value in one["data"].items() if key != "admin-user"]
    rest = json.dumps([one for one in documents if one["kind"] != "Secret"])
    assert all(value not in rest for value in secrets)
    assert "s3cret" not in rest


@BY_SETTINGS
def test_what_runs_loadflow_runs_a_command_that_is_there(what: str, values: dict[str, Any]) -> None:
    commands = [args for pod in pods(rendered(values)) for one in pod["containers"] if (args := one.get("args", []))[:1] == ["loadflow"]]
    assert {args[1] for args in commands} <= set(COMMANDS)
    assert len(commands) >= 2


@BY_SETTINGS
def test_two_releases_in_one_namespace_do_not_select_each_others_pods(what: str, values: dict[str, Any]) -> None:
    one, other = rendered(values, "one"), rendered(values, "other")
    shared = {(a["kind"], a["metadata"]["name"]) for a in one} & {(a["kind"], a["metadata"]["name"]) for a in other}
    assert shared == set()
    labels = [a["spec"]["template"]["metadata"]["labels"] for a in other if a["kind"] in ("Deployment", "StatefulSet")]
    for service in of_kind(one, "Service"):
        assert not any(service["spec"]["selector"].items() <= found.items() for found in labels)


def test_each_service_and_policy_selects_the_pods_of_its_name() -> None:
    documents = rendered(EVERYTHING)
    labels = [a["spec"]["template"]["metadata"]["labels"] for a in documents if a["kind"] in ("Deployment", "StatefulSet")]
    labels += [a["metadata"]["labels"] for a in of_kind(documents, "Pod")]
    selectors = [a["spec"]["selector"] for a in of_kind(documents, "Service")]
    selectors += [a["spec"]["podSelector"]["matchLabels"] for a in of_kind(documents, "NetworkPolicy")]
    for selector in selectors:
        assert sum(selector.items() <= found.items() for found in labels) == 1, selector


def test_the_agents_wait_at_the_release_s_nats_and_are_ready_when_they_are_registered() -> None:
    documents = rendered({"agent": {"replicas": 7}})
    deployment = of_kind(documents, "Deployment", "demo-agent")
    assert deployment["spec"]["replicas"] == 7
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one for one in container["env"]}
    assert env["LOADFLOW_NATS_URL"]["value"] == "nats://agent:$(NATS_PASSWORD)@demo-nats:4222"
    assert env["NATS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "demo-nats", "key": "agent-password"}
    assert container["readinessProbe"]["exec"]["command"] == ["test", "-e", "/tmp/probes/ready"]
    assert list(env).index("NATS_PASSWORD") < list(env).index("LOADFLOW_NATS_URL")  # else it would not be filled in


def test_the_probes_of_agents_can_be_turned_off_and_tuned() -> None:
    values = {"agent": {"livenessProbe": {"enabled": False}, "readinessProbe": {"periodSeconds": 2}}}
    (container,) = of_kind(rendered(values), "Deployment", "demo-agent")["spec"]["template"]["spec"]["containers"]
    assert "livenessProbe" not in container
    assert container["readinessProbe"]["periodSeconds"] == 2
    assert "enabled" not in container["readinessProbe"]


def test_the_coordinator_divides_a_load_among_all_agents_unless_told() -> None:
    for values, count in (({"coordinator": {"enabled": True}}, 3), ({"coordinator": {"enabled": True, "serveAgents": 2}}, 2)):
        (container,) = of_kind(rendered(values), "StatefulSet", "demo-coordinator")["spec"]["template"]["spec"]["containers"]
        assert f"--workers={count}" in container["args"]


def test_the_counts_of_the_coordinator_are_scraped_with_its_token() -> None:
    def scraped(values: dict[str, Any]) -> Any:
        return yaml.safe_load(of_kind(rendered(values), "ConfigMap", "demo-prometheus")["data"]["prometheus.yaml"])["scrape_configs"]

    (job,) = [one for one in scraped({"coordinator": {"enabled": True}}) if one["job_name"] == "loadflow"]
    assert job["static_configs"] == [{"targets": ["demo-coordinator:8080"]}]
    assert job["authorization"] == {"credentials_file": "/etc/loadflow-token/token"}
    outside = scraped({"monitoring": {"coordinator": {"scrapeTarget": "10.0.0.9:9646"}}})
    assert outside[-1]["static_configs"] == [{"targets": ["10.0.0.9:9646"]}]
    assert [one["job_name"] for one in scraped({})] == ["prometheus"]


def test_grafana_shows_the_dashboard_of_the_compose_file() -> None:
    shown = of_kind(rendered({}), "ConfigMap", "demo-grafana")["data"]["loadflow.json"]
    assert json.loads(shown) == json.loads((ROOT / "deployments" / "grafana" / "dashboards" / "loadflow.json").read_text(encoding="utf-8"))


def test_prometheus_is_there_alone_where_grafana_is_not_wanted() -> None:
    documents = rendered({"monitoring": {"grafana": {"enabled": False}}})
    names = {one["metadata"]["name"] for one in documents}
    assert "demo-prometheus" in names
    assert not {name for name in names if "grafana" in name}
    assert not any("grafana" in json.dumps(one) for one in documents if one["kind"] == "Pod")


def test_agents_are_reached_by_nobody_and_prometheus_by_the_release_alone() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(rendered(EVERYTHING), "NetworkPolicy")}
    assert set(policies) == {f"demo-{name}" for name in ("agent", "nats", "coordinator", "prometheus", "grafana")}
    assert policies["demo-agent"]["ingress"] == []
    assert len(policies["demo-prometheus"]["ingress"][0]["from"]) == 1
    assert {"ipBlock": {"cidr": "10.0.0.0/8"}} in policies["demo-nats"]["ingress"][0]["from"]


def test_helm_test_asks_for_agents_a_load_and_each_server() -> None:
    tests = {one["metadata"]["name"] for one in of_kind(rendered({"coordinator": {"enabled": True}}), "Pod")}
    assert tests == {f"demo-test-{name}" for name in ("nats", "agents", "load", "coordinator", "prometheus", "grafana")}
    assert all(one["metadata"]["annotations"]["helm.sh/hook"] == "test" for one in of_kind(rendered({}), "Pod"))


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("a key that is misspelt", {"agent": {"replica": 3}}, "replica"),
    ("agents as text", {"agent": {"replicas": "3"}}, "replicas"),
    ("a policy that is none", {"agent": {"imagePullPolicy": "Sometimes"}}, "imagePullPolicy"),
    ("an image with a space", {"agent": {"image": "ghcr.io/x y/agent"}}, "image"),
    ("a kind of service that is none", {"nats": {"service": {"type": "Public"}}}, "type"),
    ("an amount that is none", {"agent": {"resources": {"limits": {"memory": "lots"}}}}, "memory"),
    ("TLS without a certificate", {"nats": {"tls": {"enabled": True}}}, "nats.tls.existingSecret"),
]


@pytest.mark.parametrize(("what", "values", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_values_that_make_no_sense_are_refused_by_name(what: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(HelmError, match=re.escape(says)):
        render(CHART, values)


def test_the_schema_of_the_values_is_one_and_knows_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert list(Draft7Validator(schema).iter_errors(values)) == []
    assert set(schema["properties"]) - {"global"} == set(values)
