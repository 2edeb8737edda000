"""What a pod becomes: the document that `podman kube play` runs, and what the API server is told of it. Values in, values out.

A field that this node can't honour makes the pod fail and is named (`Unsupported`). What it knows and leaves out on purpose is in
`IGNORED`; docs/kubernetes.md says so, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = [
    "IGNORED",
    "NotYet",
    "Seen",
    "Unsupported",
    "condition",
    "document",
    "environment",
    "expand",
    "named_port",
    "normal_name",
    "status",
]

Json = dict[str, Any]

TAKEN = {
    "spec": {"containers", "restartPolicy", "securityContext", "terminationGracePeriodSeconds", "volumes"},
    "spec.securityContext": {"fsGroup", "runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile"},
    "container": {
        "args", "command", "env", "image", "imagePullPolicy", "livenessProbe", "name", "ports", "readinessProbe", "resources",
        "securityContext", "startupProbe", "volumeMounts", "workingDir",
    },
    "container.securityContext": {
        "allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser",
    },
    "volume": {"configMap", "emptyDir", "name", "persistentVolumeClaim", "secret"},
    "probe": {
        "exec", "failureThreshold", "httpGet", "initialDelaySeconds", "periodSeconds", "successThreshold", "tcpSocket", "timeoutSeconds",
    },
}  # fmt: skip
# There is one node, no DNS, no account's token in a pod, and nothing that would take a pod's place away
IGNORED = {
    "spec": {
        "automountServiceAccountToken", "dnsPolicy", "enableServiceLinks", "hostname", "imagePullSecrets", "nodeName", "preemptionPolicy",
        "priority", "schedulerName", "serviceAccount", "serviceAccountName", "subdomain", "tolerations",
    },
    "spec.securityContext": set[str](),
    "container": {"terminationMessagePath", "terminationMessagePolicy"},
    "container.securityContext": set[str](),
    "volume": set[str](),
    "probe": set[str](),
}  # fmt: skip
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


class Unsupported(Exception):
    """A field of a pod that this node does not honour."""


class NotYet(Exception):
    """Why a container can't be made now, as the kubelet names it: `NotYet(reason, message)`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as podman shows it; the times are ISO texts. `reason` is what the kubelet would call its end."""

    id: str = ""
    image_id: str = ""
    state: str = "waiting"  # waiting, running, ended
    exit_code: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    reason: str = ""
    message: str = ""


def check(pod: Json) -> None:
    """Raises Unsupported with the first field that this node neither honours nor leaves out on purpose."""
    spec = pod["spec"]
    _known(spec, "spec", "spec")
    security = spec.get("securityContext", {})
    _known(security, "spec.securityContext", "spec.securityContext")
    if security.get("fsGroup", security.get("runAsGroup")) != security.get("runAsGroup"):
        raise Unsupported("spec.securityContext.fsGroup other than runAsGroup: podman's documents have no further groups")
    if security.get("seccompProfile", {}).get("type", "RuntimeDefault") != "RuntimeDefault":
        raise Unsupported("spec.securityContext.seccompProfile other than RuntimeDefault")
    for index, volume in enumerate(spec.get("volumes", [])):
        _known(volume, "volume", f"spec.volumes[{index}]")
    for index, container in enumerate(spec["containers"]):
        place = f"spec.containers[{index}]"
        _known(container, "container", place)
        _known(container.get("securityContext", {}), "container.securityContext", f"{place}.securityContext")
        for kind in PROBES:
            _known(container.get(kind, {}), "probe", f"{place}.{kind}")
        for mount in container.get("volumeMounts", []):
            if unknown := set(mount) - {"name", "mountPath", "readOnly", "recursiveReadOnly"}:
                raise Unsupported(f"{place}.volumeMounts: {', '.join(sorted(unknown))}")


