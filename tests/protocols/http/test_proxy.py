"""HTTP users by a proxy: what it is asked, who names it, and how it fails, the same for both engines."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.http.tunnel import Tunnel
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.generator.rules import rules
from tests.load.harness import USERS, Outcomes, detail, get, load
from tests.protocols.http.proxies import RecordingProxy
from tests.protocols.peers import Loop, running_loop

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
USER_AND_PASSWORD = base64.b64encode(b"ann:hunter 22").decode()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(OK)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def proxy(loop: Loop, authority: trustme.CA) -> RecordingProxy:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example", "pay.example").configure_cert(context)
    return RecordingProxy(loop, loop.tcp(answer), loop.tcp(answer, tls=context))


def ends(done: Outcomes) -> list[tuple[Outcome, str]]:
    return [(hit.outcome, hit.error) for hit in done.hits]


def through(tmp_path: Path, user: str, proxy: str | None, steps: list[dict[str, Any]], **more: Any) -> Outcomes:
    told = {} if proxy is None else {"proxy": proxy}
    return load(tmp_path, steps, user_detail_dict={**detail(user), **told, **more.pop("detail", {})}, **more)


@pytest.mark.parametrize("user", USERS)
def test_a_proxy_is_asked_for_whole_urls_and_for_tunnels(user: str, proxy: RecordingProxy, authority: trustme.CA, tmp_path: Path) -> None:
    ca = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca)
    steps = [
        get("http://shop.example/a?b=1", cookies={"c": "1"}),
        get("http://shop.example:8080/"),
        get("https://shop.example/", verify=ca),
        get("https://pay.example:8443/x", verify=ca),
        get("https://[::1]/", verify=False),
    ]
    done = through(tmp_path, user, f"http://ann:hunter%2022@127.0.0.1:{proxy.port}", steps, iterations=2)
    assert ends(done) == [(Outcome.OK, "")] * 10
    credentials = f"Proxy-Authorization: Basic {USER_AND_PASSWORD}\r\n"
    usual = "User-Agent: loadflow\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    plain = [
        f"GET http://shop.example/a?b=1 HTTP/1.1\r\n{credentials}Host: shop.example\r\n{usual}Cookie: c=1\r\n\r\n",
        f"GET http://shop.example:8080/ HTTP/1.1\r\n{credentials}Host: shop.example:8080\r\n{usual}\r\n",
    ]
    tunnels = [
        f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: loadflow\r\n{credentials}\r\n"
        for place in ("shop.example:443", "pay.example:8443", "[::1]:443")
    ]
    assert proxy.heads == [*plain, *tunnels, *plain]  # the connections of the first pass are kept
    assert proxy.connections == 5
    written = "".join(path.read_text(errors="replace") for path in done.run.folder.rglob("*") if path.suffix in (".json", ".html", ".log"))
    assert "127.0.0.1" in written
    for secret in ("hunter 22", "hunter%2022", USER_AND_PASSWORD):
        assert secret not in written
        assert secret not in str(done.summary)
    assert done.run.summary().runs[0].environment["proxy"] == f"127.0.0.1:{proxy.port} (proxy)"


NAMED: list[tuple[str, dict[str, str], str | None, list[str]]] = [
    ("a variable for each scheme", {"HTTP_PROXY": "", "https_proxy": "P"}, None, ["https"]),
    ("the lower case first", {"http_proxy": "http://P", "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*:443"}, None, ["http"]),
    ("one for all schemes", {"ALL_PROXY": "P"}, None, ["http", "https"]),
    ("the script before the environment", {"ALL_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*"}, "P", ["http", "https"]),
]  # fmt: skip


@pytest.mark.parametrize(("env", "written", "by_proxy"), [row[1:] for row in NAMED], ids=[row[0] for row in NAMED])
@pytest.mark.parametrize("user", USERS)
def test_who_names_a_proxy(
    user: str,
    env: dict[str, str],
    written: str | None,
    by_proxy: list[str],
    proxy: RecordingProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, url in env.items():
        monkeypatch.setenv(name, url.replace("P", f"127.0.0.1:{proxy.port}"))
    written = written and f"127.0.0.1:{proxy.port}"
    done = through(tmp_path, user, written, [get(f"{scheme}://shop.invalid/", name=scheme, verify=False) for scheme in ("http", "https")])
    reached = [hit.name for hit in done.hits if hit.outcome is Outcome.OK]
    assert reached == by_proxy
    assert {hit.outcome for hit in done.hits if hit.name not in by_proxy} <= {Outcome.DNS}
    assert len(proxy.heads) == len(by_proxy)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("none", ["", None], ids=["empty", "null"])
def test_a_script_may_say_that_there_is_none(
    none: str | None, user: str, proxy: RecordingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    done = through(tmp_path, user, None, [get("http://shop.invalid/")], detail={"proxy": none})
    assert [hit.outcome for hit in done.hits] == [Outcome.DNS]
    assert proxy.heads == []


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(*pieces: bytes, then: str = "close", times: int = 1) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(times):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        if then == "keep":
            await reader.read()

    return handle


REFUSED = "407 Proxy Authentication Required; write user and password before its host, as USER:PASSWORD@HOST"
ENDLESS = "over 1,048,576 bytes beside the body, and no end"
NO_TUNNEL: list[tuple[str, Handler, str]] = [
    ("wants credentials", says(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9999\r\n\r\n"), REFUSED),
    ("has no way", says(b"HTTP/1.1 503 Service Unavailable\r\n\r\nwhy"), "503 Service Unavailable"),
    ("redirects", says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"), "302 Found"),
    ("speaks another protocol", says(b"SSH-2.0-x"), 'no HTTP answer: "SSH-2.0-x"'),
    ("closes", says(), "the connection was closed before an answer"),
    ("closes within its answer", says(b"HTTP/1.1 200 OK\r\n"), "the connection was closed before the header fields were whole"),
    ("never ends its header", says(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 50_000, then="keep"), "over 262,144 bytes of header fields"),
    ("never comes to an answer", says(b"HTTP/1.1 103 E\r\n\r\n" * 1000, times=70, then="keep"), ENDLESS),
]  # fmt: skip


ANSWERS: list[tuple[bytes, bytes | str]] = [
    (OPEN, b""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b""),
    (OPEN + b"\x16\x03\r\n", b"\x16\x03\r\n"),
    (b"HTTP/1.1 103 E\r\n\r\n" + OPEN + b"abc", b"abc"),
    (b"HTTP/1.1 503 Not now\r\nContent-Length: 5\r\n\r\n", "the proxy p:1: 503 Not now"),
    (b"HTTP/1.1 407 \r\n\r\n", "the proxy p:1: 407; write user and password before its host, as USER:PASSWORD@HOST"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "the proxy p:1: an unexpected 101 Switching Protocols"),
    (b"HTTP/1.1 200 OK\r\n", "the proxy p:1: the connection was closed before the header fields were whole"),
    (b"", "the proxy p:1: the connection was closed before an answer"),
]  # fmt: skip


@rules
@given(st.sampled_from(ANSWERS), st.lists(st.integers(1, 40), max_size=30))
def test_an_answer_to_connect_means_the_same_however_it_is_cut(row: tuple[bytes, bytes | str], sizes: list[int]) -> None:
    """What is behind it is of the tunnel, as far as it came in the same piece; the rest is read from the tunnel."""
    answer, wanted = row
    tunnel = Tunnel("the proxy p:1", "shop.example:443", "")
    pieces, at = [], 0
    for size in [*sizes, len(answer) + 1]:
        pieces.append(answer[at : at + size])
        at += size
    found: bytes | str | None = None
    left = b""
    for number, piece in enumerate([*filter(None, pieces), b""]):
        try:
            if (early := tunnel.feed(piece)) is not None:
                found = early
        except HitFailure as failure:
            assert failure.outcome is Outcome.CONNECT
            found = str(failure)
        if found is not None:
            left = b"".join([*filter(None, pieces)][number + 1 :])
            break
    assert (found + left if isinstance(found, bytes) else found) == wanted


@pytest.mark.parametrize("user", USERS)
def test_a_proxy_that_makes_no_tunnel_is_a_connection_failure_that_names_it(user: str, loop: Loop, tmp_path: Path) -> None:
    wanted = []
    for name, handler, text in NO_TUNNEL:
        place = f"127.0.0.1:{loop.tcp(handler)}"
        (hit,) = through(tmp_path / name.replace(" ", "-"), user, place, [get("https://shop.example/")]).hits
        wanted.append((name, hit.outcome, hit.error, hit.status))
        assert wanted[-1] == (name, Outcome.CONNECT, f"the proxy {place}: {text}", 0)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_can_not_be_reached_is_named(scheme: str, user: str, loop: Loop, tmp_path: Path) -> None:
    steps = [get(f"{scheme}://shop.example/", timeout=[1, 5])]
    (hit,) = through(tmp_path / "refuses", user, "127.0.0.1:1", steps).hits
    assert (hit.outcome, hit.error) == (Outcome.CONNECT, "the proxy 127.0.0.1:1: ConnectionRefusedError: Connection refused")
    (hit,) = through(tmp_path / "no name", user, "proxy.invalid:3128", steps).hits
    assert hit.outcome is Outcome.CONNECT
    assert hit.error.startswith("the proxy proxy.invalid:3128: gaierror: ")
    if scheme == "https":
        place = f"127.0.0.1:{loop.tcp(says(then='keep'))}"
        (hit,) = through(tmp_path / "silent", user, place, steps).hits
        assert (hit.outcome, hit.error) == (Outcome.TIMEOUT, f"no tunnel through the proxy {place} within 1 s")


@pytest.mark.parametrize("user", USERS)
def test_a_407_to_a_whole_url_is_the_proxy_s(user: str, loop: Loop, tmp_path: Path) -> None:
    refuses = says(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    place = f"127.0.0.1:{loop.tcp(refuses)}"
    (hit,) = through(tmp_path, user, place, [get("http://shop.example/")]).hits
    assert (hit.outcome, hit.error, hit.status) == (Outcome.CONNECT, f"the proxy {place}: {REFUSED}", 407)


@pytest.mark.parametrize("user", USERS)
def test_what_comes_with_the_proxy_s_answer_is_of_the_tunnel(user: str, loop: Loop, tmp_path: Path) -> None:
    """Nothing that a TLS server says before it is asked can be right, so it fails in TLS, and at once."""
    place = f"127.0.0.1:{loop.tcp(says(OPEN + b'SSH-2.0-x', then='keep'))}"
    (hit,) = through(tmp_path, user, place, [get("https://shop.example/", timeout=[30, 30])]).hits
    assert hit.outcome is Outcome.TLS


def test_http2_goes_by_a_tunnel_also_without_tls(loop: Loop, tmp_path: Path) -> None:
    import h2.config
    import h2.connection
    import h2.events

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.initiate_connection()
        writer.write(peer.data_to_send())
        while block := await reader.read(65_536):
            for event in peer.receive_data(block):
                if isinstance(event, h2.events.RequestReceived):
                    peer.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
            writer.write(peer.data_to_send())

    proxy = RecordingProxy(loop, secure=loop.tcp(serve))
    done = through(tmp_path, "http2", f"127.0.0.1:{proxy.port}", [get("http://shop.example/"), get("http://shop.example/")])
    assert ends(done) == [(Outcome.OK, "")] * 2
    assert proxy.lines == ["CONNECT shop.example:80 HTTP/1.1"]


@pytest.mark.parametrize("user", USERS)
def test_allowed_hosts_hold_for_the_target_by_name_and_for_the_proxy(
    user: str, proxy: RecordingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "shop.example")
    place = f"127.0.0.1:{proxy.port}"
    steps = [get("http://shop.example/", extract=[{"var": "h", "from": "status_code"}]), get("http://other${h}.example/", name="other")]
    done = through(tmp_path, user, place, steps)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK, Outcome.FORBIDDEN]
    assert proxy.lines == ["GET http://shop.example/ HTTP/1.1"]
    with pytest.raises(CommandError, match=r"proxy\.example may not be loaded here"):
        through(tmp_path, user, "proxy.example:3128", steps[:1])


WRONG: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    ("SOCKS", {"proxy": "socks5://127.0.0.1:1080"}, {}, r"proxy: is a proxy by socks5, and loadflow knows HTTP proxies"),
    ("TLS to the proxy", {"proxy": "https://proxy.example"}, {}, r"proxy: is a proxy by https"),
    ("no address", {"proxy": "http://"}, {}, r"proxy: is not the address of a proxy"),
    ("no port", {"proxy": "proxy:x"}, {}, r"proxy: is not the address of a proxy"),
    ("a path", {"proxy": "http://proxy/x"}, {}, r"proxy: has more than the address of a proxy"),
    ("another user", {"user": "mqtt_user", "proxy": "http://proxy"}, {}, r"proxy: has no meaning for user 'mqtt_user'"),
    ("SOCKS by the environment", {}, {"HTTPS_PROXY": "socks5h://proxy:1"}, r"HTTPS_PROXY is a proxy by socks5h.*\"proxy\": \"\" for none"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "env", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_can_be_no_proxy_is_a_mistake_before_the_load(told: dict[str, Any], env: dict[str, str], text: str) -> None:
    given: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user", **told}, "host": "https://x.example", "tasks": [get("/")]}
    with pytest.raises(CommandError, match=text) as raised:
        build_plan(given, Variables(), env, TargetRules(), lambda name: "")
    assert "hunter" not in str(raised.value)


def test_a_proxy_of_the_environment_that_no_target_needs_is_no_mistake() -> None:
    given: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user"}, "host": "http://x.example", "tasks": [get("/")]}
    env = {"HTTPS_PROXY": "socks5://proxy:1", "NO_PROXY": "example"}
    assert build_plan(given, Variables(), env, TargetRules(), lambda name: "").plan.connections.route("http", "x.example", 80).proxy is None
