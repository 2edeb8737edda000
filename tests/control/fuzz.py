"""Scripts and frames that hypothesis makes, from clients with the token and without: nothing freezes, no place is lost, memory stays.

The server is a process of its own, so that its memory, its files and the time it takes to answer are its own too. `make fuzz-control`
runs this for an hour (`MINUTES=`); the suite for ten seconds. SIGTERM and SIGINT end it early, with its report.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from loadflow.engine.calibration.target import NullTarget
from loadflow.engine.control.client import ControlClient, ControlError
from loadflow.engine.control.frames import MAX_FRAME_BYTES, encode_frame
from loadflow.engine.control.limits import Limits
from loadflow.errors import LoadflowError
from tests.control.fuzz_inputs import TARGET, Ask, Hostile, Start, doings
from tests.control.fuzz_watch import DEAD_S

TOKEN = "a token of the fuzz"
FROZEN_S = 10.0  # without an answer to `list`, where the machine has time for us; see `fuzz_watch.py`
SLOWER = 20  # times that a late machine allows
FREE_S = 60.0  # for every run to end once it is asked to, or for as long as the machine is late
WARM = 0.25  # share of the time until caches are full
KEPT_RUNS = 100  # folders of runs that have ended
GROWTH_BYTES = 64 * 2**20  # by the slope, over all the time after the warm-up
GROWTH_FILES = 20
GROWTH_IN_USE = 0.03  # of Python's blocks, and of the C library's bytes
PROGRESS_S = 60.0
ROUND = 40  # batches of messages

SERVER = """
import sys
from loadflow.engine.control.server import ControlServer
from tests.control.in_use import in_use
server = ControlServer(port=0, token=sys.argv[1], root=".").start()
print(server.port, flush=True)
for _ in sys.stdin:
    print(sys.argv[1], *in_use(), flush=True)
server.close()
"""


@dataclass
class Seen:
    """What a fuzz saw; `wrong` is empty when all was well. `slowest_s` is of `list`; samples are (seconds, amount)."""

    sent: int = 0
    rounds: int = 0
    started: int = 0
    ended: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    in_use: int = 0
    most_in_use: int = 0
    asked: int = 0
    slowest_s: float = 0.0
    latest_s: float = 0.0
    memory: list[tuple[float, int]] = field(default_factory=list)
    blocks: list[tuple[float, int]] = field(default_factory=list)
    c_bytes: list[tuple[float, int]] = field(default_factory=list)
    files: list[tuple[float, int]] = field(default_factory=list)
    threads: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)  # set: end early

    def grown(self) -> float:
        """Bytes that memory grew by after the warm-up, by its slope; 0 when there are too few rounds to say."""
        return _grown(self.memory)

    def __str__(self) -> str:
        memory = [size / 2**20 for _, size in self.memory] or [0.0]
        files = [count for _, count in self.files] or [0]
        share = self.started / max(1, self.sent)
        return (
            f"{self.sent:,} messages in {self.rounds:,} rounds; {self.started:,} runs started ({share:.0%}), {self.ended:,} waited for; "
            f"{self.in_use} places in use, at most {self.most_in_use}; `list` asked {self.asked:,} times, "
            f"slowest answer {self.slowest_s:.2f} s, the machine itself up to {self.latest_s:.2f} s late; "
            f"memory {memory[0]:.0f} to {memory[-1]:.0f} MiB, at most {max(memory):.0f}, "
            f"grown {self.grown() / 2**20:+.0f} after the warm-up; in use grown {_share_grown(self.blocks):+.1%} of Python's blocks, "
            f"{_share_grown(self.c_bytes):+.1%} of the C library's bytes; files {files[0]} to {files[-1]}, threads {self.threads}; "
            f"verdicts {dict(self.verdicts.most_common())}; refusals {dict(self.kinds.most_common())}"
        )


def _grown(samples: list[tuple[float, int]]) -> float:
    if not samples:
        return 0.0
    first_s, last_s = samples[0][0], samples[-1][0]
    late = [(when_s, size) for when_s, size in samples if when_s >= first_s + WARM * (last_s - first_s)]
    if len(late) < 10:
        return 0.0
    # by Theil and Sen: the median of all pairs' slopes, so that a run which is large while it lasts does not count as growth
    slopes = [(size - before) / (when_s - then_s) for (then_s, before), (when_s, size) in combinations(late, 2) if when_s > then_s]
    return statistics.median(slopes) * (late[-1][0] - late[0][0])


def _share_grown(samples: list[tuple[float, int]]) -> float:
    return _grown(samples) / samples[0][1] if samples and samples[0][1] else 0.0


def furnish(folder: Path) -> None:
    """Files that are of all kinds."""
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):  # a long path has no socket
        sock.bind(str(folder / "sock"))
    (folder / "folder").mkdir()
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    (folder / "wide.csv").write_text(",".join(f"c{number}" for number in range(50_000)) + "\n")
    (folder / "deep.har").write_text('{"log": {"entries": [' + "[" * 50_000)
    (folder / "digits.har").write_text('{"log": {"entries": [' + "9" * 5_000 + "]}}")
    (folder / "small.har").write_text('{"log": {"entries": [{"request": {"method": "GET", "url": "http://127.0.0.1:9/"}}]}}')


class Server:
    """The process of a control server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self.port = int(self._stdout.readline())
        self.process = psutil.Process(process.pid)
        self._told: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def in_use(self) -> tuple[int, int]:
        """See `tests.control.in_use`."""
        self._stdin.write("\n")
        self._stdin.flush()
        blocks, c_bytes = self._told.get(timeout=DEAD_S).removeprefix(TOKEN).split()
        return int(blocks), int(c_bytes)

    def _read(self) -> None:
        """Whatever scripts print stands between what is told."""
        for line in self._stdout:
            if line.startswith(TOKEN):
                self._told.put(line)


