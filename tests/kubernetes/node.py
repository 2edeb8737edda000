"""A node for tests: takes the pods that are bound to it, runs them with podman, and tells the API server of them, as a kubelet does.

    python -m tests.kubernetes.node FOLDER

FOLDER has the kubeconfig files `node`, `scheduler` and `admin`. Beside the kubelet's work, this process does what else a cluster has:
it binds pods to the node, makes volumes for claims, and lets the names of services be found. Pods are on the network of the node, which
has an address for each pod and each service: a service's port has to be its pods' port. NetworkPolicy is not enforced, resources are limits
and not reckoned with, and a change of a ConfigMap does not reach a pod that runs. `tests.kubernetes.pods` says which fields are honoured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import requests

from tests.kubernetes import pods
from tests.kubernetes.api import Api, ApiError
from tests.kubernetes.kubelet_server import serve_logs
from tests.kubernetes.pod import NODE, NODE_IP, TICK_S, Containers, Json, Pod, add_address, now, say
from tests.kubernetes.pods import Unsupported


class Node:
    """The loop: what is bound here runs, what is no more here ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = Api.of(folder / "node.kubeconfig")
        self._scheduler, self._admin = Api.of(folder / "scheduler.kubeconfig"), Api.of(folder / "admin.kubeconfig")
        self.containers = Containers()
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self._pods: dict[str, Pod] = {}
        self._addresses = 1
        self._stopped = threading.Event()
        add_address(NODE_IP)

    def register(self) -> None:
        port = serve_logs(self.folder, NODE_IP)
        self.api.ask("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        self.api.patch_status(
            f"/api/v1/nodes/{NODE}",
            {
                "addresses": [{"type": "InternalIP", "address": NODE_IP}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                "conditions": [pods.condition("Ready", True, now(), reason="KubeletReady")],
                "nodeInfo": {
                    "architecture": "", "bootID": "", "containerRuntimeVersion": "podman://", "kernelVersion": os.uname().release,
                    "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "",
                    "operatingSystem": "linux", "osImage": "", "systemUUID": "",
                },
            },
        )  # fmt: skip

    def run(self) -> None:
        for role in (self._bind, self._make_volumes, self._name_services):
            threading.Thread(target=self._again, args=(role,), daemon=True).start()
        self._again(self._tick)
        for pod in list(self._pods.values()):
            pod.latest = None  # ended at once
        for pod in list(self._pods.values()):
            pod.join(timeout=30)

    def stop(self, *_: object) -> None:
        self._stopped.set()

    def _again(self, role: Callable[[], None]) -> None:
        while not self._stopped.wait(TICK_S):
            try:
                role()
            except (ApiError, Unsupported, requests.RequestException) as why:
                say(f"{role.__name__}: {why}")

    def _tick(self) -> None:
        found = {pod["metadata"]["uid"]: pod for pod in self.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={NODE}")}
        for uid, pod in found.items():
            if uid in self._pods:
                self._pods[uid].latest = pod
            elif not any(
                one.name_ == pod["metadata"]["name"] for one in self._pods.values()
            ):  # podman knows names, and a namesake ends first
                self._addresses += 1
                address = f"10.244.{self._addresses // 256}.{self._addresses % 256}"
                add_address(address)
                self._pods[uid] = Pod(self, pod, address)
                self._pods[uid].start()
        for uid, one in list(self._pods.items()):
            if uid not in found:
                one.latest = None
        if self._pods:
            self.containers.look()

    def forget(self, uid: str) -> None:
        self._pods.pop(uid, None)

    # -- what is a scheduler's, a provisioner's and a proxy's

    def _bind(self) -> None:
        for pod in self._scheduler.items("/api/v1/pods", fieldSelector="spec.nodeName="):
            place = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
            claims = [one["persistentVolumeClaim"]["claimName"] for one in pod["spec"].get("volumes", []) if "persistentVolumeClaim" in one]
            states = [self._admin.ask("GET", f"{place}/persistentvolumeclaims/{claim}")["status"].get("phase") for claim in claims]
            if "deletionTimestamp" in pod["metadata"] or any(state != "Bound" for state in states):
                continue
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            self._scheduler.ask(
                "POST",
                f"{place}/pods/{pod['metadata']['name']}/binding",
                {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target},
            )

    def _make_volumes(self) -> None:
        """A folder for each claim, kept for as long as the claim is."""
        for claim in self._admin.items("/api/v1/persistentvolumeclaims"):
            if claim["status"].get("phase") != "Pending" or claim["spec"].get("volumeName"):
                continue
            name = f"{claim['metadata']['namespace']}-{claim['metadata']['name']}"
            path = self.folder / "claims" / name
            path.mkdir(parents=True, exist_ok=True)
            spec = {
                "capacity": claim["spec"]["resources"]["requests"],
                "accessModes": claim["spec"]["accessModes"],
                "storageClassName": claim["spec"].get("storageClassName", ""),
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(path)},
                "claimRef": {
                    "namespace": claim["metadata"]["namespace"],
                    "name": claim["metadata"]["name"],
                    "uid": claim["metadata"]["uid"],
                },
            }
            with contextlib.suppress(ApiError):  # it is there already
                self._admin.ask(
                    "POST",
                    "/api/v1/persistentvolumes",
                    {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec},
                )

    def claim(self, namespace: str, name: str) -> Path:
        return self.folder / "claims" / f"{namespace}-{name}"

    def _name_services(self) -> None:
        """The address of each service is one of this node, its names are in /etc/hosts of every pod."""
        lines = ["127.0.0.1 localhost"]
        waiting = [pod for one in list(self._pods.values()) if (pod := one.latest) is not None]
        for service in self.api.items("/api/v1/services"):
            spec, meta = service["spec"], service["metadata"]
            names = f"{meta['name']} {meta['name']}.{meta['namespace']} {meta['name']}.{meta['namespace']}.svc.cluster.local"
            selector = spec.get("selector")
            chosen = [pod for pod in waiting if selector and selector.items() <= pod["metadata"].get("labels", {}).items()]
            if chosen and (wrong := self._other_port(spec, chosen[0])) is not None:
                say(f"service {meta['name']}: port {wrong} is not its pods' port, so this node can't let it be reached")
                continue
            address = spec["clusterIP"]
            if address == "None":
                address = chosen[0].get("status", {}).get("podIP") if chosen else None
            if selector and address:
                add_address(address)
                lines.append(f"{address} {names}")
        text = "\n".join(lines) + "\n"
        if text != self.hosts.read_text():
            self.hosts.write_text(text)  # in place: it is mounted

    @staticmethod
    def _other_port(service: Json, pod: Json) -> int | None:
        """The first port of a service that is another one at its pods."""
        containers = pod["spec"]["containers"]
        for one in service["ports"]:
            if pods.named_port(containers, one.get("targetPort", one["port"])) != one["port"]:
                return int(one["port"])
        return None


def main() -> None:
    node = Node(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, node.stop)
    signal.signal(signal.SIGINT, node.stop)
    node.register()
    say("the node is ready")
    node.run()


if __name__ == "__main__":
    main()
