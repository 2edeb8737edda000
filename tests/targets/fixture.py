"""The recording target as a test uses it: started once, asked for what it received."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

__all__ = ["Record", "Target"]

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Record:
    """One request as it arrived; `at_ns` is `time.monotonic_ns()` of the same machine, `target` has the query."""

    at_ns: int
    connection: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """The first value of a header, its name in any case; None if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Target:
    """A recording server process of one's own.

    `with Target() as target:` or `start()` and `stop()`; it also ends when the test process dies, however that ends.
    """

    def __init__(self, *, tls: tuple[str | Path, str | Path] | None = None) -> None:
        self._tls = tls
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.port = 0
        self.control_port = 0

    def __enter__(self) -> Target:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns once it listens."""
        command = [sys.executable, "-m", "tests.targets.recording", "--port", "0", "--lifeline"]
        if self._tls is not None:
            command += ["--tls", *map(str, self._tls)]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the recording target ended with {self._process.wait()} before it listened; its stderr says why")
        said = json.loads(line)
        self.url, self.port, self.control_port = said["url"], said["port"], said["control_port"]

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def records(self, path: str | None = None) -> list[Record]:
        """Every request so far in the order of arrival, or those of one path (without query)."""
        question = "/__records" if path is None else f"/__records?{urlencode({'path': path})}"
        return [
            Record(
                record["at_ns"],
                record["connection"],
                record["method"],
                record["target"],
                tuple((name, value) for name, value in record["headers"]),
                b64decode(record["body"]),
            )
            for record in self._ask(question)["records"]
        ]

    def counts(self) -> dict[str, int]:
        """Requests so far by path, without the query."""
        counts: dict[str, int] = self._ask("/__counts")
        return counts

    def connections(self) -> dict[str, int]:
        """`opened` since the start, `open` now, and `malformed`: ended by a request that is none, since the last reset."""
        connections: dict[str, int] = self._ask("/__connections")
        return connections

    def reset(self) -> None:
        """Forgets what was received; call it at the start of a test."""
        self._ask("/__reset")

    def _ask(self, question: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.control_port, timeout=60)
        try:
            connection.request("GET", question)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{question} gave {answer.status}: {body!r}")
            return json.loads(body)
        finally:
            connection.close()
