"""One table for every HTTP user: what the target received is the truth, and each row says what must be recorded."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.records.outcome import Outcome
from tests.load.harness import USERS, get, load, post, raw
from tests.services import need
from tests.targets.fixture import Record, Target

Step = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A step, and what must be true of the request that the target then received."""

    sentence: str
    step: Step
    check: Callable[[Record], object]


def has_header(name: str, value: str) -> Callable[[Record], bool]:
    return lambda record: record.header(name) == value


def has_json(value: Any) -> Callable[[Record], bool]:
    return lambda record: json.loads(record.body) == value


def utf8(text: str) -> str:
    """As the target writes down header bytes."""
    return text.encode().decode("latin-1")


METHODS = [
    Sent(
        f"{method} is sent as {method}",
        {"method": method.lower(), "request_url": "/echo"},
        lambda record, method=method: record.method == method,
    )
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
]
REQUESTS = [
    *METHODS,
    Sent("params are added to the query", get("/echo?a=1", params={"b": 2, "c": "x y"}), lambda r: r.target == "/echo?a=1&b=2&c=x+y"),
    Sent("params as pairs may repeat a name", get("/echo", params=[["a", 1], ["a", 2]]), lambda r: r.target == "/echo?a=1&a=2"),
    Sent(
        "a list in params repeats its name, null is left out",
        get("/echo", params={"a": [1, 2], "b": None}),
        lambda r: r.target == "/echo?a=1&a=2",
    ),
    Sent("true in params is written as JSON writes it", get("/echo", params={"a": True}), lambda r: r.target == "/echo?a=true"),
    Sent("text that is not ASCII is encoded in the URL", get("/echo?q=größe"), lambda r: r.target == "/echo?q=gr%C3%B6%C3%9Fe"),
    Sent(
        "what must be encoded is, once",
        get("/echo?q=50%of crème%20br%C3%BB"),
        lambda r: r.target == "/echo?q=50%25of%20cr%C3%A8me%20br%C3%BB",
    ),
    Sent("own headers are sent", get("/echo", headers={"X-One": "1", "X-Two": "a b"}), has_header("X-Two", "a b")),
    Sent(
        "own headers replace the defaults",
        get("/echo", headers={"user-agent": "me"}),
        lambda r: [v for k, v in r.headers if k.lower() == "user-agent"] == ["me"],
    ),
    Sent("cookies of the step are sent", get("/echo", cookies={"a": "1", "b": "2"}), has_header("Cookie", "a=1; b=2")),
    Sent("json is sent as JSON", post("/echo", json={"a": [1, None, "ü"]}), lambda r: json.loads(r.body) == {"a": [1, None, "ü"]}),
    Sent("json says its type", post("/echo", json=[]), has_header("Content-Type", "application/json")),
    Sent("a form is encoded", post("/echo", data={"a": "x y", "b": "ä"}), lambda r: r.body == b"a=x+y&b=%C3%A4"),
    Sent("a form says its type", post("/echo", data={"a": 1}), has_header("Content-Type", "application/x-www-form-urlencoded")),
    Sent("a body of any bytes is sent as it is", post("/echo", data_base64="AP8K"), lambda r: r.body == b"\x00\xff\n"),
    Sent("a form as pairs may repeat a field", post("/echo", data=[["a", 1], ["a", 2]]), lambda r: r.body == b"a=1&a=2"),
    Sent(
        "text is sent as it is",
        post("/echo", data="<a>ü</a>", headers={"Content-Type": "text/xml"}),
        lambda r: r.body == "<a>ü</a>".encode(),
    ),
    Sent(
        "files make a multipart body",
        post("/echo", files={"f": {"content": "hello", "filename": "a.txt", "content_type": "text/plain"}}),
        lambda r: b'name="f"; filename="a.txt"' in r.body and b"hello" in r.body,
    ),
    Sent(
        "fields go with files",
        post("/echo", files={"f": {"content_base64": "AAEC"}}, data={"a": "1"}),
        lambda r: b"\x00\x01\x02" in r.body and b'name="a"' in r.body,
    ),
    Sent(
        "basic auth is a header",
        get("/echo", auth={"type": "basic", "username": "u", "password": "p"}),
        has_header("Authorization", "Basic " + base64.b64encode(b"u:p").decode()),
    ),
    Sent("bearer auth is a header", get("/echo", auth={"type": "bearer", "token": "abc"}), has_header("Authorization", "Bearer abc")),
    Sent("a target is sent as it is written", get("/echo?x=%e4&y=[1]&z=%7e"), lambda r: r.target == "/echo?x=%e4&y=[1]&z=%7e"),
    Sent("what can't stand in a target is encoded", get('/echo?q=<"|>'), lambda r: r.target == "/echo?q=%3C%22%7C%3E"),
    Sent("a line end in a URL is encoded", get("/echo?q=a\r\nX-Evil: 1"), lambda r: r.target == "/echo?q=a%0D%0AX-Evil:%201"),
    Sent("a fragment is not sent", get("/echo?a#b"), lambda r: r.target == "/echo?a"),
    Sent("a header beyond Latin-1 is sent as UTF-8", get("/echo", headers={"X-A": "日本"}), has_header("X-A", utf8("日本"))),
    Sent("a cookie beyond Latin-1 too", get("/echo", cookies={"a": "日本"}), has_header("Cookie", utf8("a=日本"))),
    Sent(
        "a Cookie header and cookies are one field",
        get("/echo", headers={"cookie": "a=1"}, cookies={"b": "2"}),
        lambda r: [v for k, v in r.headers if k.lower() == "cookie"] == ["a=1; b=2"],
    ),
    Sent("a header that is null keeps the default", get("/echo", headers={"Accept": None}), has_header("Accept", "*/*")),
    Sent("an empty header is sent", get("/echo", headers={"X-Empty": ""}), has_header("X-Empty", "")),
    Sent("Host may be another", get("/echo", headers={"Host": "shop.test"}), has_header("Host", "shop.test")),
    Sent("a GET may have a body", get("/echo", data="x"), lambda r: r.body == b"x"),
    Sent("json keeps the types of variables", post("/echo", json={"a": "${var.five}", "b": "n${var.five}"}), has_json({"a": 5, "b": "n5"})),
    Sent("a whole form may be a variable", post("/echo", data="${var.form}"), lambda r: r.body == b"a=1&b=2"),
    Sent("an upload comes from a file", post("/echo", files={"f": "${var.upload}"}), lambda r: b'name="f"; filename="up.bin"' in r.body),
    Sent(
        "several files may go into one field",
        post("/echo", files=[{"field": "f", "content": "one"}, {"field": "f", "content": "two"}]),
        lambda r: r.body.count(b'name="f"') == 2,
    ),
    Sent("an empty file is a file", post("/echo", files={"f": {"content_base64": ""}}), lambda r: b'name="f"' in r.body),
    Sent(
        "a file name may be any text",
        post("/echo", files={"f": {"content": "x", "filename": "größe.txt"}}),
        lambda r: 'filename="größe.txt"'.encode() in r.body,
    ),
    Sent("a body has a length", post("/echo", data="12345"), has_header("Content-Length", "5")),
    Sent("no body of a POST has length 0", post("/echo"), has_header("Content-Length", "0")),
]


