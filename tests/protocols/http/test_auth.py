"""Challenges of Digest and tokens of OAuth 2: what is computed, what servers receive, and what happens where there is none."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from loadflow.engine.generator.native.fit import features_that_do_not_fit
from loadflow.engine.protocols.http.digest import DigestKeys, challenge_in
from loadflow.engine.protocols.http.oauth2 import NotYet, TokenRequest, Tokens
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from tests.generator.test_native import plan_of
from tests.load.harness import USERS, get, load, post
from tests.protocols.peers import Loop, running_loop

# RFC 7616 section 3.9.1
REALM = 'realm="http-auth@example.org"'
NONCE = 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
RFC = [f'Digest {REALM}, qop="auth, auth-int", algorithm=SHA-256, {NONCE}', f'Digest {REALM}, qop="auth, auth-int", algorithm=MD5, {NONCE}']
MUFASA = DigestKeys("Mufasa", "Circle of Life")
RESPONSES = [
    (RFC, "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    (RFC[1:], "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ([", ".join(RFC)], "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
]


@pytest.mark.parametrize(("lines", "algorithm", "response"), RESPONSES, ids=["the strongest", "MD5", "both in one field"])
def test_the_example_of_the_rfc(lines: list[str], algorithm: str, response: str) -> None:
    challenge = challenge_in(lines)
    assert challenge is not None
    challenge.random = lambda: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    said = challenge.answer(MUFASA, "GET", "/dir/index.html", b"")
    for part in (f'response="{response}"', f"algorithm={algorithm}", "qop=auth, nc=00000001", 'uri="/dir/index.html"', 'username="Mufasa"'):
        assert part in said
    assert "nc=00000002" in challenge.answer(MUFASA, "GET", "/dir/index.html", b"")


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def asked(ha1: str, between: str, target: str = "POST:/x") -> str:
    return md5(f"{ha1}:n:{between}{md5(target)}")


OTHERS: list[tuple[str, str, Callable[[str], str]]] = [
    ("RFC 2069", 'Digest realm="r", nonce="n"', lambda ha1: asked(ha1, "")),
    (
        "auth-int",
        'Digest realm="r", nonce="n", qop="auth-int"',
        lambda ha1: asked(ha1, "00000001:c:auth-int:", f"POST:/x:{md5('body')}"),
    ),
    (
        "a session",
        'Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth"',
        lambda ha1: asked(md5(f"{ha1}:n:c"), "00000001:c:auth:"),
    ),
    (
        "behind another scheme",
        'Basic realm="b", Digest realm="r", nonce="n", qop=auth',
        lambda ha1: asked(ha1, "00000001:c:auth:"),
    ),
]


@pytest.mark.parametrize(("line", "expected"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_other_challenges(line: str, expected: Callable[[str], str]) -> None:
    challenge = challenge_in([line])
    assert challenge is not None
    challenge.random = lambda: "c"
    assert f'response="{expected(md5("u:r:p"))}"' in challenge.answer(DigestKeys("u", "p"), "POST", "/x", b"body")


def test_a_challenge_that_can_not_be_answered() -> None:
    assert challenge_in(['Basic realm="x"', ""]) is None
    with pytest.raises(HitFailure, match="other than MD5 and SHA-256"):
        challenge_in(['Digest realm="r", nonce="n", algorithm=SHA-512-256'])


def test_a_user_name_that_is_not_to_be_read_and_quotes() -> None:
    challenge = challenge_in(['Digest realm="a \\"b\\"", nonce="n", userhash=true'])
    assert challenge is not None
    said = challenge.answer(DigestKeys("u", "p"), "GET", "/", b"")
    assert f'username="{md5(chr(34).join(["u:a ", "b", ""]))}"' in said
    assert 'realm="a \\"b\\""' in said
    assert said.endswith("userhash=true")


# -- what servers receive


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


class DigestServer:
    """Lets pass who answers its challenge; `lasts`: how many requests a nonce is good for."""

    def __init__(self, loop: Loop, password: str = "p", lasts: int = 100) -> None:
        self.said: list[tuple[int, str]] = []
        self._password, self._lasts, self._nonces = password, lasts, 0
        self.url = f"http://127.0.0.1:{loop.tcp(self._answer)}/x"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            field = next((line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("authorization:")), "")
            given = dict(part.strip().partition("=")[::2] for part in field.removeprefix("Digest ").split(","))
            given = {key: value.strip('"') for key, value in given.items()}
            if self._is_right(given):
                self.said.append((200, given["nc"]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                continue
            self.said.append((401, given.get("nc", "")))
            self._nonces += 1
            asked = f'Digest realm="r", nonce="n{self._nonces}", qop="auth", algorithm=MD5'
            writer.write(f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {asked}\r\nContent-Length: 0\r\n\r\n".encode())

    def _is_right(self, given: dict[str, str]) -> bool:
        if given.get("nonce") != f"n{self._nonces}" or int(given["nc"], 16) > self._lasts:
            return False
        between = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:auth"
        return given["response"] == md5(f"{md5(f'u:r:{self._password}')}:{between}:{md5('GET:/x')}")


DIGEST = {"type": "digest", "username": "u", "password": "p"}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("named", ["u", "${name}"], ids=["fixed", "of a variable"])
def test_a_challenge_is_answered_within_the_hit_and_later_hits_answer_it_at_once(user: str, named: str, loop: Loop, tmp_path: Path) -> None:
    server = DigestServer(loop, lasts=2)
    step = get(server.url, auth={**DIGEST, "username": named})
    done = load(tmp_path, [step], user=user, iterations=3, variables={"name": "u"})
    assert done.error is None, done.error
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 3
    assert server.said == [(401, ""), (200, "00000001"), (200, "00000002"), (401, "00000003"), (200, "00000001")]


@pytest.mark.parametrize("user", USERS)
def test_a_wrong_password_is_asked_for_once(user: str, loop: Loop, tmp_path: Path) -> None:
    server = DigestServer(loop, password="another")
    done = load(tmp_path, [get(server.url, auth=DIGEST)], user=user)
    assert [(hit.outcome, hit.status) for hit in done.hits] == [(Outcome.STATUS, 401)]
    assert [status for status, _ in server.said] == [401, 401]


# -- each kind of challenge, on each engine


Answer = tuple[int, list[tuple[str, str]]]


class ChallengeServer:
    """HTTP/1.1, and HTTP/2 to who begins so; `answers` gives status and header fields by what came. `said`: status and field of each."""

    def __init__(self, loop: Loop, answers: Callable[[str, str, str, bytes], Answer]) -> None:
        self.said: list[tuple[int, str, int]] = []
        self._answers, self._opened = answers, 0
        self.url = f"http://127.0.0.1:{loop.tcp(self._serve)}"

    def _answer(self, number: int, method: str, target: str, fields: dict[str, str], body: bytes) -> Answer:
        given = fields.get("authorization", "")
        status, more = self._answers(method, target, given, body)
        self.said.append((status, given, number))
        return status, more

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened += 1
        number = self._opened
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"PRI * HTTP/2.0"):
            return await self._serve_2(head, number, reader, writer)
        while True:
            method, target, _ = head.decode("latin-1").partition("\r\n")[0].split(" ")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode("latin-1").split("\r\n"))}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            status, more = self._answer(number, method, target, fields, body)
            lines = [
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
                *(f"{name}: {value}" for name, value in more),
                "Content-Length: 0",
                "",
                "",
            ]
            writer.write("\r\n".join(lines).encode("latin-1"))
            if ("Connection", "close") in more:
                return None
            head = await reader.readuntil(b"\r\n\r\n")

    async def _serve_2(self, first: bytes, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        peer.initiate_connection()
        asked: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        block = first
        while block:
            for event in peer.receive_data(block):
                match event:
                    case RequestReceived(stream_id=int(stream), headers=list(headers)):
                        asked[stream], bodies[stream] = {str(name): str(value) for name, value in headers}, b""
                    case DataReceived(stream_id=int(stream), data=bytes(data)):
                        bodies[stream] += data
                    case StreamEnded(stream_id=int(stream)):
                        fields = asked[stream]
                        status, more = self._answer(number, fields[":method"], fields[":path"], fields, bodies[stream])
                        named = [(name.lower(), value) for name, value in more if name != "Connection"]
                        peer.send_headers(stream, [(":status", str(status)), *named], end_stream=True)
            writer.write(peer.data_to_send())
            block = await reader.read(65_536)


def parameters(field: str) -> dict[str, str]:
    """Of an Authorization field, quotes taken off."""
    found = re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', field.removeprefix("Digest "))
    return {name: plain or quoted.replace("\\", "") for name, quoted, plain in found}


def right(field: str, method: str, target: str, body: bytes, password: str = "p") -> bool:
    """Whether it answers the challenge that it names, by RFC 7616 section 3.4 and RFC 2069."""
    given = parameters(field)
    algorithm = given.get("algorithm", "MD5").upper()

    def hashed(data: str | bytes) -> str:
        kind = hashlib.sha256 if algorithm.startswith("SHA-256") else hashlib.md5
        return kind(data.encode("latin-1") if isinstance(data, str) else data).hexdigest()

    secret = hashed(f"u:{given['realm']}:{password}")
    if algorithm.endswith("-SESS"):
        secret = hashed(f"{secret}:{given['nonce']}:{given['cnonce']}")
    asked = f"{method}:{target}" + (f":{hashed(body)}" if given.get("qop") == "auth-int" else "")
    counted = [given["nonce"], given["nc"], given["cnonce"], given["qop"]] if "qop" in given else [given["nonce"]]
    return given["uri"] == target and given["response"] == hashed(":".join([secret, *counted, hashed(asked)]))


KINDS = [
    ("RFC 2069", 'Digest realm="r", nonce="n"'),
    ("MD5", 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'),
    ("MD5-sess", 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess, opaque="o"'),
    ("SHA-256 of a body", 'Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-256'),
    ("SHA-256-sess", 'Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256-sess'),
    ("a realm of UTF-8", 'Digest realm="' + "Büro €".encode().decode("latin-1") + '", nonce="n", qop="auth"'),
    ("quotes", 'Digest realm="a \\"b\\"", nonce="n,=\\"", qop="auth"'),
]
CLIENTS = (*USERS, "http2", "http2 streams")


@pytest.mark.parametrize("user", CLIENTS)
def test_each_kind_of_challenge_is_answered_rightly(user: str, loop: Loop, tmp_path: Path) -> None:
    by_path = {f"/{at}?a=b%20c": line for at, (_, line) in enumerate(KINDS)}

    def answers(method: str, target: str, given: str, body: bytes) -> Answer:
        passes = given.startswith("Digest") and right(given, method, target, body)
        return (200, []) if passes else (401, [("WWW-Authenticate", by_path[target])])

    server = ChallengeServer(loop, answers)
    steps = [post(target, name=name, data="x=1", auth=DIGEST) for (name, _), target in zip(KINDS, by_path, strict=True)]
    done = load(tmp_path, steps, user=user, host=server.url, iterations=2)
    assert [(hit.name, hit.outcome, hit.status) for hit in done.hits] == [(name, Outcome.OK, 200) for name, _ in KINDS] * 2


# what is answered, in which order the server is asked, and what the hit is
TURNS: list[tuple[str, list[Answer], list[tuple[int, bool, int]], tuple[Outcome, int, str]]] = [
    (
        "on another connection, where the challenge ends the first",
        [(401, [("WWW-Authenticate", KINDS[1][1]), ("Connection", "close")]), (200, [])],
        [(401, False, 1), (200, True, 2)],
        (Outcome.OK, 200, ""),
    ),
    (
        "before and behind a redirect, each once",
        [
            (401, [("WWW-Authenticate", KINDS[1][1])]),
            (302, [("Location", "/b")]),
            (401, [("WWW-Authenticate", KINDS[1][1].replace('"n"', '"m"'))]),
            (200, []),
        ],
        [(401, False, 1), (302, True, 1), (401, True, 1), (200, True, 1)],
        (Outcome.OK, 200, ""),
    ),
    (
        "not a second time, whatever the nonce is",
        [(401, [("WWW-Authenticate", KINDS[1][1])]), (401, [("WWW-Authenticate", KINDS[1][1].replace('"n"', '"m"'))])],
        [(401, False, 1), (401, True, 1)],
        (Outcome.STATUS, 401, "status 401 Unauthorized"),
    ),
    (
        "not one that can't be",
        [(401, [("WWW-Authenticate", KINDS[1][1].replace("=MD5", "=SHA-512-256"))])],
        [(401, False, 1)],
        (Outcome.PROTOCOL, 401, "a challenge of Digest that can't be answered: of an algorithm other than MD5 and SHA-256"),
    ),
    (
        "not one of another kind",
        [(401, [("WWW-Authenticate", "Basic realm=x")])],
        [(401, False, 1)],
        (Outcome.STATUS, 401, "status 401 Unauthorized"),
    ),
    ("not an answer without one", [(401, [])], [(401, False, 1)], (Outcome.STATUS, 401, "status 401 Unauthorized")),
    ("not another status", [(403, [("WWW-Authenticate", KINDS[1][1])])], [(403, False, 1)], (Outcome.STATUS, 403, "status 403 Forbidden")),
]


@pytest.mark.parametrize("user", CLIENTS)
@pytest.mark.parametrize(("answers", "said", "hit"), [row[1:] for row in TURNS], ids=[row[0] for row in TURNS])
def test_a_challenge_is_answered(
    answers: list[Answer], said: list[tuple[int, bool, int]], hit: tuple[Outcome, int, str], user: str, loop: Loop, tmp_path: Path
) -> None:
    left = iter(answers)
    server = ChallengeServer(loop, lambda *_: next(left))
    done = load(tmp_path, [get("/a", auth=DIGEST)], user=user, host=server.url)
    assert [(one.outcome, one.status, one.error) for one in done.hits] == [hit]
    got = [(status, bool(field), number) for status, field, number in server.said]
    assert got == (said if user in USERS else [(*one[:2], 1) for one in said])


HOSTILE = [
    ("a name without end", "Digest " + "a" * 60_000),
    ("names without values", "Digest " + "a=" * 30_000),
    ("quotes without end", 'Digest realm="' + "\\" * 60_000),
    ("spaces", "Digest realm " + " " * 60_000 + "="),
    ("commas", "Digest nonce=" + "," * 60_000),
    ("challenges", 'Digest realm="r", nonce="n", ' * 2_000 + "algorithm=x"),
    ("schemes", ", a b=c" * 8_000),
    ("nothing", ""),
    ("a scheme alone", "Digest"),
    ("half a parameter", "Digest nonce="),
    ("no nonce", 'Digest realm="r"'),
    ("bytes", "Digest \xff\xfe=\x80, nonce\xa0=\xff"),
]


@pytest.mark.parametrize("user", CLIENTS)
def test_what_is_no_challenge_is_no_more_than_an_answer(user: str, loop: Loop, tmp_path: Path) -> None:
    server = ChallengeServer(loop, lambda _, target, *__: (401, [("WWW-Authenticate", HOSTILE[int(target[1:])][1])]))
    steps = [get(f"/{at}", name=name, auth=DIGEST) for at, (name, _) in enumerate(HOSTILE)]
    done = load(tmp_path, steps, user=user, host=server.url, test_time=300)
    assert done.error is None, done.error
    unanswerable = {name for name, line in HOSTILE if line.lower().startswith("digest ") and "=" in line}
    for hit in done.hits:
        assert (hit.status, hit.outcome in (Outcome.STATUS, Outcome.PROTOCOL)) == (401, True), hit
        assert hit.outcome is Outcome.STATUS or hit.name in unanswerable, hit
    assert len(HOSTILE) <= len(server.said) <= 2 * len(HOSTILE)  # some can be answered, each once


class TokenServer:
    """Gives tokens, and at `/api` notes which it was given. `waits`: it gives none before somebody asks without one."""

    def __init__(self, loop: Loop, life_s: float = 3600, status: int = 200, *, waits: bool = False) -> None:
        self._waits, self._asked_without = waits, asyncio.Event()
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.tokens: list[str] = []
        self._life_s, self._status = life_s, status
        self.url = f"http://127.0.0.1:{loop.tcp(self._answer)}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n"))}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            if "/token" in head.partition("\r\n")[0]:
                if self._waits:
                    await self._asked_without.wait()
                self.asked.append((fields.get("authorization", ""), parse_qs(body.decode())))
                given = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", "expires_in": self._life_s}
                data = json.dumps(given if self._status == 200 else {"error": "invalid_client"}).encode()
            else:
                self.tokens.append(fields.get("authorization", ""))
                if not self.tokens[-1]:
                    self._asked_without.set()
                data = b"hi"
            status = self._status if "/token" in head.partition("\r\n")[0] else 200
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data))


def oauth2(server: TokenServer, **more: Any) -> dict[str, Any]:
    return {"type": "oauth2", "token_url": f"{server.url}/token", "client_id": "load", "client_secret": "s3cr3t-s3cr3t", **more}


@pytest.mark.parametrize("user", USERS)
def test_one_token_for_all_users_of_a_process(user: str, loop: Loop, tmp_path: Path) -> None:
    server = TokenServer(loop)
    step = get(f"{server.url}/api", auth=oauth2(server, scope="a b", audience="shop"))
    done = load(tmp_path, [step], user=user, user_count=3, iterations=2)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 6
    assert server.tokens == ["Bearer t1"] * 6
    basic = base64.b64encode(b"load:s3cr3t-s3cr3t").decode()
    assert server.asked == [(f"Basic {basic}", {"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["shop"]})]
    written = "".join(path.read_text(errors="replace") for path in done.run.folder.iterdir() if path.is_file())
    assert "s3cr3t-s3cr3t" not in written


@pytest.mark.parametrize("user", USERS)
def test_a_token_of_each_user(user: str, loop: Loop, tmp_path: Path) -> None:
    server = TokenServer(loop)
    step = get(f"{server.url}/api", auth=oauth2(server, per="user", client_auth="body"))
    load(tmp_path, [step], user=user, user_count=3, iterations=2)
    assert sorted(server.tokens) == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3", "Bearer t3"]
    assert [(field, form["client_id"], form["client_secret"]) for field, form in server.asked] == [("", ["load"], ["s3cr3t-s3cr3t"])] * 3


@pytest.mark.parametrize("user", USERS)
def test_who_waits_for_a_token_holds_up_nobody(user: str, loop: Loop, tmp_path: Path) -> None:
    server = TokenServer(loop, waits=True)
    waits, goes_on = get(f"{server.url}/api", name="waits", auth=oauth2(server)), get(f"{server.url}/api", name="goes on")
    done = load(tmp_path, [{"batch": [waits, goes_on]}], user=user)
    assert {hit.name: hit.outcome for hit in done.hits} == {"waits": Outcome.OK, "goes on": Outcome.OK}
    assert server.tokens == ["", "Bearer t1"]


@pytest.mark.parametrize("user", USERS)
def test_without_a_token_nothing_is_sent(user: str, loop: Loop, tmp_path: Path) -> None:
    server = TokenServer(loop, status=401)
    done = load(tmp_path, [get(f"{server.url}/api", auth=oauth2(server))], user=user)
    assert done.error is None, done.error
    assert [(hit.outcome, hit.error) for hit in done.hits] == [
        (Outcome.TEMPLATE, f"auth: no token from {server.url[7:]}: status 401, invalid_client")
    ]
    assert server.tokens == []


def test_a_token_is_renewed_beside_the_load_before_it_ends() -> None:
    now_s, asked = [0.0], TokenRequest("http://x/token", "a", "b")
    given, work = iter(["t1", "t2", "t3"]), []
    tokens = Tokens(lambda _: (next(given), 100.0), clock=lambda: now_s[0], beside=work.append)
    assert (tokens.token(asked), tokens.token(asked)) == ("t1", "t1")
    now_s[0] = 79.0
    assert (tokens.token(asked), work) == ("t1", [])
    now_s[0] = 80.0
    assert (tokens.token(asked), tokens.token(asked), len(work)) == ("t1", "t1", 1)
    work.pop()()
    assert tokens.token(asked) == "t2"
    now_s[0] = 500.0
    assert (tokens.token(asked), work) == ("t3", []), "of one that has ended nobody can wait"


def test_a_server_that_gives_none_is_asked_once_a_second() -> None:
    now_s, asked, calls = [0.0], TokenRequest("http://x/token", "a", "b"), []

    def fails(_: TokenRequest) -> tuple[str, float | None]:
        calls.append(now_s[0])
        raise ValueError("no")

    tokens = Tokens(fails, clock=lambda: now_s[0])
    for moment_s in (0.0, 0.5, 0.9, 1.0):
        now_s[0] = moment_s
        with pytest.raises(HitFailure, match="auth: no token from x: no"):
            tokens.token(asked)
    assert calls == [0.0, 1.0]


def test_a_load_that_can_not_wait_for_a_token_looks_again() -> None:
    now_s, asked, work, calls = [5.0], TokenRequest("http://x/token", "a", "b"), [], []

    def fetch(one: TokenRequest) -> tuple[str, float | None]:
        calls.append(one)
        return f"t{len(calls)}", 100.0 if len(calls) == 1 else 0.0

    tokens = Tokens(fetch, clock=lambda: now_s[0], beside=work.append)
    for _ in range(3):
        with pytest.raises(NotYet):
            tokens.token_now(asked)
    assert (len(work), calls) == (1, [])
    work.pop()()
    assert (tokens.token_now(asked), len(calls)) == ("t1", 1)
    now_s[0] = 106.0
    with pytest.raises(NotYet):
        tokens.token_now(asked)
    work.pop()()
    with pytest.raises(HitFailure, match="ended at once"):  # and not for ever
        tokens.token_now(asked)


OAUTH2 = {"type": "oauth2", "token_url": "http://x", "client_id": "a", "client_secret": "b"}


@pytest.mark.parametrize("auth", [DIGEST, OAUTH2, {**OAUTH2, "per": "user"}])
def test_the_core_makes_the_load(auth: dict[str, Any]) -> None:
    assert list(features_that_do_not_fit(plan_of(get("http://127.0.0.1/", auth=auth)))) == []
