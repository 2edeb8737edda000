"""Tries the chart at a real API server: `make test-kubernetes`, or python -m tests.kubernetes [ARGUMENTS OF PYTEST].

Finds or makes the tools and images first, then starts the tests in namespaces of their own: see `tests.kubernetes.cluster`.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.kubernetes.images import find_images
from tests.kubernetes.tools import VERSION, Missing, find_tools

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "kubernetes"
NAMESPACES = ("unshare", "--net", "--pid", "--mount", "--ipc", "--fork", "--kill-child", "--mount-proc")
VARIABLE = "LOADFLOW_TEST_KUBERNETES"
TESTS = ("tests/kubernetes/pools.py", "tests/kubernetes/chart.py", "tests/ends/test_docker_pool.py")
# podman keeps its locks in /dev/shm: those of this machine are not ours
INSIDE = ("sh", "-c", 'mount -t tmpfs none /dev/shm && ip link set lo up && exec "$@"', "sh")


def main() -> None:
    started_s = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started_s:4.0f} s] {text}", flush=True)

    if os.geteuid() != 0:
        sys.exit("make test-kubernetes needs root for network namespaces and podman: sudo make test-kubernetes")
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)  # held until the last process that has it ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"make test-kubernetes runs already in {ROOT}: wait for its end")
    try:
        tools, images = find_tools(say), find_images(say)
    except Missing as why:
        sys.exit(f"make test-kubernetes: {why}")
    inside = subprocess.run([*NAMESPACES, *INSIDE, "true"], capture_output=True, text=True, check=False)
    if inside.returncode:
        sys.exit(f"make test-kubernetes needs a machine, or a privileged container, that may make namespaces: {inside.stderr.strip()}")
    say(f"Kubernetes {VERSION}; {', '.join(str(image) for image in images.as_dict().values() if image)}")
    if images.grafana is None:
        say("NOT TRIED: Grafana's pod, whose image can't be had; its documents are")
    given = {
        "tools": {name: str(path) for name, path in asdict(tools).items()},
        "images": images.as_dict(),
        "folder": str(FOLDER / "cluster"),
    }
    os.environ[VARIABLE] = json.dumps(given)
    os.environ["LOADFLOW_REQUIRE_SERVICES"] = "1"  # nothing is skipped
    os.environ["LOADFLOW_IMAGE"] = images.loadflow
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "--timeout=1800", *TESTS]
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execvp(NAMESPACES[0], [*NAMESPACES, *INSIDE, *pytest, *sys.argv[1:]])


if __name__ == "__main__":
    main()
