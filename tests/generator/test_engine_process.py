"""What an engine process does before its load."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

SIZE = """
from loadflow.engine.generator.engine_process import allow_many_sockets
allow_many_sockets()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("FDSize:")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
@pytest.mark.parametrize("limit", [200, 1_000, None], ids=["few", "more", "all"])
def test_the_kernels_table_of_open_files_is_large_enough_before_the_load_begins(limit: int | None) -> None:
    """While it grows, nothing is sent: seen as 100 ms in which all hits of a rate were late."""
    hard = limit or resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = subprocess.run(
        [sys.executable, "-c", SIZE],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert int(done.stdout) >= (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))