def _known(found: Mapping[str, object], kind: str, place: str) -> None:
    if unknown := sorted(name for name in set(found) - TAKEN[kind] - IGNORED[kind] if found[name] not in (None, {}, [])):
        raise Unsupported(f"{place}.{unknown[0]} is not honoured by this node")


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` by its value, if it has one; `$$` is a dollar (Kubernetes: "Define dependent environment variables").

    >>> expand("nats://agent:$(PASSWORD)@$(HOST) costs $$(PASSWORD)", {"PASSWORD": "x"})
    'nats://agent:x@$(HOST) costs $(PASSWORD)'
    """
    return re.sub(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)", lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]), text)


def environment(container: Json, read: Callable[[str, str, str], str | None], pod: Json, given: Mapping[str, str]) -> dict[str, str]:
    """What the container's variables are. `read(kind, name, key)` gives the value of a Secret or ConfigMap, None if there is none.

    `given` is what the node adds, and a later one may name. Raises NotYet if a value is missing, Unsupported for other sources.
    """
    known = dict(given)
    for one in container.get("env", []):
        source = one.get("valueFrom")
        if not source:
            known[one["name"]] = expand(one.get("value", ""), known)
            continue
        ((kind, reference),) = source.items()
        if kind == "fieldRef":
            known[one["name"]] = _field(pod, reference["fieldPath"])
        elif kind in ("secretKeyRef", "configMapKeyRef"):
            value = read("Secret" if kind == "secretKeyRef" else "ConfigMap", reference["name"], reference["key"])
            if value is not None:
                known[one["name"]] = value
            elif not reference.get("optional"):
                raise NotYet("CreateContainerConfigError", f"{kind} {reference['name']} has no key {reference['key']}, or is missing")
        else:
            raise Unsupported(f"env {one['name']}: {kind} is not honoured by this node")
    return known


def _field(pod: Json, path: str) -> str:
    found: Any = pod
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, str):
        raise Unsupported(f"fieldRef {path} is not honoured by this node")
    return found


def document(pod: Json, environments: Mapping[str, Mapping[str, str]], volumes: Mapping[str, Path], hosts: Path) -> Json:
    """What `podman kube play` runs: the pod on the network of the node, its volumes as folders, its variables as values.

    Restarts and probes are left out: the node makes them, because it has to tell of them.
    """
    spec = pod["spec"]
    containers = []
    for container in spec["containers"]:
        variables = environments[container["name"]]
        kept = {key: container[key] for key in ("name", "image", "resources", "workingDir") if key in container}
        kept["imagePullPolicy"] = "Never"  # pulled by then
        kept["securityContext"] = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
        for key in ("fsGroup", "runAsNonRoot"):
            kept["securityContext"].pop(key, None)
        for key in ("args", "command"):
            if key in container:
                kept[key] = [expand(text, variables) for text in container[key]]
        kept["env"] = [{"name": name, "value": value} for name, value in variables.items()]
        mounts = [{key: value for key, value in mount.items() if key != "recursiveReadOnly"} for mount in container.get("volumeMounts", [])]
        kept["volumeMounts"] = [*mounts, {"name": "hosts-of-the-node", "mountPath": "/etc/hosts", "readOnly": True}]
        containers.append(kept)
    folders: list[Json] = [{"name": name, "hostPath": {"path": str(path), "type": "Directory"}} for name, path in volumes.items()]
    folders.append({"name": "hosts-of-the-node", "hostPath": {"path": str(hosts), "type": "File"}})
    body = {"hostNetwork": True, "restartPolicy": "Never", "containers": containers, "volumes": folders}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod["metadata"]["name"]}, "spec": body}


def normal_name(image: str) -> str:
    """With registry, path and tag, as the kubelet understands a name.

    >>> normal_name("nats"), normal_name("prom/prometheus:v3"), normal_name("localhost/loadflow:1")
    ('docker.io/library/nats:latest', 'docker.io/prom/prometheus:v3', 'localhost/loadflow:1')
    """
    first, _, rest = image.partition("/")
    if not rest:
        image = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        image = f"docker.io/{image}"
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def named_port(containers: Iterable[Json], port: int | str) -> int:
    """The number of a port that may be named. Raises Unsupported if no container has it."""
    if isinstance(port, int):
        return port
    for container in containers:
        for one in container.get("ports", []):
            if one.get("name") == port:
                return int(one["containerPort"])
    raise Unsupported(f"no container has a port named {port}")


def condition(kind: str, holds: bool, now: str, before: Iterable[Json] = (), reason: str = "") -> Json:
    """One of a pod's conditions; its time is that of the last change."""
    value = "True" if holds else "False"
    old = next((one for one in before if one["type"] == kind and one["status"] == value), None)
    made = {"type": kind, "status": value, "lastTransitionTime": old["lastTransitionTime"] if old else now}
    return {**made, "reason": reason} if reason else made


def status(
    pod: Json,
    seen: Mapping[str, Seen],
    ready: Mapping[str, bool],
    started: Mapping[str, bool],
    restarts: Mapping[str, int],
    last: Mapping[str, Seen],
    *,
    node_ip: str,
    pod_ip: str,
    now: str,
) -> Json:
    """The status of a pod whose containers are `seen`; `ready` and `started` are what their probes say, `last` is how each ended before."""
    spec, old = pod["spec"], pod.get("status", {})
    containers = [
        {
            "name": one["name"],
            "image": normal_name(one["image"]),
            "imageID": seen[one["name"]].image_id,
            "containerID": f"podman://{seen[one['name']].id}" if seen[one["name"]].id else "",
            "ready": seen[one["name"]].state == "running" and ready[one["name"]],
            "started": seen[one["name"]].state == "running" and started[one["name"]],
            "restartCount": restarts[one["name"]],
            "state": _state(seen[one["name"]]),
            "lastState": _state(last[one["name"]]) if one["name"] in last else {},
        }
        for one in spec["containers"]
    ]
    all_ready = all(one["ready"] for one in containers)
    before = old.get("conditions", [])
    return {
        "phase": phase([seen[one["name"]] for one in spec["containers"]], spec.get("restartPolicy", "Always")),
        "hostIP": node_ip,
        "hostIPs": [{"ip": node_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": old.get("startTime", now),
        "conditions": [
            condition("PodScheduled", True, now, before),
            condition("Initialized", True, now, before),
            condition("ContainersReady", all_ready, now, before, "" if all_ready else "ContainersNotReady"),
            condition("Ready", all_ready, now, before, "" if all_ready else "ContainersNotReady"),
        ],
        "containerStatuses": containers,
    }


def phase(seen: list[Seen], restart_policy: str) -> str:
    """Kubernetes: "Pod phase". A container that will be started again keeps its pod running."""
    ended = [one for one in seen if one.state == "ended"]
    again = [one for one in ended if restart_policy == "Always" or (restart_policy == "OnFailure" and one.exit_code)]
    if len(ended) == len(seen) and not again:
        return "Failed" if any(one.exit_code for one in ended) else "Succeeded"
    return "Running" if any(one.state == "running" for one in seen) or again else "Pending"


def _state(seen: Seen) -> Json:
    if seen.state == "running":
        return {"running": {"startedAt": seen.started_at}}
    if seen.state == "ended":
        told: Json = {"exitCode": seen.exit_code, "reason": seen.reason or ("Error" if seen.exit_code else "Completed")}
        return {"terminated": {**told, "startedAt": seen.started_at, "finishedAt": seen.finished_at, "containerID": f"podman://{seen.id}"}}
    return {"waiting": {"reason": seen.reason or "ContainerCreating", "message": seen.message}}


def waiting(reason: str, message: str = "") -> Seen:
    """A container that is not there, and why."""
    return replace(Seen(), reason=reason, message=message)
