# a row stays on one line
"""`redis_user` against a real Redis, with and without TLS and passwords, and against peers that answer anything."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.base import extras
from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.redis import step as redis_step
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.load.harness import Outcomes, load
from tests.protocols.peers import Loop, running_loop
from tests.services import need

USER = "redis_user"
OK = Outcome.OK


class Redis:
    """A server of its own on free ports, one of them with TLS; user ann has the password s3cret and may only read."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        need(program, "redis-server is not installed (Debian: apt-get install redis-server)")
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        with socket.socket() as one, socket.socket() as other:
            for free in (one, other):
                free.bind(("127.0.0.1", 0))
            self.port, self.tls_port = one.getsockname()[1], other.getsockname()[1]
        settings = [
            f"port {self.port}",
            f"tls-port {self.tls_port}",
            f"tls-cert-file {folder / 'cert.pem'}",
            f"tls-key-file {folder / 'key.pem'}",
            f"tls-ca-cert-file {self.ca}",
            "tls-auth-clients no",
            "bind 127.0.0.1",
            'save ""',
            f"dir {folder}",
            "user ann on >s3cret ~* +@read +@connection",
        ]
        (folder / "redis.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
        self._log = folder / "redis.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([str(program), str(folder / "redis.conf")], stdout=log, stderr=log)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait(self) -> None:
        while True:
            assert self._process.poll() is None, self._log.read_text()
            with contextlib.suppress(OSError):
                if self.ask("PING") == "+PONG":
                    return

    def ask(self, *words: str) -> str:
        """The first line of the reply, by a client of our own: what the server itself says."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection, connection.makefile("rb") as lines:
            connection.sendall(f"{' '.join(words)}\r\n".encode())
            return lines.readline().decode().strip()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def ends(outcomes: Outcomes) -> dict[str, tuple[Outcome, str]]:
    return {hit.name: (hit.outcome, hit.error) for hit in outcomes.hits}


def contains(text: str) -> list[dict[str, Any]]:
    return [{"type": "contains", "value": text}]


def holds(path: str, value: Any) -> list[dict[str, Any]]:
    return [{"type": "json_path", "path": path, "value": value}]


# name, the step, how it ends, what of the error's text
STEPS: list[tuple[str, dict[str, Any], Outcome, str]] = [
    ("a value is set", {"command": ["SET", "k", "hällo"], "assertions": contains("OK")}, OK, ""),
    ("and read back as text", {"command": ["GET", "k"], "assertions": contains("hällo")}, OK, ""),
    ("a key that is not there is null", {"command": ["GET", "no such"], "assertions": holds("$", None)}, OK, ""),
    ("numbers are sent as they were written", {"command": ["SET", "n", 7]}, OK, ""),
    ("and come back as numbers", {"command": ["INCRBY", "n", 3], "assertions": holds("$", 10)}, OK, ""),
    ("a list is JSON", {"command": ["MGET", "n", "no such", "k"], "assertions": holds("$[2]", "hällo")}, OK, ""),
    ("lists within lists", {"command": ["EVAL", "return {1,{'a',{}}}", 0], "assertions": holds("$[1][0]", "a")}, OK, ""),
    ("a JSON value has paths", {"command": ["ECHO", '{"id": 7}'], "assertions": holds("$.id", 7)}, OK, ""),
    ("an assertion that does not hold", {"command": ["GET", "k"], "assertions": contains("bye")}, Outcome.ASSERTION, "bye"),
    ("a command of the wrong type", {"command": ["LPUSH", "k", "x"]}, Outcome.STATUS, "wrong kind of value"),
    ("a command that no server knows", {"command": ["NOSUCH", "k"]}, Outcome.STATUS, "unknown command"),
    ("too few arguments", {"command": ["SET", "k"]}, Outcome.STATUS, "wrong number of arguments"),
    ("an extract that finds nothing", {"command": ["GET", "k"], "extract": [{"var": "x", "path": "$.id"}]}, Outcome.EXTRACT, ""),
    ("an unknown host", {"command": ["PING"], "server": "no-such-host.invalid:1"}, Outcome.DNS, ""),
    ("a closed port", {"command": ["PING"], "server": "127.0.0.1:1"}, Outcome.CONNECT, "refused"),
    ("a wrong password", {"command": ["PING"], "username": "ann", "password": "n0t-hers"}, Outcome.STATUS, "invalid username-password"),
    ("a user that may not", {"command": ["SET", "k", "x"], "username": "ann", "password": "s3cret"}, Outcome.STATUS, "no permissions"),
    ("a user that may", {"command": ["GET", "k"], "username": "ann", "password": "s3cret", "assertions": contains("hällo")}, OK, ""),
    ("another database has other keys", {"command": ["GET", "k"], "database": 3, "assertions": holds("$", None)}, OK, ""),
    ("a database that is not there", {"command": ["GET", "k"], "database": 999}, Outcome.STATUS, "out of range"),
    ("a reply that takes too long", {"command": ["BLPOP", "nothing here", 0], "timeout": 0.2}, Outcome.TIMEOUT, "no reply within 0.2 s"),
    ("the one after it is answered", {"command": ["GET", "k"], "assertions": contains("hällo")}, OK, ""),
]


def test_each_step_ends_as_its_row_says(redis: Redis, tmp_path: Path) -> None:
    steps = [{"name": name, **step} for name, step, _, _ in STEPS]
    found = ends(load(tmp_path, steps, user=USER, host=redis.place))
    for name, _, outcome, text in STEPS:
        assert found[name][0] is outcome, f"{name}: {found[name]}"
        assert text in found[name][1], f"{name}: {found[name]}"
    assert redis.ask("GET", "n") == "$2", "what the server itself has"


def test_a_value_of_a_reply_is_used_in_the_next_command(redis: Redis, tmp_path: Path) -> None:
    steps = [
        {"command": ["INCR", "ids"], "extract": [{"var": "id", "path": "$"}]},
        {"name": "set", "command": ["SET", "user:${var.id}", '{"name": "ann"}']},
        {"name": "get", "command": ["GET", "user:1"], "assertions": holds("$.name", "ann")},
    ]
    outcomes = load(tmp_path, steps, user=USER, host=redis.place, user_count=1, iterations=3)
    assert {hit.outcome for hit in outcomes.hits} == {OK}
    assert outcomes.counts() == {"INCR": 3, "set": 3, "get": 3}
    assert redis.ask("EXISTS", "user:1", "user:2", "user:3") == ":3"
    assert redis.ask("GET", "ids") == "$1"


def test_each_user_keeps_one_connection(redis: Redis, tmp_path: Path) -> None:
    before = connections_of(redis)
    outcomes = load(tmp_path, [{"command": ["INCR", "kept"]}], user=USER, host=redis.place, user_count=5, iterations=20)
    assert outcomes.counts() == {"INCR": 100}
    assert redis.ask("GET", "kept") == "$3"
    asked_ourselves = 2
    assert connections_of(redis) - before == 5 + asked_ourselves


def connections_of(redis: Redis) -> int:
    with socket.create_connection(("127.0.0.1", redis.port), 5) as connection:
        connection.sendall(b"INFO stats\r\n")
        text = b""
        while b"total_connections_received:" not in text or not text.endswith(b"\r\n"):
            text += connection.recv(65_536)
    return int(text.split(b"total_connections_received:")[1].split(b"\r\n")[0])


def test_a_kept_connection_that_the_server_closed_meanwhile_is_opened_anew(redis: Redis, tmp_path: Path) -> None:
    kills = {"name": "kill", "command": ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"], "server": "localhost:" + str(redis.port)}
    steps = [{"name": "first", "command": ["PING"]}, kills, {"name": "second", "command": ["PING"]}]
    found = ends(load(tmp_path, steps, user=USER, host=redis.place))
    assert [found[name] for name in ("first", "kill", "second")] == [(OK, "")] * 3


def test_a_transaction_is_commands_of_one_connection_and_its_errors_fail_the_last(redis: Redis, tmp_path: Path) -> None:
    steps = [
        {"command": ["SET", "text", "x"]},
        {"command": ["MULTI"]},
        {"name": "queued", "command": ["INCR", "text"], "assertions": contains("QUEUED")},
        {"command": ["EXEC"]},
    ]
    found = ends(load(tmp_path, steps, user=USER, host=redis.place))
    assert found["queued"] == (OK, "")
    assert found["EXEC"][0] is Outcome.STATUS
    assert "not an integer" in found["EXEC"][1]


def test_tls_is_checked_against_the_authority_that_is_given(redis: Redis, tmp_path: Path) -> None:
    at = {"command": ["PING"], "tls": True, "server": f"localhost:{redis.tls_port}"}
    steps = [
        {"name": "trusted", "verify": redis.ca, **at},
        {"name": "unknown authority", **at},
        {"name": "not checked", "verify": False, **at},
    ]
    found = ends(load(tmp_path, steps, user=USER))
    assert [found[step["name"]][0] for step in steps] == [OK, Outcome.TLS, OK]


PEERS: list[tuple[str, bytes, Outcome, str]] = [
    ("hangs up before its reply", b"", Outcome.CLOSED, ""),
    ("hangs up in its reply", b"$10\r\nhalf", Outcome.CLOSED, ""),
    ("is not Redis", b"HTTP/1.1 400 Bad Request\r\n\r\n", Outcome.PROTOCOL, ""),
    ("a length that is not a number", b"$x\r\n", Outcome.PROTOCOL, ""),
    ("a reply that is too large", b"$9000\r\n" + b"x" * 9_000 + b"\r\n", Outcome.TOO_LARGE, "over max_body_bytes (4,096)"),
    ("lists within lists without end", b"*1\r\n" * 1_000, Outcome.PROTOCOL, ""),
    ("a reply byte by byte", b"*2\r\n$2\r\nab\r\n:7\r\n", OK, ""),
    ("an error without words", b"-\r\n", Outcome.STATUS, ""),
]


def answering(answer: bytes) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(4_096) and answer:
            for start in range(0, len(answer), 1 if len(answer) < 100 else 1_000):
                writer.write(answer[start : start + (1 if len(answer) < 100 else 1_000)])
                await writer.drain()

    return serve


def test_whatever_a_peer_answers_has_its_outcome(tmp_path: Path) -> None:
    """Each is a step of one load, with a peer of its own."""
    with running_loop() as loop:
        steps = [{"command": ["PING"], "timeout": 20, "name": name, "server": at(loop, answering(answer))} for name, answer, *_ in PEERS]
        found = ends(load(tmp_path, steps, user=USER, max_body_bytes=4_096))
    assert {name: found[name][0] for name, *_ in PEERS} == {name: outcome for name, _, outcome, _ in PEERS}, found
    assert [name for name, _, _, text in PEERS if text not in found[name][1]] == []


def test_a_peer_that_never_answers_fails_after_the_timeout(tmp_path: Path) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4_096):
            pass

    with running_loop() as loop:
        found = ends(load(tmp_path, [{"command": ["PING"], "timeout": 1}], user=USER, host=at(loop, mute)))
    assert found["PING"] == (Outcome.TIMEOUT, "no reply within 1 s")


def at(loop: Loop, handler: Any) -> str:
    return f"127.0.0.1:{loop.tcp(handler)}"


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("no command", {}, "command"),
    ("an empty command", {"command": []}, "command"),
    ("a command as text", {"command": "GET k"}, "list"),
    ("a command of two words in one", {"command": ["CONFIG GET", "x"]}, "one word, then its arguments"),
    ("a subscription", {"command": ["subscribe", "news"]}, "SUBSCRIBE is not a command that a step can send"),
    ("another database by command", {"command": ["SELECT", 3]}, 'write "database" as a key of the step'),
    ("a password by command", {"command": ["AUTH", "x"]}, "as keys of the step"),
    ("no replies", {"command": ["CLIENT", "REPLY", "OFF"]}, "each command waits for its answer"),
    ("a server without a port", {"command": ["PING"], "server": "localhost"}, "is not a host:port"),
    ("a name without its password", {"command": ["PING"], "username": "ann"}, "has no meaning without password"),
    ("an authority without TLS", {"command": ["PING"], "verify": "ca.pem"}, "has no meaning without tls"),
    ("a status", {"command": ["PING"], "assertions": [{"type": "status_code", "value": 200}]}, "a message has no status"),
    ("a header", {"command": ["PING"], "extract": [{"var": "x", "from": "header", "name": "y"}]}, "a message has no header fields"),
    ("an unknown key", {"command": ["PING"], "key": "k"}, "is not a key of a step of redis_user"),
    ("null in a command", {"command": ["GET", None]}, "command"),
]


def refused(step: dict[str, Any], **more: Any) -> str:
    with pytest.raises(CommandError) as error:
        build_plan({"user_detail_dict": {"user": USER}, "tasks": [step], **more}, Variables(), {}, TargetRules(), lambda name: name)
    return str(error.value)


@pytest.mark.parametrize(("step", "told"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_in_a_step_is_told_before_anything_is_sent(step: dict[str, Any], told: str) -> None:
    assert told in refused(step)


def test_a_host_that_is_none_is_told() -> None:
    assert "is not a host:port" in refused({"command": ["PING"]}, host="redis://127.0.0.1")


def test_without_the_package_the_check_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_step, "is_there", lambda module: False)
    told = refused({"command": ["PING"]})
    assert "redis_user needs the package redis, which is not installed" in told
    assert extras.way_to_install("redis") == "pip install 'loadflow[redis]'"
    assert "pip install 'loadflow[redis]'" in told
