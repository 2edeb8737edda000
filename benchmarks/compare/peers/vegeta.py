from __future__ import annotations

import json
import shlex

from benchmarks.compare import install
from benchmarks.compare.install import BIN
from benchmarks.compare.peer import Load, Peer, Said, Unreadable

VERSION = "v12.12.0"


class Vegeta(Peer):
    """Go. A rate is its very mode; `-rate 0` is its closed loop. It writes each result down and reports afterwards."""

    name = "vegeta"
    source = "Go module: github.com/tsenart/vegeta/v12"
    rate_mode = "overall"

    def install(self) -> None:
        install.go(f"github.com/tsenart/vegeta/v12@{VERSION}")

    def version(self) -> str:
        return install.go_version("vegeta")

    def command(self, load: Load) -> list[str]:
        vegeta, results = shlex.quote(str(BIN / "vegeta")), shlex.quote(str(load.folder / "results.gob"))
        pace = f"-rate {load.rate or 0} -duration {load.seconds}s -workers {load.senders} -max-workers {load.connections}"
        attack = f"echo GET {load.url} | {vegeta} attack {pace} -connections {load.connections} -timeout 20s -output {results}"
        return ["sh", "-c", f"{attack} && {vegeta} report -type json {results}"]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads(output)
            requests, latency = found["requests"], found["latencies"]
            return Said(requests, requests - found["status_codes"].get("200", 0), latency["99th"] / 1e6, latency["max"] / 1e6)
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"no such JSON: {error}") from error
