from __future__ import annotations

import json

from benchmarks.compare import install
from benchmarks.compare.peer import PEERS_DIR, Load, Peer, Said, Unreadable, first_version

PROGRAM = PEERS_DIR / "npm" / "node_modules" / ".bin" / "autocannon"


class Autocannon(Peer):
    """Node.js. With a rate it corrects its times for requests that a slow answer kept it from sending."""

    name = "autocannon"
    source = "npm: autocannon"
    rate_mode = "split over connections"
    times = "sending, corrected for the rate"

    def install(self) -> None:
        install.npm("autocannon@9.0.0")

    def version(self) -> str:
        return first_version([PROGRAM, "--version"])

    def command(self, load: Load) -> list[str]:
        rate = [] if load.rate is None else ["-R", str(load.rate)]
        return [str(PROGRAM), "--json", "-c", str(load.senders), "-d", str(load.seconds), "-t", "20", *rate, load.url]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads(output)
            bad = found["non2xx"] + found["errors"] + found["timeouts"]
            return Said(found["requests"]["total"], bad, float(found["latency"]["p99"]), float(found["latency"]["max"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"no such JSON: {error}") from error
