"""A load in a process that is short of something; prints the summary.

`python -m tests.generator.short_of files|ports NUMBER ENGINE FOLDER`.

files: so many file descriptors, for the engine too. ports: so many local ports, in a network namespace of its own (`unshare -n`).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
from tests.targets.fixture import Target

USERS = 90  # at once, so that each needs a connection of its own


def main(what: str, number: str, engine: str, folder: str) -> None:
    if what == "ports":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"40000 {40000 + int(number) - 1}", encoding="ascii")
    with Target() as target, use_session(Session(runs_dir=folder)):
        if what == "files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(number), int(number)))
        step = {"method": "get", "request_url": "/delay/300"}
        summary = start_test(
            {"user": "fast_http_user", "engine": engine}, USERS, 10_000, host=target.url, tasks=[step], iterations=2, processes=1
        )
    print(json.dumps(summary))


if __name__ == "__main__":
    main(*sys.argv[1:])
