"""The images that the chart's pods run: pulled where a registry can be reached, made from what is here where not.

loadflow's own is that of `make image`, built by the same file. In place of `nats` stands NATS's own server from PyPI, in place of
`prom/prometheus` that of Debian. Grafana is in neither place: its pod is left out where its image can't be pulled, and that is said.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from loadflow.engine.fleet.broker import find_server
from tests.kubernetes.tools import GENTLE, Missing, Say

__all__ = ["CHART", "Images", "find_images"]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deployments" / "helm" / "loadflow"
OWN = "localhost/loadflow"


@dataclass(frozen=True, slots=True)
class Images:
    """Names with tags; `grafana` is None if it can't be had."""

    loadflow: str
    nats: str
    prometheus: str
    grafana: str | None

    def values(self) -> dict[str, Any]:
        """The chart's values that name them."""

        def split(image: str) -> dict[str, str]:
            name, _, tag = image.rpartition(":")
            return {"image": name, "tag": tag}

        monitoring: dict[str, Any] = {"prometheus": split(self.prometheus), "grafana": {"enabled": self.grafana is not None}}
        if self.grafana is not None:
            monitoring["grafana"] |= split(self.grafana)
        return {
            **{part: split(self.loadflow) for part in ("agent", "coordinator", "tests")},
            "nats": split(self.nats),
            "monitoring": monitoring,
        }

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


def find_images(say: Say) -> Images:
    """All of them, pulled or built. LOADFLOW_IMAGE names one that `make image` made before. Raises Missing."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    monitoring = values["monitoring"]
    own = os.environ.get("LOADFLOW_IMAGE") or _own(say)
    if not _is_here(own):
        raise Missing(f"LOADFLOW_IMAGE={own} is not here: make image TAG={own}")
    grafana = _of("docker.io/{image}:{tag}", monitoring["grafana"])
    return Images(
        loadflow=own,
        nats=_pulled("docker.io/library/{image}:{tag}", values["nats"], say) or _nats(say),
        prometheus=_pulled("docker.io/{image}:{tag}", monitoring["prometheus"], say) or _prometheus(own, say),
        grafana=grafana if _pulled("docker.io/{image}:{tag}", monitoring["grafana"], say) else None,
    )


def _of(pattern: str, values: dict[str, Any]) -> str:
    return pattern.format(image=values["image"], tag=values["tag"])


def _is_here(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def _pulled(pattern: str, values: dict[str, Any], say: Say) -> str | None:
    image = _of(pattern, values)
    if _is_here(image):
        return image
    if subprocess.run(["podman", "pull", "--quiet", image], capture_output=True, check=False).returncode:
        say(f"{image} can't be pulled")
        return None
    return image


def _own(say: Say) -> str:
    image = f"{OWN}:kubernetes-test"
    say(f"building {image} (make image): some minutes, if something of it has changed")
    done = subprocess.run([*GENTLE, "deployments/build_image.sh", image], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"make image failed; LOADFLOW_IMAGE names one that is there:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return image


def _nats(say: Say) -> str:
    server = find_server()
    version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.strip().rpartition("v")[2]
    image = f"localhost/loadflow-test-nats:{version}"
    if not _is_here(image):
        say(f"building {image} of {server}")
        _build(image, 'FROM scratch\nCOPY nats-server /nats-server\nENTRYPOINT ["/nats-server"]\n', {"nats-server": Path(server)})
    return image


def _prometheus(base: str, say: Say) -> str:
    image = "localhost/loadflow-test-prometheus:debian"
    if not _is_here(image):
        say(f"building {image} of Debian's package")
        install = "apt-get update && apt-get install --yes --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/*"
        _build(image, f'FROM {base}\nUSER 0\nRUN {install}\nUSER 65534\nENTRYPOINT ["/usr/bin/prometheus"]\nCMD []\n', {})
    return image


def _build(image: str, containerfile: str, files: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Containerfile").write_text(containerfile)
        for name, path in files.items():
            Path(folder, name).write_bytes(path.read_bytes())
            Path(folder, name).chmod(0o755)
        command = [*GENTLE, "buildah", "bud", "--isolation", "chroot", "--quiet", "--tag", image, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{image} can't be built:\n{done.stderr.strip()[-2000:]}")
