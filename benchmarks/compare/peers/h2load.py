from __future__ import annotations

import re

from benchmarks.compare import install
from benchmarks.compare.peer import Load, Peer, Said, Unreadable, first_version, ms


class H2load(Peer):
    """C++, libev, HTTP/1.1 here. Its rate is per connection; its summary has the slowest request, but no percentiles."""

    name = "h2load"
    source = "Debian: nghttp2-client"
    rate_mode = "per connection"

    def install(self) -> None:
        install.debian("nghttp2-client")

    def version(self) -> str:
        return first_version(["h2load", "--version"])

    def command(self, load: Load) -> list[str]:
        rate = [] if load.rate is None else [f"--rps={load.rate / load.senders:g}"]
        return ["h2load", "--h1", "-t1", f"-c{load.senders}", f"-D{load.seconds}", *rate, load.url]

    def read(self, output: str, load: Load) -> Said:
        count = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", output)
        times = re.search(r"time for request:\s+\S+\s+(\S+)", output)
        codes = re.search(r"status codes: (\d+) 2xx", output)
        if count is None or times is None or codes is None:
            raise Unreadable("no count or no times")
        return Said(int(count.group(1)), int(count.group(1)) - int(codes.group(1)), None, ms(times.group(1)))
