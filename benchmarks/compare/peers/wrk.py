from __future__ import annotations

import re

from benchmarks.compare import install
from benchmarks.compare.peer import Load, Peer, Said, Unreadable, first_version, ms


class Wrk(Peer):
    """C, one thread here; no rate. Its count ends when its time does, so answers on their way then are not in it.

    Its percentiles are corrected for requests that a slow answer kept it from sending, by the mean gap between requests.
    """

    name = "wrk"
    source = "Debian: wrk"
    times = "sending, corrected at the end"

    def install(self) -> None:
        install.debian("wrk")

    def version(self) -> str:
        return first_version(["wrk", "--version"])

    def command(self, load: Load) -> list[str]:
        return ["wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "20s", "--latency", load.url]

    def read(self, output: str, load: Load) -> Said:
        requests = re.search(r"(\d+) requests in", output)
        p99 = re.search(r"99%\s+(\S+)", output)
        latency = re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", output)
        if requests is None or p99 is None or latency is None:
            raise Unreadable("no count or no latency")
        sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
        status = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        errors = sum(map(int, sockets.groups())) if sockets else 0
        return Said(int(requests.group(1)), errors + (int(status.group(1)) if status else 0), ms(p99.group(1)), ms(latency.group(1)))
