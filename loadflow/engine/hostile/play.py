"""Plays the hostile answers to each engine, one load for each user type, and says how each ended."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.hostile.answer import MAX_BODY_BYTES, HostileAnswer
from loadflow.engine.hostile.grpc_answers import GRPC_ANSWERS, GRPC_BELOW, GRPC_CORE_ANSWERS, GRPC_CORE_TLS_ANSWERS, GRPC_TLS_ANSWERS, PROTO
from loadflow.engine.hostile.http2_answers import HTTP2_ANSWERS, HTTP2_TLS_ANSWERS
from loadflow.engine.hostile.http3_answers import HTTP3_ANSWERS
from loadflow.engine.hostile.http_answers import HTTP_ANSWERS
from loadflow.engine.hostile.memory import MemoryWatch
from loadflow.engine.hostile.message_answers import (
    MQTT_ANSWERS,
    MQTT_TLS_ANSWERS,
    MQTT_TLS_FLOODS,
    TCP_ANSWERS,
    UDP_ANSWERS,
    WEBSOCKET_ANSWERS,
)
from loadflow.engine.hostile.tls_answers import BELOW, TLS_ANSWERS
from loadflow.engine.hostile.tls_records import SERVER_NAME, certificate_path
from loadflow.engine.load.start import start_test
from loadflow.engine.process.launch import child_environment
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import RunError

__all__ = ["LOADS", "MOST_LAG_MS", "MOST_MEMORY_MB", "Played", "Target", "hostile_target", "play", "play_all", "why_not"]

MOST_LAG_MS = 1_000.0  # a loop that is later than that stands
MOST_MEMORY_MB = 300.0  # more than the engine had before the first answer; a body of the most bytes is here a few times at once
LONGEST_S = 300
TIMEOUT_S = 20.0  # where an answer says nothing else: it ends by what is wrong with it, not by time
SERVER = [sys.executable, "-P", "-m", "loadflow.engine.hostile.server"]
AT_ONCE = 2  # loads: a loop that is alone on its core shows its own lag
HTTP_2 = ("TLS: silence", "TLS: large tickets without end", "TLS: new keys without end", "TLS: empty records without end")

# a word for a load, and its user_detail_dict
LOADS: dict[str, dict[str, object]] = {
    "native": {"user": "fast_http_user", "engine": "native"},
    "native, HTTP/2": {"user": "fast_http_user", "engine": "native", "http_version": 2},
    "native, HTTP/2 with streams": {"user": "fast_http_user", "engine": "native", "http_version": 2, "streams": 4},
    "native, HTTP/3": {"user": "fast_http_user", "engine": "native", "http_version": 3},
    "native, HTTP/3 with streams": {"user": "fast_http_user", "engine": "native", "http_version": 3, "streams": 4},
    "fast_http_user": {"user": "fast_http_user", "engine": "locust"},
    **{f"native, {user}": {"user": user, "engine": "native"} for user in ("websocket_user", "socket_user", "grpc_user")},
    **{user: {"user": user, "engine": "locust"} for user in ("websocket_user", "socket_user", "mqtt_user", "grpc_user")},
}


@dataclass(frozen=True, slots=True)
class Played:
    """How one answer ended. `got` None: its step was not made. `lag_ms`: the latest that the loop was in the seconds of its hit.

    `memory_mb`: how much more the engine's process had at most, until the next answer, than before the first.
    """

    load: str
    answer: HostileAnswer
    got: Outcome | None
    error: str
    took_ms: float
    lag_ms: float
    memory_mb: float

    @property
    def is_right(self) -> bool:
        return self.got is self.answer.outcome

    @property
    def is_late(self) -> bool:
        return self.lag_ms > MOST_LAG_MS

    @property
    def is_large(self) -> bool:
        return self.memory_mb > MOST_MEMORY_MB


@dataclass(frozen=True, slots=True)
class Target:
    """`ports` by kind and key; `certificate`: a PEM file, which is to be trusted by who verifies what the target shows."""

    ports: Mapping[str, Mapping[str, int]]
    certificate: Path


@contextmanager
def hostile_target() -> Iterator[Target]:
    """A target in a process of its own; it ends with the block, and with this process."""
    environment = child_environment()
    with (
        tempfile.TemporaryDirectory(prefix="loadflow-hostile-") as folder,
        subprocess.Popen([*SERVER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RunError("the hostile target can't be started; `loadflow doctor` says whether loopback works")
            yield Target(json.loads(line), certificate_path(Path(folder)))
        finally:
            process.kill()  # it floods, and does nothing that has to be brought to an end


def play_all(loads: Iterable[str], target: Target, at_once: int = AT_ONCE) -> Iterator[tuple[str, Future[list[Played]]]]:
    """Some loads at a time; each with what comes of it, in the order in which they are given."""
    with ThreadPoolExecutor(at_once) as pool:
        yield from [(load, pool.submit(play, load, target)) for load in loads]


def why_not(load: str, target: Target) -> str:
    """Why a load can't be played here, and the way out; empty: it can."""
    if LOADS[load].get("engine") == "native" and not is_built():
        return "the native core is not built; install Rust, then loadflow again from its sources"
    if LOADS[load].get("http_version") == 3 and "http3" not in target.ports:
        return "its server is made with aioquic, which is not installed; pip install 'aioquic>=1.2,<2'"
    return ""


