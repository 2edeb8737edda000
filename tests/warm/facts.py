"""`python -m tests.warm.facts [CODE]`: prints what a process knows of itself, and ends with the code, a text, or an error."""

from __future__ import annotations

import atexit
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


def facts() -> dict[str, object]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "command": Path("/proc/self/cmdline").read_bytes().decode(),
        "environment": sorted(Path("/proc/self/environ").read_bytes().decode().split("\0")) == sorted([*_given(), ""]),
        "variables": dict(os.environ),
        "name": status["Name"],
        "umask": status["Umask"],
        "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "descriptors": sorted(int(one.name) for one in Path("/proc/self/fd").iterdir() if one.exists() and _is_own(one)),
        "limits": [resource.getrlimit(one) for one in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)],
        "parent": os.getppid(),
        "leads a session": os.getsid(0) == os.getpid(),
        "leads a group": os.getpgid(0) == os.getpid(),
        "folder": str(Path.cwd()),
        "folder of temporary files": tempfile.gettempdir(),
        "arguments": sys.argv,
        "written": sys.orig_argv,
        "path": sys.path,
        "threads": threading.active_count(),
        "streams": [(one.encoding, one.errors, one.line_buffering, one.isatty()) for one in (sys.stdin, sys.stdout, sys.stderr)],
        "is main": __name__,
        "said to it": sys.stdin.read(),
        "below": subprocess.run([sys.executable, "-m", "tests.warm.facts", "below"], capture_output=True, text=True).stdout
        if sys.argv[1:2] == ["above"]
        else "",
    }


def _given() -> list[str]:
    return [f"{name}={value}" for name, value in os.environ.items()]


def _is_own(fd: Path) -> bool:
    """Not the link to a warm process."""
    return not str(fd.readlink()).startswith("socket:") or int(fd.name) < 3


if __name__ == "__main__":
    atexit.register(print, "the end")
    print(json.dumps(facts()))
    end = sys.argv[1:2]
    if end == ["error"]:
        raise ValueError("an error")
    if end == ["Ctrl-C"]:
        raise KeyboardInterrupt
    sys.exit(end[0] if end == ["a text"] else int(end[0]) if end and end[0].isdigit() else None)
