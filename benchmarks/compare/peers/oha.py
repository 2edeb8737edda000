from __future__ import annotations

import json

from benchmarks.compare import install
from benchmarks.compare.install import BIN
from benchmarks.compare.peer import Load, Peer, Said, Unreadable, first_version


class Oha(Peer):
    """Rust, tokio and hyper. With a rate it is given `--latency-correction`, which counts from when a request was due."""

    name = "oha"
    source = "crates.io: oha"
    rate_mode = "overall"
    times = "when due (an option)"

    def install(self) -> None:
        install.cargo("oha", "1.16.0")

    def version(self) -> str:
        return first_version([BIN / "oha", "--version"])

    def command(self, load: Load) -> list[str]:
        rate = [] if load.rate is None else ["-q", str(load.rate), "--latency-correction"]
        # -w: requests on their way at the end are waited for, as by the others
        command = ["oha", "--no-tui", "--output-format", "json", "-w", "-c", str(load.connections), "-z", f"{load.seconds}s"]
        return [str(BIN / command[0]), *command[1:], *rate, load.url]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = json.loads(output)
            codes, failed = found["statusCodeDistribution"], sum(found["errorDistribution"].values())
            requests = sum(codes.values()) + failed
            p99, most = found["latencyPercentiles"]["p99"], found["summary"]["slowest"]
            return Said(requests, requests - codes.get("200", 0), p99 * 1e3, most * 1e3)
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"no such JSON: {error}") from error
