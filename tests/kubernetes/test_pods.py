"""What the node of the chart's test makes of a pod, and what it tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.pods import NotYet, Seen, Unsupported, check, document, environment, expand, named_port, normal_name, phase, status

Json = dict[str, Any]
RUNS = Seen(id="abc", image_id="sha256:1", state="running", started_at="2030-01-01T00:00:00Z")
GOOD, BAD = Seen(state="ended", exit_code=0), Seen(state="ended", exit_code=3)


def pod(container: Json | None = None, **spec: Any) -> Json:
    one = {"name": "agent", "image": "loadflow:1", **(container or {})}
    return {"metadata": {"name": "demo", "namespace": "load", "uid": "1"}, "spec": {"containers": [one], **spec}}


EXPANDED: list[tuple[str, str]] = [
    ("plain", "plain"),
    ("$(USER)@$(HOST)", "ann@nats"),
    ("$(NOBODY) stays", "$(NOBODY) stays"),
    ("$$(USER) is escaped", "$(USER) is escaped"),
    ("a $ alone, and $USER, too", "a $ alone, and $USER, too"),
]


@pytest.mark.parametrize(("text", "expanded"), EXPANDED)
def test_variables_are_expanded_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand(text, {"USER": "ann", "HOST": "nats"}) == expanded


NAMES = [
    ("nats", "docker.io/library/nats:latest"),
    ("grafana/grafana:12", "docker.io/grafana/grafana:12"),
    ("registry.example:5000/team/loadflow", "registry.example:5000/team/loadflow:latest"),
    ("localhost/loadflow:0.1.0", "localhost/loadflow:0.1.0"),
    ("nats@sha256:12", "docker.io/library/nats@sha256:12"),
]


@pytest.mark.parametrize(("image", "normal"), NAMES)
def test_an_image_is_named_as_the_kubelet_understands_it(image: str, normal: str) -> None:
    assert normal_name(image) == normal


REFUSED: list[tuple[str, Json]] = [
    ("spec.initContainers", pod(initContainers=[{"name": "first"}])),
    ("spec.nodeSelector", pod(nodeSelector={"role": "load"})),
    ("spec.containers[0].lifecycle", pod({"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}})),
    ("spec.containers[0].envFrom", pod({"envFrom": [{"secretRef": {"name": "x"}}]})),
    ("spec.containers[0].readinessProbe.grpc", pod({"readinessProbe": {"grpc": {"port": 1}}})),
    ("spec.volumes[0].hostPath", pod(volumes=[{"name": "x", "hostPath": {"path": "/"}}])),
    ("subPath", pod({"volumeMounts": [{"name": "x", "mountPath": "/x", "subPath": "y"}]})),
    ("fsGroup", pod(securityContext={"runAsGroup": 1, "fsGroup": 2})),
]


@pytest.mark.parametrize(("names", "wrong"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_field_that_the_node_does_not_honour_is_refused_by_name(names: str, wrong: Json) -> None:
    with pytest.raises(Unsupported) as said:
        check(wrong)
    assert names in str(said.value)


def read(kind: str, name: str, key: str) -> str | None:
    return {("Secret", "nats", "password"): "p4ss"}.get((kind, name, key))


def reference(key: str, **more: Any) -> Json:
    return {"secretKeyRef": {"name": "nats", "key": key, **more}}


def test_variables_come_from_values_secrets_and_the_pod_in_their_order() -> None:
    env = [
        {"name": "EARLY", "value": "$(PASSWORD)"},
        {"name": "PASSWORD", "valueFrom": reference("password")},
        {"name": "URL", "value": "nats://agent:$(PASSWORD)@$(NODE)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "OPTIONAL", "valueFrom": reference("none", optional=True)},
    ]
    found = environment({"env": env}, read, pod(), {"NODE": "n"})
    expected = {"EARLY": "$(PASSWORD)", "PASSWORD": "p4ss", "URL": "nats://agent:p4ss@n", "NAME": "demo"}
    assert found == {"NODE": "n", **expected}


def test_a_missing_key_of_a_secret_is_waited_for_as_the_kubelet_does() -> None:
    with pytest.raises(NotYet) as said:
        environment({"env": [{"name": "X", "valueFrom": reference("none")}]}, read, pod(), {})
    assert said.value.reason == "CreateContainerConfigError"
    assert "nats has no key none" in said.value.message


def test_podman_gets_the_pod_with_its_values_and_folders_and_nothing_to_decide() -> None:
    made = pod(
        {
            "args": ["--url=$(URL)"],
            "readinessProbe": {"tcpSocket": {"port": 1}},
            "ports": [{"containerPort": 1}],
            "securityContext": {"readOnlyRootFilesystem": True},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        },
        securityContext={"runAsUser": 10001, "runAsNonRoot": True, "fsGroup": 10001},
        restartPolicy="Always",
    )
    spec = document(made, {"agent": {"URL": "u"}}, {"tmp": Path("/node/tmp")}, Path("/node/hosts"))["spec"]
    assert (spec["hostNetwork"], spec["restartPolicy"]) == (True, "Never")
    (container,) = spec["containers"]
    assert not {"readinessProbe", "ports"} & set(container)
    assert container["args"] == ["--url=u"]
    assert container["securityContext"] == {"runAsUser": 10001, "readOnlyRootFilesystem": True}
    assert {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]} == {
        "tmp": "/node/tmp",
        "hosts-of-the-node": "/node/hosts",
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp", "/etc/hosts"]


PHASES: list[tuple[list[Seen], str, str]] = [
    ([Seen()], "Always", "Pending"),
    ([RUNS, Seen()], "Always", "Running"),
    ([BAD], "Always", "Running"),
    ([GOOD], "Always", "Running"),
    ([BAD], "OnFailure", "Running"),
    ([GOOD], "OnFailure", "Succeeded"),
    ([GOOD, BAD], "Never", "Failed"),
    ([GOOD, RUNS], "Never", "Running"),
    ([GOOD, GOOD], "Never", "Succeeded"),
]


@pytest.mark.parametrize(("seen", "policy", "expected"), PHASES)
def test_the_phase_follows_from_what_runs_and_what_will_be_started_again(seen: list[Seen], policy: str, expected: str) -> None:
    assert phase(seen, policy) == expected


def told(made: Json, ready: bool, now: str, seen: Seen = RUNS) -> Json:
    last = {"agent": BAD}
    return status(
        made, {"agent": seen}, {"agent": ready}, {"agent": True}, {"agent": 1}, last, node_ip="10.0.0.1", pod_ip="10.0.0.2", now=now
    )


def test_a_pod_is_ready_when_its_probes_are_and_a_condition_keeps_the_time_of_its_change() -> None:
    first = told(pod(), False, "t1")
    second = told({**pod(), "status": first}, True, "t2")
    third = told({**pod(), "status": second}, True, "t3")
    times = [
        {one["type"]: (one["status"], one["lastTransitionTime"]) for one in made["conditions"]}["Ready"] for made in (first, second, third)
    ]
    assert times == [("False", "t1"), ("True", "t2"), ("True", "t2")]
    assert third["startTime"] == "t1"
    (container,) = third["containerStatuses"]
    assert (container["restartCount"], container["lastState"]["terminated"]["exitCode"]) == (1, 3)


def test_a_container_that_is_not_there_says_why_it_waits() -> None:
    made = told(pod(), False, "t1", Seen(reason="ErrImagePull", message="no such image"))
    assert made["phase"] == "Pending"
    assert made["containerStatuses"][0]["state"] == {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}


def test_a_named_port_is_that_of_the_container() -> None:
    containers = [{"ports": [{"name": "http", "containerPort": 8080}]}]
    assert (named_port(containers, "http"), named_port(containers, 9090)) == (8080, 9090)
    with pytest.raises(Unsupported, match="grpc"):
        named_port(containers, "grpc")
