from __future__ import annotations

import re

from benchmarks.compare import install
from benchmarks.compare.peer import Load, Peer, Said, Unreadable


class Hey(Peer):
    """Go. Its rate is per worker, each with a ticker of its own; it keeps the times of the first million requests."""

    name = "hey"
    source = "Debian: hey"
    rate_mode = "per connection"

    def install(self) -> None:
        install.debian("hey")

    def version(self) -> str:
        return install.debian_version("hey")  # it does not say itself

    def command(self, load: Load) -> list[str]:
        rate = [] if load.rate is None else ["-q", f"{load.rate / load.senders:g}"]
        return ["hey", "-z", f"{load.seconds}s", "-c", str(load.senders), *rate, load.url]

    def read(self, output: str, load: Load) -> Said:
        slowest = re.search(r"Slowest:\s+([\d.]+) secs", output)
        p99 = re.search(r"99%+ in ([\d.]+) secs", output)
        codes = {int(code): int(count) for code, count in re.findall(r"\[(\d{3})\]\s+(\d+) responses", output)}
        failed = sum(int(count) for count in re.findall(r"^\s+\[(\d+)\]\t(?!\d+ responses)", output, re.MULTILINE))
        if slowest is None or not (codes or failed):
            raise Unreadable("no times or no status codes")
        requests = sum(codes.values()) + failed
        p99_ms = float(p99.group(1)) * 1e3 if p99 else None
        return Said(requests, requests - codes.get(200, 0), p99_ms, float(slowest.group(1)) * 1e3)
