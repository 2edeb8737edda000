"""A cluster of one node in a network of its own: etcd, the API server, the controllers, and the node of `tests.kubernetes.node`.

It has to be started in network and PID namespaces of its own (`python -m tests.kubernetes` makes them): its ports are fixed, what it starts
reaches nothing else, and when the first process of the namespace ends, however it ends, the kernel ends everything in it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.kubernetes import podman
from tests.kubernetes.api import Api, ApiError
from tests.kubernetes.tools import Tools
from tests.waiting import Patience

__all__ = ["NAMESPACE", "Cluster"]

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
ETCD, SERVER = 21379, 21643
NAMESPACE = "load"  # of all tests
CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "statefulset-controller", "job-controller", "garbage-collector-controller",
    "namespace-controller", "endpoints-controller", "endpointslice-controller", "serviceaccount-controller",
    "clusterrole-aggregation-controller",
    "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "persistentvolume-protection-controller",
)  # fmt: skip
# role → user and groups, whose rights the API server makes at its start
ROLES = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "node": ("system:node:podman", "system:nodes"),
    # may do what their role bindings say: none until a test gives them one
    "installer": ("installer", ""),
    "worker": ("worker", ""),
}
QUIET_S = 120.0  # without progress, on a quiet machine


class Cluster:
    """`with Cluster(tools, folder) as cluster:`; `folder` is emptied at the start, and keeps the logs."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        self.tools, self.folder = tools, folder
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._tokens = {role: secrets.token_hex(16) for role in ROLES}

    @property
    def api(self) -> Api:
        """As one who may do all."""
        return Api.of(self.kubeconfig("admin"))

    def kubeconfig(self, role: str) -> Path:
        return self.folder / f"{role}.kubeconfig"

    def __enter__(self) -> Cluster:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o711)  # pods' users go through it to their volumes
        os.environ.update(podman.settings(self.folder / "podman"))
        self._write_keys()
        try:
            self._start_servers()
            self._start("node", sys.executable, "-m", "tests.kubernetes.node", str(self.folder))
            self.wait_for("the node", lambda: any(one["metadata"]["name"] == "podman" for one in self.api.items("/api/v1/nodes")))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def wait_for(self, what: str, holds: Callable[[], Any], *, quiet_s: float = QUIET_S, saying: Callable[[], object] | None = None) -> Any:
        """What `holds` returns when it is true. Raises AssertionError with `what` and what `saying` says when that does not come."""
        patience, said = Patience(quiet_s), ""
        while True:
            try:
                if found := holds():
                    return found
            except (ApiError, OSError) as why:
                said = str(why)
            for name, process in self._started:
                assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log(name)[-2000:]}"
            assert not patience.is_over(), f"waited in vain for {what}. {said} {saying() if saying else ''}\n{self.told()}"
            time.sleep(0.2)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def told(self) -> str:
        """What the node did last, for who reads why a test failed."""
        return "node:\n" + "\n".join(self.log("node").splitlines()[-25:])

    def kubectl(self, *args: str, role: str = "admin", check: bool = True) -> str:
        """What it prints. Raises AssertionError with what it says if it fails."""
        command = [str(self.tools.kubectl), f"--kubeconfig={self.kubeconfig(role)}", *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)
        assert done.returncode == 0 or not check, f"kubectl {' '.join(args)}: {done.stderr.strip()}"
        return done.stdout if check else done.stdout + done.stderr

    def containers(self) -> list[str]:
        """Names of all that are there, those of pods' own namespaces not."""
        done = subprocess.run(["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True)
        return [name for name in done.stdout.split() if not name.endswith("-infra")]

    def pod_folder(self, pod: Json) -> Path:
        return self.folder / "pods" / str(pod["metadata"]["uid"]) / "volumes"

    # -- starting

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._started.append(
                (name, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, stdin=subprocess.DEVNULL))
            )

    def _start_servers(self) -> None:
        data, certs = self.folder / "etcd", self.folder / "certs"
        etcd = f"http://127.0.0.1:{ETCD}"
        peer = f"http://127.0.0.1:{ETCD + 1}"
        self._start(
            "etcd", str(self.tools.etcd), f"--data-dir={data}", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        issuer = f"https://127.0.0.1:{SERVER}"
        self._start(
            "kube-apiserver", str(self.tools.apiserver), f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={SERVER}",
            f"--cert-dir={certs}", "--service-cluster-ip-range=10.96.0.0/16", f"--service-account-key-file={self.folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}", f"--service-account-issuer={issuer}",
            f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",
        )  # fmt: skip
        self.wait_for("the certificate of kube-apiserver", (certs / "apiserver.crt").exists)
        for role in ROLES:
            self._write_kubeconfig(role, certs / "apiserver.crt")
        self.wait_for("kube-apiserver", lambda: "ok" in self.api.ask("GET", "/readyz")["text"])
        self._start(
            "kube-controller-manager", str(self.tools.controller_manager), f"--kubeconfig={self.kubeconfig('controllers')}",
            f"--controllers={','.join(CONTROLLERS)}", "--leader-elect=false",
            "--bind-address=127.0.0.1", f"--cert-dir={self.folder / 'controllers'}", "--use-service-account-credentials",
            f"--authentication-kubeconfig={self.kubeconfig('controllers')}", f"--authorization-kubeconfig={self.kubeconfig('controllers')}",
        )  # fmt: skip

    def _write_keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        _private(self.folder / "accounts.key", private)
        (self.folder / "accounts.pub").write_bytes(public)
        rows = [f'{self._tokens[role]},{user},{role},"{groups}"' for role, (user, groups) in ROLES.items()]
        _private(self.folder / "tokens.csv", "\n".join(rows).encode())

    def _write_kubeconfig(self, role: str, ca: Path) -> None:
        cluster = {"server": f"https://127.0.0.1:{SERVER}", "certificate-authority": str(ca)}
        found = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": role, "user": {"token": self._tokens[role]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": role, "namespace": NAMESPACE}}],
            "current-context": "test",
        }
        _private(self.kubeconfig(role), yaml.safe_dump(found).encode())

    # -- ending

    def _stop(self) -> None:
        """The node first: it ends its pods."""
        for _, process in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if "CONTAINERS_CONF" in os.environ:
            subprocess.run(["podman", "pod", "rm", "--all", "--force", "--time", "0"], capture_output=True, check=False)
        self._started = []
        for name in ("podman", "etcd", "pods", "claims"):
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