@pytest.mark.parametrize("user", USERS)
def test_the_target_receives_what_the_step_says(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    (tmp_path / "up.bin").write_bytes(b"bytes")
    given = {"five": 5, "form": {"a": 1, "b": "2"}, "upload": str(tmp_path / "up.bin")}
    done = load(tmp_path, [{**row.step, "name": row.sentence} for row in REQUESTS], user=user, host=target.url, variables=given)
    records = target.records()
    assert len(records) == len(REQUESTS)
    wrong = [(row.sentence, record) for row, record in zip(REQUESTS, records, strict=True) if not row.check(record)]
    assert wrong == []
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    assert done.summary["verdict"]["verdict"] == "passed"


FOLLOWED = [
    (
        "a chain of redirects is one hit, and ends where it leads",
        get("/redirect/2"),
        ["/redirect/2", "/redirect/1", "/redirect/0"],
        ["GET"] * 3,
        b"",
    ),
    ("allow_redirects false stays", get("/redirect/2", allow_redirects=False), ["/redirect/2"], ["GET"], b""),
    ("303 goes on with GET and no body", post("/redirect-code/303", json={"a": 1}), ["/redirect-code/303", "/echo"], ["POST", "GET"], b""),
    ("302 after POST goes on with GET", post("/redirect-code/302", json={"a": 1}), ["/redirect-code/302", "/echo"], ["POST", "GET"], b""),
    ("307 keeps method and body", post("/redirect-code/307", json={"a": 1}), ["/redirect-code/307", "/echo"], ["POST", "POST"], b'{"a":1}'),
    (
        "302 after PUT stays PUT",
        {"method": "put", "request_url": "/redirect-code/302"},
        ["/redirect-code/302", "/echo"],
        ["PUT", "PUT"],
        b"",
    ),
    ("301 after POST goes on with GET", post("/redirect-code/301", data="x"), ["/redirect-code/301", "/echo"], ["POST", "GET"], b""),
    ("a redirect to nowhere stays", get(raw(b"HTTP/1.1 302 F\r\nLocation:\r\nContent-Length: 0\r\n\r\n")), ["/raw"], ["GET"], b""),
    ("308 keeps method and body", post("/redirect-code/308", json={"a": 1}), ["/redirect-code/308", "/echo"], ["POST", "POST"], b'{"a":1}'),
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("sentence", "step", "paths", "methods", "body"), FOLLOWED, ids=[row[0] for row in FOLLOWED])
def test_redirects(
    user: str, sentence: str, step: Step, paths: list[str], methods: list[str], body: bytes, target: Target, tmp_path: Path
) -> None:
    target.reset()
    done = load(tmp_path, [step], user=user, host=target.url)
    records = target.records()
    assert [record.path for record in records] == paths
    assert [record.method for record in records] == methods
    assert records[-1].body == body or len(records) == 1
    assert len(done.hits) == 1


@dataclass(frozen=True)
class Ends:
    """A step, and how its hit must be recorded."""

    sentence: str
    step: Step
    outcome: Outcome
    text: str = ""


PLAIN = {"type": "not_contains", "value": "never there"}
HITS = [
    Ends("200 passes", get("/ok"), Outcome.OK),
    Ends("204 passes", get("/204"), Outcome.OK),
    Ends("304 passes", get("/304"), Outcome.OK),
    Ends("HEAD has no body", {"method": "head", "request_url": "/head"}, Outcome.OK),
    Ends("chunked bodies are read", get("/chunked", assertions=[PLAIN]), Outcome.OK),
    Ends("gzip is decoded for assertions", get("/gzip", assertions=[{"type": "contains", "value": "gzip"}]), Outcome.OK),
    Ends("deflate is decoded for assertions", get("/deflate", assertions=[{"type": "contains", "value": "deflate"}]), Outcome.OK),
    Ends("404 fails", get("/status/404"), Outcome.STATUS, "status 404 Not Found"),
    Ends("500 fails also where another assertion passes", get("/status/500", assertions=[PLAIN]), Outcome.STATUS),
    Ends("500 fails also with an extract", get("/status/500", extract=[{"var": "x", "path": "status"}]), Outcome.STATUS),
    Ends("a status assertion may accept 404", get("/status/404", assertions=[{"type": "status_code", "value": 404}]), Outcome.OK),
    Ends(
        "a status assertion may accept several", get("/status/503", assertions=[{"type": "status_code", "value": [200, 503]}]), Outcome.OK
    ),
    Ends(
        "a status assertion refuses others",
        get("/ok", assertions=[{"type": "status_code", "value": 201}]),
        Outcome.ASSERTION,
        "status_code expected 201, got 200",
    ),
    Ends(
        "contains looks into the body",
        get("/ok", assertions=[{"type": "contains", "value": "nope"}]),
        Outcome.ASSERTION,
        'body does not contain "nope"',
    ),
    Ends(
        "not_contains too",
        get("/ok", assertions=[{"type": "not_contains", "value": "ok"}]),
        Outcome.ASSERTION,
        'body unexpectedly contains "ok"',
    ),
    Ends("json_path keeps types: true is true", get("/ok", assertions=[{"type": "json_path", "path": "ok", "value": True}]), Outcome.OK),
    Ends(
        "json_path keeps types: true is not 1", get("/ok", assertions=[{"type": "json_path", "path": "ok", "value": 1}]), Outcome.ASSERTION
    ),
    Ends(
        "json_path of nothing is not null",
        get("/ok", assertions=[{"type": "json_path", "path": "no.where", "value": None}]),
        Outcome.ASSERTION,
    ),
    Ends(
        "header names are read in any case",
        get("/ok", assertions=[{"type": "header", "name": "content-TYPE", "value": "application/json"}]),
        Outcome.OK,
    ),
    Ends(
        "a missing header is said",
        get("/ok", assertions=[{"type": "header", "name": "X-No", "value": "1"}]),
        Outcome.ASSERTION,
        'header X-No expected "1", got none',
    ),
    Ends(
        "an extract that finds nothing fails the hit",
        get("/ok", extract=[{"var": "x", "path": "no"}]),
        Outcome.EXTRACT,
        "extract x: nothing at json_path no",
    ),
    Ends(
        "a refused connection fails, with assertions too",
        get("http://127.0.0.1:1/", assertions=[PLAIN], extract=[{"var": "x", "path": "a"}]),
        Outcome.CONNECT,
    ),
    Ends("a name that can't be resolved", get("http://nosuch.invalid/"), Outcome.DNS),
    Ends("closed without an answer", get("/close"), Outcome.CLOSED),
    Ends("closed in the middle of the body", get("/close-mid-body"), Outcome.CLOSED),
    Ends("garbage", get("/garbage"), Outcome.PROTOCOL),
    Ends("redirects without end", get("/redirect-loop"), Outcome.REDIRECT),
    Ends("no answer in time", get("/delay/30000", timeout=0.2), Outcome.TIMEOUT),
    Ends("a body that drips is bounded by the whole time", get("/slow-body/30000", timeout=0.2), Outcome.TIMEOUT),
    Ends("a body over the limit", get("/bytes/300000"), Outcome.TOO_LARGE),
    Ends("a header over all limits", get("/headers-huge?bytes=400000"), Outcome.PROTOCOL),
    Ends("a connection that the server closes is not a failure", get("/connection-close"), Outcome.OK),
    Ends("nor is the next hit after it", get("/ok"), Outcome.OK),
]


@pytest.mark.parametrize("user", USERS)
def test_each_hit_is_recorded_as_what_it_was(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [{**row.step, "name": f"{number:02} {row.sentence}"} for number, row in enumerate(HITS)]
    done = load(tmp_path, steps, user=user, host=target.url, max_body_bytes=200_000)
    found = {hit.name: hit for hit in done.hits}
    assert len(done.hits) == len(HITS)
    wrong = []
    for number, row in enumerate(HITS):
        hit = found[f"{number:02} {row.sentence}"]
        if hit.outcome is not row.outcome or row.text not in hit.error:
            wrong.append((row.sentence, row.outcome, hit))
    assert wrong == []
    assert done.summary["totals"]["failures"] == sum(row.outcome is not Outcome.OK for row in HITS)


@pytest.mark.parametrize("user", USERS)
def test_a_gzip_bomb_is_too_large_and_not_held(user: str, target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/gzip", name="small", assertions=[PLAIN])], user=user, host=target.url, max_body_bytes=10)
    assert done.outcome("small") is Outcome.TOO_LARGE


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    with Target(tls=(str(folder / "cert.pem"), str(folder / "key.pem"))) as server:
        yield server, folder


@pytest.mark.parametrize("user", USERS)
def test_tls_is_verified_unless_told_otherwise(user: str, tls: tuple[Target, Path], tmp_path: Path) -> None:
    server, folder = tls
    steps = [
        get(f"{server.url}/ok", name="unknown authority"),
        get(f"{server.url}/ok", name="not verified", verify=False),
        get(f"{server.url}/ok", name="own authority", verify=str(folder / "ca.pem")),
        get(f"{server.url.replace('127.0.0.1', 'localhost')}/ok", name="wrong name", verify=str(folder / "ca.pem")),
    ]
    done = load(tmp_path, steps, user=user)
    assert {hit.name: hit.outcome for hit in done.hits} == {
        "unknown authority": Outcome.TLS,
        "not verified": Outcome.OK,
        "own authority": Outcome.OK,
        "wrong name": Outcome.TLS,
    }
    assert ssl.OPENSSL_VERSION  # the message differs between its versions, so only the kind is asserted


@pytest.mark.parametrize("user", USERS)
def test_a_certificate_that_signed_itself_is_trusted_where_it_is_named(user: str, tmp_path: Path) -> None:
    need(shutil.which("openssl"), "openssl is not installed")
    for name, address in (("own", "127.0.0.1"), ("other", "127.0.0.2")):
        made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=IP:{address}"
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")]
        subprocess.run(["openssl", *made.split(), *files], check=True, capture_output=True)
    pairs = [(str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key")) for name in ("own", "other")]
    with Target(tls=pairs[0]) as own, Target(tls=pairs[1]) as other:
        steps = [
            get(f"{own.url}/ok", name="named", verify=pairs[0][0]),
            get(f"{own.url}/ok", name="another is named", verify=pairs[1][0]),
            get(f"{other.url}/ok", name="named, and not for this host", verify=pairs[1][0]),
        ]
        done = load(tmp_path, steps, user=user)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK, Outcome.TLS, Outcome.TLS]


@pytest.mark.parametrize("user", USERS)
def test_users_have_cookies_tokens_and_connections_of_their_own(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        post("/login", json={"user": "u${uuid()}"}, extract=[{"var": "token", "path": "token"}]),
        get("/whoami", headers={"Authorization": "Bearer ${var.token}"}),
        get("/whoami", headers={"Authorization": "Bearer ${var.token}"}),
    ]
    done = load(tmp_path, steps, user=user, host=target.url, user_count=20, iterations=2)
    records = target.records("/whoami")
    pairs = {(record.header("Cookie"), record.header("Authorization")) for record in records}
    assert len(records) == 80
    assert len(pairs) == 40  # one cookie and one token per log in, never mixed
    assert len({cookie for cookie, _ in pairs}) == len({token for _, token in pairs}) == 40
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    by_connection = {record.connection for record in target.records()}
    assert len(by_connection) == 20


@pytest.mark.parametrize("user", USERS)
def test_a_value_without_a_way_to_be_sent_is_a_failure_and_nothing_is_sent(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        get("/first", name="not there yet", headers={"X-Id": "${var.later}"}),
        get("/ok", name="fails to extract", extract=[{"var": "later", "path": "nothing"}]),
        get("/second/${var.later}", name="still not there"),
        post("/echo", name="evil", data="a\r\nX-Injected: 1", extract=[{"var": "evil", "path": "body"}]),
        get("/third", name="line break", headers={"X-Evil": "${var.evil}"}),
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    assert target.counts() == {"/ok": 1, "/echo": 1}
    assert [hit.outcome for hit in done.hits] == [Outcome.TEMPLATE, Outcome.EXTRACT, Outcome.TEMPLATE, Outcome.OK, Outcome.TEMPLATE]
    assert "${var.later}" in done.error_text("still not there")
    assert "line break" in done.error_text("line break")


@pytest.fixture
def asks_for_certificates(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server that lets in only clients with a certificate of its authority, and the folder of the files."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("client@loadflow.test")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.handle_error = lambda *of: None  # type: ignore[method-assign]  # refused handshakes are what is tested
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/", tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("user", USERS)
def test_client_certificates_are_shown_as_a_pair_or_in_one_file(user: str, asks_for_certificates: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = asks_for_certificates
    trusted: dict[str, Any] = {"verify": str(folder / "ca.pem")}
    steps = [
        get(url, name="pair", cert=[str(folder / "client.pem"), str(folder / "client.key")], **trusted),
        get(url, name="one file", client_cert=str(folder / "both.pem"), **trusted),
        get(url, name="none", **trusted),
    ]
    done = load(tmp_path, steps, user=user)
    assert {hit.name: hit.outcome for hit in done.hits} == {"pair": Outcome.OK, "one file": Outcome.OK, "none": Outcome.TLS}