def play(load: str, target: Target, observers: Sequence[Observer] = ()) -> list[Played]:
    """One load of one user; none is played where `why_not` says something. Raises RunError where its engine was lost."""
    if why_not(load, target):
        return []
    answers = _answers(load)
    with tempfile.TemporaryDirectory(prefix="loadflow-hostile-") as folder, MemoryWatch(Path(folder)) as memory:
        proto = Path(folder) / "hostile.proto"
        proto.write_text(PROTO)
        steps = [step for kind, answer in answers for step in _steps(kind, answer, target, proto)]
        session = Session(name="hostile", runs_dir=Path(folder), observers=list(observers))
        with use_session(session):
            start_test(
                LOADS[load],
                user_count=1,
                spawn_rate=1,
                iterations=1,
                test_time=LONGEST_S,
                max_body_bytes=MAX_BODY_BYTES,
                tasks=steps,
            )
        return list(_results(load, [answer for _, answer in answers], session.runs[-1], memory))


def _answers(load: str) -> list[tuple[str, HostileAnswer]]:
    match LOADS[load]["user"]:
        case "websocket_user":
            return [*(("websocket", answer) for answer in WEBSOCKET_ANSWERS), *(("wss", answer) for answer in BELOW)]
        case "socket_user":
            return [
                *(("tcp", answer) for answer in TCP_ANSWERS),
                *(("udp", answer) for answer in UDP_ANSWERS),
                *(("tls", answer) for answer in BELOW),
            ]
        case "mqtt_user":
            return [
                *(("mqtt", answer) for answer in MQTT_ANSWERS),
                *(("mqtts", answer) for answer in MQTT_TLS_ANSWERS),
                *(("tls mqtt", answer) for answer in [*BELOW, *MQTT_TLS_FLOODS]),
            ]
        case "grpc_user" if LOADS[load]["engine"] == "native":
            return [
                *(("grpc", answer) for answer in GRPC_CORE_ANSWERS),
                *(("tls grpc", answer) for answer in BELOW),
                *(("grpcs", answer) for answer in GRPC_CORE_TLS_ANSWERS),
            ]
        case "grpc_user":
            return [
                *(("grpc", answer) for answer in GRPC_ANSWERS),
                *(("tls grpc", answer) for answer in GRPC_BELOW),
                *(("grpcs", answer) for answer in GRPC_TLS_ANSWERS),
            ]
        case _ if LOADS[load].get("http_version") == 3:
            return [("http3", answer) for answer in HTTP3_ANSWERS]
        case _ if "http_version" in LOADS[load]:
            return [
                *(("http2", answer) for answer in HTTP2_ANSWERS),
                *(("https", answer) for answer in BELOW if answer.name in HTTP_2),
                *(("http2s", answer) for answer in HTTP2_TLS_ANSWERS),
            ]
        case _:
            return [*(("http", answer) for answer in HTTP_ANSWERS), *(("https", answer) for answer in TLS_ANSWERS)]