@contextlib.contextmanager
def server_in(folder: Path) -> Iterator[Server]:
    hosts = {"LOADFLOW_ALLOWED_HOSTS": "127.0.0.1,localhost", "LOADFLOW_ALLOWED_EXPORT_HOSTS": "127.0.0.1"}
    environment = {**os.environ, **hosts, "LOADFLOW_RUNS_DIR": str(folder / "runs"), "PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder.parent / f"{folder.name}.log").open("wb") as said:
        process = subprocess.Popen(  # a session of its own: a Ctrl-C is the fuzz's
            [sys.executable, "-c", SERVER, TOKEN],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        try:
            yield Server(process)
        finally:
            process.kill()
            process.wait()


class Fuzz:
    """One server and all that is sent to it; `seen` is told as it goes."""

    def __init__(self, seconds: float, folder: Path, seen: Seen, *, first_seed: int, target: str) -> None:
        self.seen = seen
        self._seconds = seconds
        self._folder = folder
        self._first_seed = first_seed
        self._target = target
        self._runs: list[str] = []

    def run(self) -> None:
        seen = self.seen
        with server_in(self._folder) as server:
            self._port, process = server.port, server.process
            self._end_s, done = time.monotonic() + self._seconds, threading.Event()
            threads = [threading.Thread(target=work, args=(done,), daemon=True) for work in (self._watch, self._tell)]
            for thread in threads:
                thread.start()
            while self._goes_on():
                self._round(self._first_seed + seen.rounds)
                self._free(1)
                self._forget_runs()
                blocks, c_bytes = server.in_use()
                seen.blocks.append((time.monotonic(), blocks))
                seen.c_bytes.append((time.monotonic(), c_bytes))
                seen.memory.append((time.monotonic(), process.memory_info().rss))
                seen.files.append((time.monotonic(), process.num_fds()))
                seen.threads = process.num_threads()
                seen.rounds += 1
            if not seen.wrong:
                self._free(Limits().runs_at_once)
                if children := process.children(recursive=True):
                    seen.wrong.append(f"these processes of ended runs live on: {children}")
            done.set()
            for thread in threads:
                thread.join(DEAD_S)
        if seen.grown() > GROWTH_BYTES:
            seen.wrong.append(f"memory grew by {seen.grown() / 2**20:.0f} MiB after the warm-up")
        for what, samples in (("Python's blocks", seen.blocks), ("the C library's bytes", seen.c_bytes)):
            if _share_grown(samples) > GROWTH_IN_USE:
                seen.wrong.append(f"{what} in use grew by {_share_grown(samples):.1%} after the warm-up")
        if _grown(seen.files) > GROWTH_FILES:
            seen.wrong.append(f"open files grew by {_grown(seen.files):.0f} after the warm-up")

    def _forget_runs(self) -> None:
        """Remove old run folders: a load's report looks at every earlier run, so memory would grow with the disk and hide a leak."""
        ended = sorted((self._folder / "runs").glob("*/end.json"))
        for end in ended[:-KEPT_RUNS]:
            shutil.rmtree(end.parent, ignore_errors=True)

    def _goes_on(self) -> bool:
        """At least one message is sent, however slow the machine is."""
        in_time = time.monotonic() < self._end_s or not self.seen.sent
        return in_time and not self.seen.wrong and not self.seen.over.is_set()

    def _round(self, number: int) -> None:
        """Some messages that hypothesis draws."""

        @seed(number)
        @settings(max_examples=ROUND, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(st.lists(doings, min_size=1, max_size=6))
        def send(batch: list[Start | Ask | Hostile]) -> None:
            for one in batch:
                if not self._goes_on():
                    return
                try:
                    self._do(one)
                except (LoadflowError, OSError) as error:
                    self._refused(one, error)

        send()

    def _do(self, one: Start | Ask | Hostile) -> None:
        self.seen.sent += 1
        if isinstance(one, Hostile):
            self._send(one)
        elif isinstance(one, Ask):
            run = self._runs[-1 - one.back] if one.back < len(self._runs) else "none"
            with self._client(TOKEN if one.knows_token else "a guess") as client:
                client.ask(one.op, **({} if one.op == "list" else {"run": run}))
        else:
            self._make_room()
            script = json.loads(json.dumps(one.script).replace(TARGET, self._target))
            with self._client() as client:
                run = client.start(script, label=one.label, follow=one.then == "leave")
                self.seen.started += 1
                self._runs = [*self._runs[-20:], run]
                if one.then == "follow":
                    self.seen.verdicts[client.follow(run)["verdict"]["verdict"]] += 1
                    self.seen.ended += 1
                elif one.then == "cancel":
                    client.stop(run, "the fuzz")

    def _refused(self, one: Start | Ask | Hostile, error: Exception) -> None:
        """A refusal is an answer, but for a valid script with the token; a client that is not answered is a fault."""
        kind = error.kind if isinstance(error, ControlError) else type(error).__name__
        self.seen.kinds[kind] += 1
        if (isinstance(one, Start) and kind != "busy") or (isinstance(one, Ask) and not isinstance(error, ControlError)):
            self.seen.wrong.append(f"{one!r:.2000}: {type(error).__name__}: {error} {getattr(error, 'mistakes', '')}")

    def _client(self, token: str = TOKEN) -> ControlClient:
        return ControlClient("127.0.0.1", self._port, token=token, timeout_s=DEAD_S)

    def _make_room(self) -> None:
        """Wait until a script has a place, and end the oldest run where all are taken."""
        until_s = time.monotonic() + FREE_S
        with self._client() as client:
            while len(running := _running(client)) >= Limits().runs_at_once and time.monotonic() < until_s:
                with contextlib.suppress(ControlError):
                    client.stop(running[0]["run"], "room for another")
                time.sleep(0.05)

    def _send(self, one: Hostile) -> None:
        """One connection: what it says, and what it is answered, if anything within a moment; then it is gone."""
        message = one.message
        if isinstance(message, bytes):
            data = message
        else:
            if isinstance(message, dict):
                message = {**message, "token": TOKEN if one.knows_token else "a guess"}
            with contextlib.suppress(LoadflowError, ValueError):
                message = json.dumps(message).encode()
            if not isinstance(message, bytes) or not 1 <= len(message) <= MAX_FRAME_BYTES:
                return
            data = encode_frame(message)
        if one.knows_token:
            data = encode_frame(json.dumps({"op": "list", "token": TOKEN}).encode()) + data
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as sock:
            sock.settimeout(0.3)
            sock.sendall(data)
            answer = b""
            with contextlib.suppress(TimeoutError):
                for _ in range(2 if one.knows_token else 1):
                    answer += sock.recv(65_536)
            for kind in ("bad_frame", "bad_request", "unauthorised", "script", "not_found", "busy", "rate", "timeout", "too_large"):
                self.seen.kinds[kind] += f'"kind":"{kind}"'.encode() in answer
            self.seen.started += b'"result":{"run":' in answer and b'"op":"start"' in answer

    def _watch(self, done: threading.Event) -> None:
        """What somebody is answered who asks all the time; how soon is held against what the machine can do then."""
        seen = self.seen
        watching = subprocess.Popen(
            [sys.executable, "-m", "tests.control.fuzz_watch", str(self._port), TOKEN],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
            start_new_session=True,
        )
        assert watching.stdout is not None
        try:
            while not done.is_set() and not seen.wrong:
                heard = json.loads(watching.stdout.readline() or '{"error": "who asks is gone"}')
                if heard["error"]:
                    seen.wrong.append(f"`list` was not answered: {heard['error']}")
                    return
                took_s, late_s = heard["took_s"], heard["late_s"]
                seen.asked += 1
                seen.in_use = heard["in_use"]
                seen.most_in_use = max(seen.most_in_use, seen.in_use)
                seen.slowest_s = max(seen.slowest_s, took_s)
                seen.latest_s = max(seen.latest_s, late_s)
                if took_s > FROZEN_S + SLOWER * late_s:
                    seen.wrong.append(f"`list` was answered after {took_s:.1f} s, while an idle process was {late_s:.3f} s late at most")
        finally:
            watching.kill()
            watching.wait()

    def _tell(self, done: threading.Event) -> None:
        begun_s = time.monotonic()
        while not done.wait(PROGRESS_S):
            print(f"{(time.monotonic() - begun_s) / 60:3.0f} min: {self.seen}", flush=True)

    def _free(self, places: int) -> None:
        """Every run is asked to end, does, and so many places can be had again, all at once."""
        seen, begun_s = self.seen, time.monotonic()
        try:
            with self._client() as client:
                while running := _running(client):
                    for run in running:
                        with contextlib.suppress(ControlError):
                            client.stop(run["run"])
                    if time.monotonic() > begun_s + FREE_S + SLOWER * seen.latest_s:
                        seen.wrong.append(f"these runs don't end: {running}")
                        return
                    time.sleep(0.1)
                load = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "test_time": 600, "wait_time": 0.1}
                long = [["LD_start_test", {**load, "tasks": [{"method": "get", "request_url": f"{self._target}/"}]}]]
                runs = [client.start(long) for _ in range(places - 1)]
                runs.append(client.start([["len", ["abc"]]]))
                result = client.follow(runs[-1])
                if result["actions"][0]["value"] != 3:
                    seen.wrong.append(f"a run after it gave {result}")
                for held in runs[:-1]:
                    client.stop(held)
                    client.follow(held)
                seen.in_use = len(_running(client))
                if seen.in_use:
                    seen.wrong.append(f"{seen.in_use} places stay in use")
        except (LoadflowError, OSError) as error:
            seen.wrong.append(f"after a round: {type(error).__name__}: {error}")


def _running(client: ControlClient) -> list[dict[str, Any]]:
    return [run for run in client.list() if run["state"] != "ended"]


def fuzz(seconds: float, folder: Path, *, first_seed: int = 0, seen: Seen | None = None) -> Seen:
    """Send for so long, or until `seen.over` is set; look all the time, and say what was seen."""
    seen = seen or Seen()
    furnish(folder)
    with NullTarget() as target:
        Fuzz(seconds, folder, seen, first_seed=first_seed, target=target.url).run()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    asked = parser.parse_args()
    seen = Seen()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: seen.over.set())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        try:
            fuzz(60 * asked.minutes, root, first_seed=asked.seed, seen=seen)
        finally:
            print(f"seed {asked.seed}: {'ended early; ' if seen.over.is_set() else ''}{seen}")
        if seen.wrong:
            print(*seen.wrong, (root.parent / "root.log").read_text(errors="replace")[-4_000:], sep="\n")
            sys.exit(1)
        print("nothing froze, no place was lost, memory stayed")


if __name__ == "__main__":
    main()
