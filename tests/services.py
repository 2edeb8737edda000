"""Real servers that some tests need: without one the test is skipped with its reason, which CI makes a failure (conftest.py)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.waiting import HANG_S

__all__ = ["PostgreSQL", "free_port", "need"]

USER = "loadflow"
PASSWORD = "pa/ss:w@rd"  # has to be escaped in a URL


def need(condition: object, reason: str) -> None:
    """Skip the test unless `condition` holds."""
    if not condition:
        pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PostgreSQL:
    """A server of its own on a free port, with its data in a temporary folder; Debian keeps the binaries out of PATH."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
        on_path = shutil.which("postgres")
        need(found or on_path, "PostgreSQL is not installed (Debian: apt-get install postgresql)")
        self._bin = found[-1].parent if found else Path(str(on_path)).parent
        # the server refuses to run as root
        self._as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._folder = Path(tempfile.mkdtemp(prefix="loadflow-postgresql-"))
        if self._as_other:
            shutil.chown(self._folder, "postgres", "postgres")
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run("initdb", "-D", self._data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync", "-E", "UTF8")
        self.port = free_port()
        self.start()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c shared_buffers=128MB"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def close(self) -> None:
        try:
            self.kill()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_other, str(self._bin / program), *arguments]
        with tempfile.TemporaryFile() as output:  # a pipe would stay open in the server
            done = subprocess.run(command, cwd="/", stdout=output, stderr=subprocess.STDOUT, timeout=HANG_S, check=False)
            output.seek(0)
            assert done.returncode == 0, f"{command}: {output.read().decode(errors='replace')}"
