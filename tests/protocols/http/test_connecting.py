"""Where connections of HTTP users lead, from where, under which name, and for how long: the same for both engines."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.load.harness import USERS, Outcomes, detail, get, load, raw
from tests.protocols.peers import Loop, running_loop
from tests.targets.fixture import Target


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


def made(tmp_path: Path, user: str, steps: Any, told: dict[str, Any], **more: Any) -> Outcomes:
    return load(tmp_path, steps, user_detail_dict={**detail(user), **told}, **more)


def ends(done: Outcomes) -> list[tuple[Outcome, str]]:
    return [(hit.outcome, hit.error) for hit in done.hits]


@pytest.mark.parametrize("user", USERS)
def test_a_name_leads_where_resolve_says_and_stays_the_name(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    told = {"resolve": {"Shop.example:80": f"127.0.0.1:{target.port}", "any.example": "127.0.0.1", "v6.example:80": f"[::1]:{target.port}"}}
    steps = [
        get("http://shop.example/ok?a"),
        get("http://shop.example/ok?b", headers={"Host": "other.example"}),
        get(f"http://any.example:{target.port}/redirect-code/302?to=http://shop.example/ok%3Fc", name="redirected"),
        get("http://v6.example/ok", name="refused"),
        get("http://shop.example:81/ok", name="another port", timeout=[5, 5]),
    ]
    done = made(tmp_path, user, steps, told)
    outcomes = [hit.outcome for hit in done.hits]
    assert outcomes == [Outcome.OK, Outcome.OK, Outcome.OK, Outcome.CONNECT, Outcome.DNS]
    assert [(record.target, record.header("Host")) for record in target.records("/ok")] == [
        ("/ok?a", "shop.example"),
        ("/ok?b", "other.example"),
        ("/ok?c", "shop.example"),
    ]


@pytest.mark.parametrize("user", USERS)
def test_allowed_hosts_hold_for_where_resolve_leads(user: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "shop.example")
    steps = [get("http://shop.example/ok")]
    with pytest.raises(CommandError, match=r"10\.1\.2\.3 may not be loaded here"):
        made(tmp_path, user, steps, {"resolve": {"shop.example": "10.1.2.3"}})
    done = made(tmp_path, user, steps, {"resolve": {"shop.example:80": f"127.0.0.1:{target.port}"}})
    assert ends(done) == [(Outcome.OK, "")]
    steps = [
        get("http://shop.example/ok", extract=[{"var": "h", "from": "status_code"}]),
        get("http://x${h}.example/", name="later"),
    ]
    told = {"resolve": {"shop.example:80": f"127.0.0.1:{target.port}", "x200.example": "10.1.2.3"}}
    done = made(tmp_path / "later", user, steps, told)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK, Outcome.FORBIDDEN]


@pytest.mark.parametrize("user", USERS)
def test_tls_asks_for_the_name_that_sni_says(user: str, loop: Loop, tmp_path: Path) -> None:
    """And the certificate must have it; a redirect to another host is asked under its own name."""
    asked: list[str | None] = []
    authority = trustme.CA()
    ca = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example", "localhost").configure_cert(context)
    context.sni_callback = lambda tls, name, given: asked.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            port = writer.get_extra_info("sockname")[1]
            to = f"Location: https://{'localhost' if '/away' in head else '127.0.0.1'}:{port}/\r\n" if "/to" in head else ""
            writer.write(f"HTTP/1.1 {302 if to else 200} OK\r\n{to}Content-Length: 0\r\n\r\n".encode())

    port = loop.tcp(answer, tls=context)
    steps = [
        get(f"https://127.0.0.1:{port}/", name="same for all", sni="Shop.example", verify=ca),
        get(f"https://127.0.0.1:{port}/?${{uuid()}}", name="in parts", sni="shop.example", verify=ca),
        get(f"https://127.0.0.1:{port}/", name="by Python", sni="${name}.example", verify=ca),
        get(f"https://127.0.0.1:{port}/to-itself", name="to itself", sni="shop.example", verify=ca),
        get(f"https://127.0.0.1:{port}/to/away", name="away", sni="shop.example", verify=ca),
        get(f"https://127.0.0.1:{port}/", name="another certificate", sni="pay.example", verify=ca),
        get(f"https://127.0.0.1:{port}/", name="none verifies it", sni="pay.example", verify=False),
    ]
    done = made(tmp_path, user, steps, {}, variables={"name": "shop"})
    assert [hit.outcome for hit in done.hits] == [*[Outcome.OK] * 5, Outcome.TLS, Outcome.OK]
    assert asked == ["shop.example", "localhost", "pay.example", "pay.example"]


@pytest.mark.parametrize("user", USERS)
def test_connections_come_from_the_local_addresses_in_turns(user: str, loop: Loop, tmp_path: Path) -> None:
    came: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername")[0])
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    steps = [get(f"http://127.0.0.1:{loop.tcp(answer)}/")]
    told = {"local_address": ["127.0.0.2", "127.0.0.3"], "connection": "per_request"}
    done = made(tmp_path, user, steps, told, iterations=4)
    assert ends(done) == [(Outcome.OK, "")] * 4
    assert came[0] != came[1]
    assert came[:2] == came[2:]
    assert set(came) == {"127.0.0.2", "127.0.0.3"}
    (hit,) = made(tmp_path / "v6", user, steps, {"local_address": "::1"}).hits
    assert (hit.outcome, hit.error) == (Outcome.CONNECT, "OSError: 127.0.0.1 has no address of the kind of ::1")


KEPT: list[tuple[str, str, list[int]]] = [
    ("all passes of a user share a connection", "keep", [1, 1, 1, 1, 1, 1, 1]),
    ("each pass has its own, and on_start too", "per_pass", [1, 2, 2, 2, 3, 3, 3]),
    ("each request has its own, one that follows a redirect too", "per_request", [1, 2, 3, 4, 5, 6, 7]),
]


@pytest.mark.parametrize(("connection", "wanted"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT])
@pytest.mark.parametrize("user", [*USERS, "paced"])
def test_how_long_a_connection_lives(user: str, connection: str, wanted: list[int], target: Target, tmp_path: Path) -> None:
    target.reset()
    paced = user == "paced"
    length: dict[str, Any] = {"rate": 2, "test_time": 1, "max_in_flight": 1} if paced else {"iterations": 2}
    steps = [get("/ok?first"), get("/redirect/1", name="redirected")]
    told = {"connection": connection}
    user = "native" if paced else user
    done = made(tmp_path, user, steps, told, host=target.url, on_start=[get("/ok?start")], **length)
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    records = target.records()
    numbers = sorted({record.connection for record in records})
    # the end of a paced load cuts the second pass off
    count = len(records) if paced else 7
    assert 5 <= count <= 7
    assert [numbers.index(record.connection) + 1 for record in records] == wanted[:count]
    closes = "close" if connection == "per_request" else None
    assert {record.header("Connection") for record in records} == {closes}


@pytest.mark.parametrize("user", USERS)
def test_steps_that_are_sent_at_once_have_connections_that_live_as_long(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    batch = {"batch": [get("/ok?a"), get("/ok?b")]}
    done = made(tmp_path, user, [batch, {"batch": [get("/ok?c"), get("/ok?d")]}], {"connection": "per_pass"}, host=target.url, iterations=2)
    assert ends(done) == [(Outcome.OK, "")] * 8
    of_passes = [[record.connection for record in target.records()][at : at + 4] for at in (0, 4)]
    assert [len(set(one)) for one in of_passes] == [2, 2]
    assert not set(of_passes[0]) & set(of_passes[1])


@pytest.mark.parametrize("user", USERS)
def test_a_step_says_itself_how_its_connection_ends(user: str, target: Target, tmp_path: Path) -> None:
    """A written Connection field takes the place of the one that per_request sends."""
    target.reset()
    steps = [
        get("/ok", headers={"connection": "keep-alive"}),
        get(raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), name="b"),
    ]
    done = made(tmp_path, user, steps, {"connection": "per_request"}, host=target.url, iterations=2)
    assert ends(done) == [(Outcome.OK, "")] * 4
    assert [record.header("Connection") for record in target.records()] == ["keep-alive", "close"] * 2
    assert len({record.connection for record in target.records()}) == 4


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("a URL", {"resolve": {"http://x": "127.0.0.1"}}, r"resolve\['http://x'\]: \"http://x\" is neither a host nor a host and a port"),
    ("no address", {"resolve": {"x:80": ""}}, r"resolve\['x:80'\]: must not be empty"),
    ("a port that is none", {"resolve": {"x:80": "127.0.0.1:99999"}}, r"\"127\.0\.0\.1:99999\" is neither"),
    ("a name as local address", {"local_address": "eth0"}, r"local_address: \"eth0\" is not an IP address"),
    ("one of another machine", {"local_address": ["127.0.0.1", "192.0.2.7"]}, r"192\.0\.2\.7 is no address of this machine"),
    ("an empty list", {"local_address": []}, r"local_address: must not be empty"),
    ("another word", {"connection": "close"}, r"connection: 'close' is not a way to keep connections"),
    ("another user", {"user": "socket_user", "connection": "keep"}, r"connection: has no meaning for user 'socket_user'"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_can_not_be_meant_is_a_mistake_before_the_load(told: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user", **told}, "host": "http://x.example", "tasks": [get("/")]}
    with pytest.raises(CommandError, match=text):
        build_plan(given, Variables(), {}, TargetRules(), lambda name: "")


def test_a_name_that_is_none_is_a_mistake_before_the_load() -> None:
    given: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user"}, "host": "http://x", "tasks": [get("/", sni="a b")]}
    with pytest.raises(CommandError, match=r"tasks\[0\]: sni: \"a b\" is not a host name"):
        build_plan(given, Variables(), {}, TargetRules(), lambda name: "")
