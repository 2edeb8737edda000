"""Hits per second of each protocol beside its plain client library in a loop: the same peer, the same exchange.

    python -m benchmarks.protocols --protocol websocket [--rounds 3] [--seconds 4] [--write]

50 users (10 where a call takes 200 ms) on core 0 against a small server on core 1, all tools in turn in each round. loadflow is measured
on both of its engines, where the native core speaks the protocol. Where the server counts what it answers, that count is the rate of
loadflow and of the plain client, and loadflow's records must not say more. The servers are Python: what they take of their core bounds
every tool. The plain client has no more than its library
needs: no templates, no assertions, no records. LoadDensity does the same steps; it waits after each pass, so its passes are long, and
it opens a TCP or UDP socket for each step. Ours also checks and records every exchange.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_users import load_density
from benchmarks.protocol_subjects import SUBJECTS, Subject
from benchmarks.results import publish, table
from loadflow.engine.generator.native.fit import MESSAGE_USERS

LOADFLOW = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
user, step, target, seconds, users, engine = sys.argv[1:]
with use_session(Session(runs_dir="runs")):
    often = {"user_count": int(users), "spawn_rate": 1000, "test_time": float(seconds)}
    summary = start_test({"user": user, "engine": engine}, **often, host=target, tasks=[json.loads(step)])
totals = summary["totals"]
assert totals["failures"] == 0, totals
print(totals["requests"] / float(seconds))
"""
# its users wait 0.1 to 0.2 s after each pass, so a pass is made long; what is in its records is what it counts, from the first to the
# last, for it does not always end in time
PEER = """
import json, sys, time
from je_load_density import start_test
from je_load_density.utils.test_record.test_record_class import test_record_instance
class Timed(list):
    def append(self, item):
        self.last = time.monotonic()
        if not self: self.first = self.last
        super().append(item)
user, step, seconds, users = sys.argv[1:]
test_record_instance.test_record_list = done = Timed()
start_test({"user": user}, user_count=int(users), spawn_rate=1000, test_time=float(seconds), tasks=[json.loads(step)] * 500)
failed = len(test_record_instance.error_record_list)
print(-1 if failed or not done else len(done) / (done.last - done.first))
"""
# `user` makes exchanges until the end and returns how many
PLAIN = """
%s
import sys, time
target, seconds, users = sys.argv[1:]
host, port = target.rpartition("/")[2].rsplit(":", 1)
end = time.monotonic() + float(seconds)
%s
print(together(user, int(users)) / float(seconds))
"""


@dataclass(frozen=True)
class Row:
    """Exchanges per second of one round."""

    native: float | None  # None: the core does not speak it
    locust: float
    plain: float
    peer: float | None  # None: not here, or with failures


def main() -> None:
    options = _options()
    rows = []
    for name in options.protocol or SUBJECTS:
        subject = SUBJECTS[name]
        found = [measure(subject, options.seconds) for _ in range(options.rounds)]
        locust, plain = ([getattr(row, key) for row in found] for key in ("locust", "plain"))
        native = [row.native for row in found if row.native is not None]
        ratio = statistics.median((row.native or row.locust) / row.plain for row in found)
        peers = [row.peer for row in found if row.peer is not None]
        ratios = [f"{ratio:.2f}", f"{statistics.median(native or locust) / statistics.median(peers):.2f}" if peers else "–"]
        own = [_shown(native) if native else "–", _shown(locust)]
        rows.append([name, *own, subject.plain_name, _shown(plain), _shown(peers) if peers else "does not work", *ratios])
        print(rows[-1], flush=True)
    command = f"python -m benchmarks.protocols {' '.join(f'--protocol {name}' for name in options.protocol or ())}".rstrip()
    text = table(
        ["protocol", "core, hits/s", "Locust, hits/s", "plain client", "hits/s", "LoadDensity, hits/s", "ratio to plain", "to LoadDensity"],
        rows,
    )
    publish(f"Protocols: {', '.join(options.protocol or SUBJECTS)}", command, text, write=options.write)


def measure(subject: Subject, seconds: float) -> Row:
    """One round: all tools in turn, against one server."""
    with tempfile.TemporaryDirectory() as folder, serving(subject, folder) as server:
        for name, text in subject.files.items():
            (Path(folder) / name).write_text(text)
        target, often = subject.target.format(port=server.port), (str(seconds), str(subject.users))
        asked = (subject.user, json.dumps(subject.step), target, *often)
        native = server.rate(seconds, folder, LOADFLOW, *asked, "native") if subject.user in MESSAGE_USERS else None
        locust = server.rate(seconds, folder, LOADFLOW, *asked, "locust")
        plain = server.rate(seconds, folder, PLAIN % (subject.setup, subject.plain), target, *often)
        python = load_density("grpc", "mqtt")
        step = json.dumps(subject.peer | {subject.peer_target: target})
        try:
            told = _rate(folder, PEER, subject.user, step, *often, python=str(python)) if python else -1
        except subprocess.TimeoutExpired:
            told = -1
    return Row(native, locust, plain, told if told > 0 else None)


def _rate(folder: str, code: str, *arguments: str, python: str = sys.executable) -> float:
    command = ["taskset", "-c", "0", python, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, cwd=folder, timeout=60)
    return float(done.stdout.split()[-1])


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[str]
    counts: bool

    def rate(self, seconds: float, folder: str, code: str, *arguments: str) -> float:
        """Of one tool, by the server's count where it has one."""
        before = self.answered()
        told = _rate(folder, code, *arguments)
        if not self.counts:
            return told
        answered = self.answered() - before
        assert told * seconds <= answered, f"{told * seconds} exchanges are said to have been made, {answered} were answered"
        return answered / seconds

    def answered(self) -> int:
        """So far."""
        if not self.counts:
            return 0
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def serving(subject: Subject, folder: str) -> Iterator[Server]:
    command = ["taskset", "-c", "1", sys.executable, "-c", subject.server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()), process, subject.counts)
        finally:
            process.kill()


def _shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--protocol", action="append", choices=sorted(SUBJECTS), help="may be given several times; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
