from __future__ import annotations

import importlib.metadata
import json
import sys

from benchmarks.compare.peer import Load, Missing, Peer, Said, Unreadable

LOCUSTFILE = """
import json
from locust import FastHttpUser, constant, constant_throughput, events, task

class BenchmarkUser(FastHttpUser):
    host = %(url)r
    wait_time = %(wait)s

    @task
    def one(self):
        with self.client.get("/", catch_response=True) as response:
            if response.status_code != 200:
                response.failure("status")

@events.quitting.add_listener
def tell(environment, **_):
    total = environment.stats.total
    p99 = total.get_response_time_percentile(0.99)
    print(json.dumps({"requests": total.num_requests, "errors": total.num_failures, "p99": p99, "max": total.max_response_time}))
"""


class Locust(Peer):
    """Python on gevent, FastHttpUser, of the version that loadflow itself uses. A rate is kept by users who pace themselves."""

    name = "Locust FastHttpUser"
    source = "PyPI: locust"
    rate_mode = "per user"

    def install(self) -> None:
        self.version()  # a dependency of loadflow

    def version(self) -> str:
        try:
            return importlib.metadata.version("locust")
        except importlib.metadata.PackageNotFoundError as error:
            raise Missing("not installed: pip install locust") from error

    def command(self, load: Load) -> list[str]:
        wait = "constant(0)" if load.rate is None else f"constant_throughput({load.rate / load.senders})"
        file = load.folder / "locustfile.py"
        file.write_text(LOCUSTFILE % {"url": load.url.rstrip("/"), "wait": wait})
        users = ["-u", str(load.senders), "-r", "1000", "-t", f"{load.seconds}s"]
        return [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(file),
            "--headless",
            *users,
            "--only-summary",
            "--loglevel",
            "ERROR",
            "--exit-code-on-error",
            "0",
        ]

    def read(self, output: str, load: Load) -> Said:
        try:
            found = next(json.loads(line) for line in output.splitlines() if line.startswith('{"requests"'))
        except StopIteration as error:
            raise Unreadable("no line of JSON") from error
        return Said(found["requests"], found["errors"], found["p99"], found["max"])
