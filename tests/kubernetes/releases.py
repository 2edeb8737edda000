"""Helm itself, at a cluster: install, upgrade, test, uninstall. Each in a process of its own, because it is Go's runtime.

python -m tests.kubernetes.releases < '{"what": "install", "kubeconfig": …, "name": …, "values": …, "timeout_s": …}'
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.helm import HelmError
from tests.kubernetes.images import CHART

__all__ = ["Releases"]

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 400  # for an install, an upgrade, each test: what hangs must end; on a busy machine they take a tenth of it


class Releases:
    """Those of one namespace, as the role of a kubeconfig file may see them. Every method raises HelmError with what Helm says."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._kubeconfig, self._namespace = kubeconfig, namespace

    def install(self, name: str, values: dict[str, Any], *, wait: bool = True) -> dict[str, Any]:
        return self._ask("install", name, values=values, wait=wait)

    def upgrade(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        return self._ask("upgrade", name, values=values, wait=True)

    def test(self, name: str) -> str:
        """`helm test --logs`; what its pods said."""
        return str(self._ask("test", name)["logs"])

    def uninstall(self, name: str) -> None:
        self._ask("uninstall", name)

    def names(self) -> list[str]:
        return [one["name"] for one in self._ask("list", "")["releases"]]

    def _ask(self, what: str, name: str, **more: Any) -> dict[str, Any]:
        question = {"what": what, "kubeconfig": str(self._kubeconfig), "namespace": self._namespace, "name": name, **more}
        command = [sys.executable, "-m", "tests.kubernetes.releases"]
        done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise HelmError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> None:
    import helm_python

    asked = json.load(sys.stdin)
    name, namespace = asked["name"], asked["namespace"]
    with helm_python.Config(kubeconfig_path=asked["kubeconfig"], namespace=namespace) as config:
        wait = "watcher" if asked.get("wait") else "hookOnly"
        told: Any = {}
        if asked["what"] == "install":
            told = config.install(str(CHART), name, asked["values"], namespace=namespace, wait=wait, timeout=WAIT_S)
        elif asked["what"] == "upgrade":
            told = config.upgrade(str(CHART), name, asked["values"], namespace=namespace, wait=wait, timeout=WAIT_S)
        elif asked["what"] == "test":
            told = config.test(name, logs=True, timeout=WAIT_S)
        elif asked["what"] == "uninstall":
            config.uninstall(name, wait="watcher", timeout=WAIT_S)
        else:
            told = {"releases": config.list(all_states=True)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
