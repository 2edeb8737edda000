"""podman with containers of its own, and the images of this machine; it needs no systemd, and no right to raise a limit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["settings"]

VARIABLES = {"CONTAINERS_STORAGE_CONF": "storage.conf", "CONTAINERS_CONF": "containers.conf"}


def settings(folder: Path) -> dict[str, str]:
    """Makes `folder`; the environment for podman."""
    own = {key: value for key, value in os.environ.items() if key not in VARIABLES}  # those of this machine, not of another of ours
    stored = subprocess.run(
        ["podman", "info", "--format", "{{.Store.GraphRoot}}"], capture_output=True, text=True, check=True, env=own
    ).stdout.strip()
    folder.mkdir()
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
        f'[storage.options]\nadditionalimagestores = ["{stored}"]\n'
    )
    (folder / "containers.conf").write_text(
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'tmp_dir = "{folder}/tmp"\n'
        '[containers]\nnetns = "host"\nlog_driver = "k8s-file"\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n'
    )
    return {variable: str(folder / file) for variable, file in VARIABLES.items()}
