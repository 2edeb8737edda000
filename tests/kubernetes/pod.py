"""One pod on the node of `tests.kubernetes.node`: its containers, volumes, probes and restarts, and what the API server is told of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from tests.kubernetes import pods
from tests.kubernetes.api import ApiError
from tests.kubernetes.pods import NotYet, Seen, Unsupported
from tests.kubernetes.probes import Probe, Probes

if TYPE_CHECKING:
    from tests.kubernetes.node import Node

__all__ = ["NODE", "NODE_IP", "TICK_S", "Containers", "Json", "Pod", "add_address", "iso", "now", "podman", "say"]

Json = dict[str, Any]
NODE = "podman"
NODE_IP = "10.244.0.1"
TICK_S = 0.25
PATIENCE = 10  # times the timeout of a probe: no test may hang on how busy this machine is
BACKOFF_S = 10.0  # the kubelet's, before a second restart; it doubles up to five minutes
MOST_BACKOFF_S = 300.0


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds > 0 else None


def podman(*args: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", *args], capture_output=True, text=True, timeout=timeout_s, check=False)


def say(text: str) -> None:
    print(f"{now()} {text}", flush=True)


def add_address(address: str) -> None:
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], capture_output=True, check=False)


class Containers:
    """All of them as podman saw them at one moment: one call for all pods, because each takes a twentieth of a second of CPU."""

    def __init__(self) -> None:
        self.taken_s = 0.0
        self._found: dict[str, Json] = {}

    def look(self) -> None:
        taken_s = time.monotonic()
        done = podman("ps", "--all", "--format", "json")
        if done.returncode:
            say(f"podman ps: {done.stderr.strip()}")
            return
        self._found = {name: one for one in json.loads(done.stdout or "[]") or [] for name in one["Names"]}
        self.taken_s = taken_s

    def seen(self, name: str) -> Seen | None:
        one = self._found.get(name)
        if one is None:
            return None
        ended = one["State"] in ("exited", "stopped")
        return Seen(
            id=one["Id"],
            image_id=one["ImageID"],
            state="ended" if ended else "running" if one["State"] in ("running", "stopping") else "waiting",
            exit_code=one["ExitCode"] if ended else 0,
            started_at=iso(one["StartedAt"]),
            finished_at=iso(one["ExitedAt"]) if ended else None,
        )


class Pod(threading.Thread):
    """One pod, from its binding until nothing of it is left."""

    def __init__(self, node: Node, pod: Json, address: str) -> None:
        self.name_ = pod["metadata"]["name"]
        super().__init__(name=self.name_, daemon=True)
        self.latest: Json | None = pod  # None: deleted without waiting for this node
        self._node, self._address = node, address
        self._pod = pod
        self._path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{self.name_}"
        self._folder = node.folder / "pods" / pod["metadata"]["uid"]
        self._names = [one["name"] for one in pod["spec"]["containers"]]
        self._seen: dict[str, Seen] = {name: pods.waiting("ContainerCreating") for name in self._names}
        self._last: dict[str, Seen] = {}
        self._restarts = dict.fromkeys(self._names, 0)
        self._probes: dict[str, Probes] = {}
        self._again_s: dict[str, float] = {}  # when an ended container is started again
        self._why: dict[str, tuple[str, str]] = {}  # reason and message of an end that this node made
        self._acted_s = 0.0
        self._told: Json = {}

    def run(self) -> None:
        try:
            pods.check(self._pod)
            if self._make():
                self._keep()
        except Unsupported as why:
            self._fail(str(why))
        except Exception as why:  # noqa: BLE001  # the pod has to say so, whatever it is
            self._fail(f"the node failed: {type(why).__name__}: {why}")
        self._until_deleted()
        self._end()

    # -- making

    def _make(self) -> bool:
        """Until it runs. False if it is deleted before."""
        while not self._deleted:
            try:
                volumes = self._volumes()
                environments = {one["name"]: self._environment(one) for one in self._pod["spec"]["containers"]}
                for one in self._pod["spec"]["containers"]:
                    self._pull(one)
                self._play(pods.document(self._pod, environments, volumes, self._node.hosts))
                return True
            except NotYet as why:
                self._seen = {name: pods.waiting(why.reason, why.message) for name in self._names}
                self._tell()
                time.sleep(1)
        return False

    def _environment(self, container: Json) -> dict[str, str]:
        self._pod["status"] = {**self._pod.get("status", {}), "podIP": self._address, "hostIP": NODE_IP}
        return pods.environment(
            container, self._read_key, self._pod, {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        )

    def _read_key(self, kind: str, name: str, key: str) -> str | None:
        data = self._data(kind, name)
        return data[key].decode() if data is not None and key in data else None

    def _data(self, kind: str, name: str) -> dict[str, bytes] | None:
        """A Secret's or ConfigMap's; None if there is none. Only what a pod of this node names may be read (the Node authorizer)."""
        path = f"/api/v1/namespaces/{self._pod['metadata']['namespace']}/{kind.lower()}s/{name}"
        try:
            found = self._node.api.ask("GET", path)
        except ApiError as why:
            if why.status in (403, 404):  # what is not there, no pod may be related to
                return None
            raise
        plain = {key: text.encode() for key, text in found.get("data", {}).items()}
        if kind == "ConfigMap":
            return plain | {key: base64.b64decode(text) for key, text in found.get("binaryData", {}).items()}
        return {key: base64.b64decode(text) for key, text in plain.items()}

    def _volumes(self) -> dict[str, Path]:
        group = self._pod["spec"].get("securityContext", {}).get("fsGroup")
        made = {}
        for volume in self._pod["spec"].get("volumes", []):
            path = self._folder / "volumes" / volume["name"]
            if "persistentVolumeClaim" in volume:
                path = self._node.claim(self._pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"])
            path.mkdir(parents=True, exist_ok=True)
            if source := volume.get("secret"):
                self._write("Secret", source["secretName"], source, path)
            elif source := volume.get("configMap"):
                self._write("ConfigMap", source["name"], source, path)
            else:
                path.chmod(0o777)
            self._give(path, group)
            made[volume["name"]] = path
        return made

    def _write(self, kind: str, name: str, source: Json, folder: Path) -> None:
        data = self._data(kind, name)
        if data is None:
            if source.get("optional"):
                return
            raise NotYet("ContainerCreating", f"{kind} {name} is missing")
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            if item["key"] not in data:
                raise NotYet("ContainerCreating", f"{kind} {name} has no key {item['key']}")
            path = folder / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[item["key"]])
            path.chmod(item.get("mode", source.get("defaultMode", 0o644)))

    def _give(self, path: Path, group: int | None) -> None:
        """What the group of `fsGroup` may do: all that the owner may, and new files are of the group."""
        if group is None:
            return
        for one in [path, *path.rglob("*")]:
            os.chown(one, -1, group)
            mode = one.stat().st_mode
            one.chmod(mode | (mode & 0o700) >> 3 | (0o2000 if one.is_dir() else 0))

    def _pull(self, container: Json) -> None:
        image, policy = pods.normal_name(container["image"]), container.get("imagePullPolicy", "IfNotPresent")
        there = podman("image", "exists", image).returncode == 0
        if policy == "Always" or (policy == "IfNotPresent" and not there):
            done = podman("pull", "--quiet", image)
            if done.returncode:
                raise NotYet("ErrImagePull", done.stderr.strip()[-300:])
        elif not there:
            raise NotYet("ErrImageNeverPull", f"{image} is not on this node, and imagePullPolicy is Never")
        security = {**self._pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
        if security.get("runAsNonRoot"):
            user = str(security.get("runAsUser", "")) or podman("image", "inspect", "--format", "{{.User}}", image).stdout.strip()
            if not user.partition(":")[0].isdecimal() or int(user.partition(":")[0]) == 0:
                raise NotYet("CreateContainerConfigError", f"runAsNonRoot, and {image} runs as {user or 'root'}")

    def _play(self, document: Json) -> None:
        path = self._folder / "pod.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        done = podman("kube", "play", "--network", "host", str(path))
        self._acted_s = time.monotonic()
        if done.returncode:
            raise RuntimeError(f"podman kube play: {done.stderr.strip()[-500:]}")
        for one in self._pod["spec"]["containers"]:
            self._probes[one["name"]] = Probes(one, self._acted_s)
        say(f"{self.name_} runs")

    # -- keeping

    @property
    def _deleted(self) -> bool:
        return self.latest is None or "deletionTimestamp" in self.latest["metadata"]

    def _keep(self) -> None:
        while not self._deleted:
            self._look()
            self._probe()
            self._tell()
            if pods.phase(list(self._seen.values()), self._policy) in ("Succeeded", "Failed"):
                return
            time.sleep(TICK_S)

    @property
    def _policy(self) -> str:
        return str(self._pod["spec"].get("restartPolicy", "Always"))

    def _container(self, name: str) -> str:
        return f"{self.name_}-{name}"

    def _look(self) -> None:
        if self._node.containers.taken_s < self._acted_s:
            return  # older than the last change
        for name in self._names:
            seen = self._node.containers.seen(self._container(name))
            if seen is None:
                raise RuntimeError(f"container {name} was removed from podman")
            if seen.state == "ended":
                seen = self._ended(name, seen)
            self._seen[name] = seen

    def _ended(self, name: str, seen: Seen) -> Seen:
        if self._seen[name].state != "ended":
            reason, message = self._why.pop(name, ("", ""))
            if not reason and podman("inspect", "--format", "{{.State.OOMKilled}}", seen.id).stdout.strip() == "true":
                reason = "OOMKilled"
            say(f"{self.name_}: {name} ended with {seen.exit_code} {reason} {message}".rstrip())
            waits_s = min(MOST_BACKOFF_S, BACKOFF_S * 2 ** (self._restarts[name] - 1)) if self._restarts[name] else 0.0
            self._again_s[name] = time.monotonic() + waits_s
            seen = pods.replace(seen, reason=reason, message=message)
        else:
            seen = self._seen[name]
        again = self._policy == "Always" or (self._policy == "OnFailure" and seen.exit_code != 0)
        if not again or time.monotonic() < self._again_s[name]:
            return seen
        self._start_again(name)
        self._last[name] = seen
        self._restarts[name] += 1
        self._probes[name] = Probes(next(one for one in self._pod["spec"]["containers"] if one["name"] == name), self._acted_s)
        return pods.replace(seen, state="running", started_at=now(), finished_at=None)

    def _start_again(self, name: str) -> None:
        """When podman has ended what held the pod's namespaces, which it does a moment after the pod's last container."""
        for _ in range(50):
            done = podman("start", self._container(name))
            self._acted_s = time.monotonic()
            if done.returncode == 0:
                return
            time.sleep(0.2)
        raise RuntimeError(f"podman start: {done.stderr.strip()[-500:]}")

    def _probe(self) -> None:
        for container in self._pod["spec"]["containers"]:
            name = container["name"]
            if self._seen[name].state != "running":
                continue
            for probe in self._probes[name].due(time.monotonic()):
                ok, told = self._asked(container, probe)
                probe.answer(ok, told, time.monotonic())
            if why := self._probes[name].failed:
                say(f"{self.name_}: {name} is ended: {why}")
                self._why[name] = ("Error", why)
                podman("stop", "--time", str(self._grace_s), self._container(name))
                self._acted_s = time.monotonic()

    def _asked(self, container: Json, probe: Probe) -> tuple[bool, str]:
        timeout_s = PATIENCE * probe.timeout_s
        try:
            if action := probe.spec.get("exec"):
                done = podman("exec", self._container(container["name"]), *action["command"], timeout_s=timeout_s)
                return done.returncode == 0, (done.stdout + done.stderr).strip()[
                    -200:
                ] or f"{action['command'][0]} ended with {done.returncode}"
            if action := probe.spec.get("httpGet"):
                port = pods.named_port([container], action["port"])
                url = f"{action.get('scheme', 'HTTP').lower()}://{action.get('host', self._address)}:{port}{action.get('path', '/')}"
                headers = {one["name"]: one["value"] for one in action.get("httpHeaders", [])}
                with requests.Session() as session:
                    session.trust_env = False
                    answer = session.get(url, headers=headers, timeout=timeout_s, verify=False)  # as the kubelet does
                return 200 <= answer.status_code < 400, f"{url} gave {answer.status_code}"
            action = probe.spec["tcpSocket"]
            port = pods.named_port([container], action["port"])
            with socket.create_connection((action.get("host", self._address), port), timeout=timeout_s):
                return True, "connected"
        except (OSError, requests.RequestException, subprocess.TimeoutExpired) as why:
            return False, f"{type(why).__name__}: {why}"[:200]

    @property
    def _grace_s(self) -> int:
        found = self.latest or self._pod
        asked = found["metadata"].get("deletionGracePeriodSeconds")
        return int(asked if asked is not None else found["spec"].get("terminationGracePeriodSeconds", 30))

    # -- telling

    def _tell(self) -> None:
        pod = self.latest
        if pod is None:
            return
        probes = {name: self._probes.get(name) for name in self._names}
        told = pods.status(
            {**pod, "status": {**pod.get("status", {}), **self._told}},
            self._seen,
            {name: one is not None and one.ready for name, one in probes.items()},
            {name: one is not None and one.started for name, one in probes.items()},
            self._restarts,
            self._last,
            node_ip=NODE_IP,
            pod_ip=self._address,
            now=now(),
        )
        self._patch(told)

    def _patch(self, told: Json) -> None:
        if told == self._told:
            return
        try:
            self._node.api.patch_status(self._path, told)
            self._told = told
        except ApiError as why:
            if why.status not in (404, 409):
                say(f"{self.name_}: {why}")

    def _fail(self, message: str) -> None:
        say(f"{self.name_}: {message}")
        conditions = [pods.condition(kind, False, now(), reason="NodeRefused") for kind in ("ContainersReady", "Ready")]
        self._patch({"phase": "Failed", "reason": "NodeRefused", "message": message, "podIP": self._address, "conditions": conditions})

    # -- ending

    def _until_deleted(self) -> None:
        while not self._deleted:
            time.sleep(TICK_S)

    def _end(self) -> None:
        grace_s = 0 if self.latest is None else self._grace_s
        podman("pod", "stop", "--time", str(grace_s), self.name_)
        self._node.containers.look()
        for name in self._names:
            if seen := self._node.containers.seen(self._container(name)):
                self._seen[name] = seen
                say(f"{self.name_}: {name} ended with {seen.exit_code} when it was asked to")
        with contextlib.suppress(ApiError):
            self._tell()
        podman("pod", "rm", "--force", "--time", "0", self.name_)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self.latest is not None:
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self._pod["metadata"]["uid"]}}
            with contextlib.suppress(ApiError):
                self._node.api.ask("DELETE", self._path, body)
        self._node.forget(self._pod["metadata"]["uid"])