def _steps(kind: str, answer: HostileAnswer, target: Target, proto: Path) -> list[dict[str, object]]:
    ports = target.ports
    web = ports["web"][""]
    place: dict[str, object]
    match kind:
        case "http":
            place = {"method": "get", "request_url": f"http://127.0.0.1:{web}/{answer.key}"}
        case "websocket":
            place = {"request_url": f"ws://127.0.0.1:{web}/{answer.key}"}
        case "http2":
            place = {"method": "get", "request_url": f"http://127.0.0.1:{ports[kind][answer.key]}/"}
        case "https" | "http2s" | "http3":
            port = ports["tls" if kind == "https" else kind][answer.key]
            place = {"method": "get", "request_url": f"https://127.0.0.1:{port}/", "verify": False}
        case "wss":
            place = {"method": "connect", "request_url": f"wss://127.0.0.1:{ports['tls'][answer.key]}/", "verify": False}
        case "tls":
            place = {"protocol": "tcp", "target": f"127.0.0.1:{ports[kind][answer.key]}", "tls": True, "verify": False}
            place |= {"payload": "hello", "framing": {"delimiter": "\n"}}
        case "grpc" | "grpcs" | "tls grpc":
            port = ports[kind.split()[0]][answer.key]
            place = {"target": f"127.0.0.1:{port}", "proto": str(proto), "method": "hostile.Peer/One", "payload": {}}
            if kind != "grpc":  # its library always verifies
                place |= {"verify": str(target.certificate), "server_name": SERVER_NAME}
        case "mqtts" | "tls mqtt":
            place = {"broker": f"127.0.0.1:{ports[kind.split()[0]][answer.key]}", "method": "connect", "tls": {"verify": False}}
        case "mqtt":
            place = {"broker": f"127.0.0.1:{ports[kind][answer.key]}"}
        case _:
            place = {"target": f"127.0.0.1:{ports[kind][answer.key]}"}
    around = [[{**place, **step, "name": f"{answer.name} ({word})"} for step in steps] for word, steps in _around(answer)]
    return [*around[0], {**place, "timeout": TIMEOUT_S, **answer.step, "name": answer.name}, *around[1]]


def _around(answer: HostileAnswer) -> list[tuple[str, Sequence[Mapping[str, object]]]]:
    return [("before", answer.before), ("after", answer.after)]


def _results(load: str, answers: Sequence[HostileAnswer], run: Run, memory: MemoryWatch) -> Iterator[Played]:
    names = run.names()
    found = {names.series[int(row["series"])].name: row for row in run.hits()}
    origin_ns = read_header(run.hits_path(0)).origin_monotonic_ns
    begins = sorted(int(row["start_ns"]) for row in found.values())
    lags = {second.second: second.health.lag_ms for second in run.seconds()}
    for answer in answers:
        row = found.get(answer.name)
        if row is None:
            yield Played(load, answer, None, "", 0.0, 0.0, 0.0)
            continue
        # what is decoded is decoded behind the answer's end, so the second after it counts too
        seconds = range(int(row["start_ns"]) // 10**9, int(row["end_ns"]) // 10**9 + 2)
        error = names.errors[int(row["error"])].text if row["error"] else ""
        took_ms = (int(row["end_ns"]) - int(row["start_ns"])) / 1e6
        lag_ms = max(lags.get(second, 0.0) for second in seconds)
        until_ns = next((one for one in begins if one > row["start_ns"]), int(row["end_ns"]) + 10**9)
        grown = memory.grown(origin_ns + int(row["start_ns"]), origin_ns + until_ns)
        yield Played(load, answer, Outcome(int(row["outcome"])), error, took_ms, lag_ms, grown / 2**20)
