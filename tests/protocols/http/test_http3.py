"""HTTP/3 on the native core: the tables of HTTP once more, then what is its own. A server on another implementation is the judge."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from aioquic.h3.connection import ErrorCode
from aioquic.tls import CipherSuite

from loadflow.engine.generator.native import fit as native_fit
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load.start import start_test
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from tests.load.harness import Outcomes, get, post
from tests.load.harness import load as load_one
from tests.protocols.http.test_http import FOLLOWED, HITS, REQUESTS
from tests.services import need
from tests.targets.http3 import Http3Target
from tests.waiting import wait_for

Step = dict[str, Any]
Pem = tuple[Path, Path]
HI = {"type": "contains", "value": "hi"}
USER = {"user": "fast_http_user", "http_version": 3}

# connections of each user's own, and those that users share
LOADS = ("http3", "http3 streams")


def load(folder: Path, steps: list[Step], user: str = "http3", **arguments: Any) -> Outcomes:
    """Each step takes any certificate, unless it says otherwise."""
    need(is_built(), "the native core is not built")
    return load_one(folder, [{"verify": False, **step} for step in steps], user=user, **arguments)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def pem(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Pem:
    return pem_of(authority, tmp_path_factory.mktemp("pem"), "127.0.0.1", "shop.example")


def pem_of(authority: trustme.CA, folder: Path, *names: str) -> Pem:
    own = authority.issue_cert(*names)
    own.private_key_pem.write_to_path(folder / "key.pem")
    for part in own.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    return folder / "chain.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def server(pem: Pem) -> Iterator[Http3Target]:
    with Http3Target(pem) as target:
        yield target


@pytest.mark.parametrize("user", LOADS)
def test_the_server_receives_what_the_step_says(user: str, pem: Pem, tmp_path: Path) -> None:
    (tmp_path / "up.bin").write_bytes(b"bytes")
    given = {"five": 5, "form": {"a": 1, "b": "2"}, "upload": str(tmp_path / "up.bin")}
    with Http3Target(pem) as server:
        done = load(tmp_path, [{**row.step, "name": row.sentence} for row in REQUESTS], user, host=server.url, variables=given)
        records = server.records()
        assert [hit.error for hit in done.hits if hit.outcome is not Outcome.OK] == []
        assert server.mistakes == []
        assert [row.sentence for row, record in zip(REQUESTS, records, strict=True) if not row.check(record)] == []
        assert server.connections() == 1
        assert all(name == name.lower() for record in records for name, _ in record.headers[1:])


def test_redirects(server: Http3Target, tmp_path: Path) -> None:
    server.reset()
    done = load(tmp_path, [{**step, "name": sentence} for sentence, step, *_ in FOLLOWED], host=server.url)
    records = iter(server.records())
    for sentence, _, paths, methods, body in FOLLOWED:
        found = [next(records) for _ in paths]
        assert ([one.path for one in found], [one.method for one in found]) == (paths, methods), sentence
        assert found[-1].body == body or len(found) == 1, sentence
    assert len(done.hits) == len(FOLLOWED)


def test_timings_and_events(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        stream = {"until": "3", "format": "lines"}
        done = load(tmp_path, [get("/ok"), get("/ok"), get("/h3/lines", stream=stream), get("/ok")], host=server.url)
        assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 4
        counts = {name: one["count"] for name, one in done.summary["timings"].items()}
        once = dict.fromkeys(("dns", "connect", "tls", "first_event", "event_gap"), 1)
        assert counts == {**dict.fromkeys(("ttfb", "send", "wait", "receive"), 4), **once}
        assert set(server.stops) == {ErrorCode.H3_REQUEST_CANCELLED}  # of the stream that is not read to its end
        for row in done.rows:
            assert row["start_ns"] <= row["first_byte_ns"] <= row["end_ns"]


@pytest.mark.parametrize("user", LOADS)
def test_each_hit_is_recorded_as_what_it_was(user: str, server: Http3Target, tmp_path: Path) -> None:
    rows = [row for row in HITS if row.sentence != "a header over all limits"]  # more than aioquic sends; it is in PEER
    steps = [{**row.step, "name": row.sentence, "request_url": _secure(row.step["request_url"])} for row in rows]
    done = load(tmp_path, steps, user, host=server.url, max_body_bytes=200_000)
    found = {hit.name: hit for hit in done.hits}
    assert {name: hit.outcome for name, hit in found.items()} == {row.sentence: row.outcome for row in rows}
    # bytes that are no HTTP are frames that nobody knows, and so is the text about them
    texts = {row.sentence: "" if row.sentence == "garbage" else row.text for row in rows}
    assert [found[name].error for name, text in texts.items() if text not in found[name].error] == []


def _secure(url: str) -> str:
    return url.replace("http://", "https://", 1)


@dataclass(frozen=True)
class Does:
    """What the server does, and what is recorded of it."""

    path: str
    outcome: Outcome
    text: str = ""
    status: int = 0


PEER = [
    Does("/h3/interim", Outcome.OK, status=200),
    Does("/h3/trailers", Outcome.OK, status=200),
    Does("/h3/grease", Outcome.OK, status=200),
    Does("/h3/large-field", Outcome.OK, status=200),
    Does("/h3/goodbye", Outcome.OK, status=200),
    Does("/h3/unseen-once", Outcome.OK, status=200),
    Does("/h3/unseen", Outcome.CLOSED, "did not look at the request (GOAWAY)"),
    Does("/h3/refused", Outcome.CLOSED, "RESET_STREAM H3_REQUEST_REJECTED"),
    Does("/h3/cancel", Outcome.CLOSED, "RESET_STREAM H3_REQUEST_CANCELLED"),
    Does("/h3/reset-in-body", Outcome.CLOSED, "RESET_STREAM H3_INTERNAL_ERROR"),
    Does("/h3/close-error", Outcome.CLOSED, "the server ended the connection: H3_EXCESSIVE_LOAD"),
    Does("/h3/wrong-length", Outcome.PROTOCOL, "breaks the rules of HTTP/3: H3_MESSAGE_ERROR"),
    Does("/h3/no-status", Outcome.PROTOCOL, "H3_MESSAGE_ERROR"),
    Does("/h3/upper-case", Outcome.PROTOCOL, "H3_MESSAGE_ERROR"),
    Does("/h3/connection-field", Outcome.PROTOCOL, "H3_MESSAGE_ERROR"),
    Does("/h3/line-break", Outcome.PROTOCOL, "H3_MESSAGE_ERROR"),
    Does("/h3/no-head", Outcome.PROTOCOL, "H3_MESSAGE_ERROR"),
    Does("/h3/bad-packing", Outcome.PROTOCOL, "QPACK_DECOMPRESSION_FAILED"),
    Does("/h3/badly-coded", Outcome.PROTOCOL, "QPACK_DECOMPRESSION_FAILED"),
    Does("/h3/of-a-table", Outcome.PROTOCOL, "QPACK_DECOMPRESSION_FAILED"),
    Does("/h3/too-large-a-field", Outcome.PROTOCOL, "over 262,144 bytes of header fields"),
    Does("/h3/packed-bomb", Outcome.PROTOCOL, "over 262,144 bytes of header fields"),
    Does("/h3/endless-head", Outcome.PROTOCOL, "over 262,144 bytes of header fields"),
    Does("/h3/endless", Outcome.TOO_LARGE, "over max_body_bytes", 200),
    Does("/h3/empty-frames", Outcome.PROTOCOL, "frames without end"),
    Does("/h3/grease-flood", Outcome.PROTOCOL, "frames without end"),
    Does("/h3/interim-flood", Outcome.PROTOCOL, "frames without end"),
    Does("/h3/stream-flood", Outcome.PROTOCOL, "frames without end"),
    Does("/h3/data-without-head", Outcome.PROTOCOL, "H3_FRAME_UNEXPECTED"),
    Does("/h3/cut-frame", Outcome.PROTOCOL, "H3_FRAME_ERROR"),
    Does("/h3/settings-in-answer", Outcome.PROTOCOL, "H3_FRAME_UNEXPECTED"),
    Does("/h3/push", Outcome.PROTOCOL, "H3_ID_ERROR"),
    Does("/h3/push-stream", Outcome.PROTOCOL, "H3_ID_ERROR"),
    Does("/h3/second-control", Outcome.PROTOCOL, "H3_STREAM_CREATION_ERROR"),
    Does("/h3/end-control", Outcome.PROTOCOL, "H3_CLOSED_CRITICAL_STREAM"),
    Does("/h3/settings-twice", Outcome.PROTOCOL, "H3_FRAME_UNEXPECTED"),
    Does("/h3/data-on-control", Outcome.PROTOCOL, "H3_FRAME_UNEXPECTED"),
    Does("/h3/table", Outcome.PROTOCOL, "QPACK_ENCODER_STREAM_ERROR"),
    Does("/h3/garbage", Outcome.PROTOCOL),
    Does("/close", Outcome.CLOSED, "closed before an answer"),
    Does("/close-mid-body", Outcome.CLOSED, "closed before the body was whole"),
]


@pytest.mark.parametrize("user", LOADS)
def test_whatever_the_server_does_has_its_outcome_and_the_next_hit_is_read_right(user: str, server: Http3Target, tmp_path: Path) -> None:
    """Each fault on a connection that has served, and a plain request behind it."""
    server.reset()
    steps: list[Step] = []
    for row in PEER:
        steps += [
            get("/status/201", name="before"),
            get(row.path, name=row.path, assertions=[HI] if row.outcome is Outcome.OK and "field" not in row.path else [], timeout=30),
        ]
        steps += [get("/status/202", name="behind")]
    done = load(tmp_path, steps, user, host=server.url, max_body_bytes=300_000)
    found = {hit.name: hit for hit in done.hits}
    got = [(row.path, found[row.path].outcome, found[row.path].status, row.text in found[row.path].error) for row in PEER]
    assert got == [(row.path, row.outcome, row.status, True) for row in PEER]
    assert {(hit.outcome, hit.status) for hit in done.hits if hit.name == "before"} == {(Outcome.OK, 201)}
    assert {(hit.outcome, hit.status) for hit in done.hits if hit.name == "behind"} == {(Outcome.OK, 202)}
    again = {"/h3/unseen-once": 2, "/h3/refused": 2, "/h3/unseen": 6}  # sent so many times, and no more than that
    counts = {path: count for path, count in server.counts().items() if path.startswith("/h3/")}
    assert counts == {path: again.get(path, 1) for path in counts}


def test_all_requests_of_a_user_go_over_one_connection(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        steps = [get("/echo"), post("/echo", json={"a": 1}), get("/h3/interim"), get("/status/404", name="no"), get("/gzip")]
        done = load(tmp_path, steps, host=server.url, user_count=3, iterations=10)
        assert len(done.hits) == len(server.records()) == 150
        assert server.connections() == 3
        assert server.mistakes == server.resets == server.stops == []
        wait_for("goodbyes", lambda: server.ends == [ErrorCode.H3_NO_ERROR] * 3, 60)  # of each user


@pytest.mark.parametrize(("kept", "count"), [("keep", 1), ("per_pass", 3), ("per_request", 6)])
def test_connections_live_as_long_as_is_said_and_are_ended(kept: str, count: int, pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        steps = [get("/echo"), get("/status/201")]
        done = load(tmp_path, steps, user_detail_dict={**USER, "connection": kept}, host=server.url, iterations=3)
        assert [hit.error for hit in done.hits] == [""] * 6
        assert server.connections() == count
        wait_for("goodbyes", lambda: server.ends == [ErrorCode.H3_NO_ERROR] * count, 60)


def test_a_connection_closed_while_idle_is_no_failure_and_nothing_is_sent_twice(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        steps = [get("/h3/answered-and-closed", think_time=0.3), post("/echo", data="once"), get("/h3/goodbye"), get("/status/201")]
        done = load(tmp_path, steps, host=server.url, iterations=3)
        assert {hit.outcome for hit in done.hits} == {Outcome.OK}
        assert server.counts() == {"/h3/answered-and-closed": 3, "/echo": 3, "/h3/goodbye": 3, "/status/201": 3}


BODY = "0123456789abcdef" * 20_000  # 320,000 bytes


@pytest.mark.parametrize(
    ("sentence", "settings"),
    [
        ("as the package begins", {}),
        ("a window of a thousand bytes for each stream", {"max_stream_data": 1_000}),
        pytest.param("a window of ten thousand bytes for all", {"max_data": 10_000}, marks=pytest.mark.long),
        pytest.param("an address that is proven first", {"retry": True}, marks=pytest.mark.long),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bodies_are_whole_whatever_the_server_sets(sentence: str, settings: dict[str, Any], pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem, **settings) as server:
        steps = [
            post("/echo", name="up", data=BODY, assertions=[{"type": "contains", "value": BODY}]),
            get("/bytes/5000000", name="down"),
            get("/h3/small-frames", name="small", assertions=[{"type": "contains", "value": "x" * 1000}]),
        ]
        done = load(tmp_path, steps, host=server.url, iterations=2, test_time=300)
        assert {hit.error for hit in done.hits} == {""}
        assert {record.body for record in server.records("/echo")} == {BODY.encode()}
        received = {int(row["received_bytes"]) // 1000 for row, hit in zip(done.rows, done.hits, strict=True) if hit.name == "down"}
        assert received == {5_000}  # frames, without what QUIC adds
        sent = {int(row["sent_bytes"]) // 1000 for row, hit in zip(done.rows, done.hits, strict=True) if hit.name == "up"}
        assert sent == {320}


def test_an_answer_that_comes_before_the_body_was_sent_is_the_answer(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem, max_stream_data=1_000) as server:
        steps = [post("/h3/early", data=BODY, assertions=[{"type": "status_code", "value": 413}]), get("/status/201", name="next")]
        done = load(tmp_path, steps, host=server.url)
        assert [(hit.outcome, hit.status) for hit in done.hits] == [(Outcome.OK, 413), (Outcome.OK, 201)]
        assert server.connections() == 1


def test_a_silent_stream_costs_the_time_limit_and_not_the_connection(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        steps = [get("/h3/silence", name="silent", timeout=0.3), get("/status/201", name="next")]
        done = load(tmp_path, steps, host=server.url)
        assert [hit.outcome for hit in done.hits] == [Outcome.TIMEOUT, Outcome.OK]
        assert server.connections() == 1
        assert set(server.stops) == {ErrorCode.H3_REQUEST_CANCELLED}


def test_an_answer_that_takes_longer_than_the_server_lets_a_connection_be_idle(pem: Pem, tmp_path: Path) -> None:
    """The server would end it after 12 s; the core asks before whether it is there. While nothing is asked, it lets it end."""
    with Http3Target(pem, idle_timeout=12.0) as server:
        done = load(tmp_path, [get("/delay/13000", name="slow")], host=server.url)
        assert [(hit.outcome, hit.error) for hit in done.hits] == [(Outcome.OK, "")]


@pytest.mark.parametrize("user", LOADS)
def test_cookies_and_tokens_are_a_users_own(user: str, server: Http3Target, tmp_path: Path) -> None:
    server.reset()
    steps = [
        post("/login", json={"user": "u${uuid()}"}, extract=[{"var": "token", "path": "token"}]),
        get("/whoami", headers={"Authorization": "Bearer ${var.token}"}),
    ]
    load(tmp_path, steps, user, host=server.url, user_count=10)
    pairs = {(record.header("Cookie"), record.header("Authorization")) for record in server.records("/whoami")}
    assert len(pairs) == 10
    assert {str(cookie).removeprefix("sid=s-") for cookie, _ in pairs} == {str(token).removeprefix("Bearer t-") for _, token in pairs}


def test_users_share_connections(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        detail = {**USER, "streams": 10}
        done = load(tmp_path, [get("/h3/together?count=10")], user_detail_dict=detail, host=server.url, user_count=30, iterations=5)
        assert [hit.error for hit in done.hits] == [""] * 150
        assert (server.connections(), server.most_at_once, server.mistakes) == (3, 10, [])


def test_answers_in_another_order_belong_to_their_requests(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        step = get("/h3/backwards?count=5", headers={"X-Number": "${uuid()}"}, assertions=[{"type": "contains", "value": "hi"}])
        echoed = {**step, "extract": [{"var": "n", "from": "regex", "pattern": "hi (.+)", "group": 1}]}
        done = load(tmp_path, [echoed], user_detail_dict={**USER, "streams": 5}, host=server.url, user_count=5, iterations=4)
        assert [hit.error for hit in done.hits] == [""] * 20
        assert len({record.header("X-Number") for record in server.records()}) == 20


@pytest.mark.parametrize(
    ("path", "outcome", "times"),
    [("/h3/half?count=6", Outcome.OK, 9), ("/h3/refused-at-first", Outcome.OK, 12), ("/h3/cut-all?count=6", Outcome.CLOSED, 6)],
)
def test_what_happens_to_some_requests_of_a_connection(path: str, outcome: Outcome, times: int, pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        rows = tmp_path / "rows.csv"
        rows.write_text("n\n" + "\n".join(map(str, range(6))) + "\n")
        step = get(path, headers={"X-Number": "${csv.rows.n}"})
        csv = [{"name": "rows", "file_path": str(rows), "mode": "cycle"}]
        done = load(tmp_path, [step], user_detail_dict={**USER, "streams": 6}, host=server.url, user_count=6, iterations=1, csv_sources=csv)
        assert [hit.outcome for hit in done.hits] == [outcome] * 6
        assert len(server.records()) == times


def test_steps_of_a_batch_are_streams_of_one_connection(pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem) as server:
        batch = {"batch": [get("/h3/together?count=3", name=f"part {at}", verify=False) for at in range(3)]}
        done = load_one(tmp_path, [batch], user="http3", host=server.url)
        assert [hit.error for hit in done.hits] == [""] * 3
        assert (server.connections(), server.most_at_once) == (1, 3)


@pytest.mark.parametrize("streams", [None, 3])
def test_passes_of_a_rate_and_of_users_who_stop_are_whole(streams: int | None, pem: Pem, tmp_path: Path) -> None:
    told = {**USER, "streams": streams}
    with Http3Target(pem) as server:
        with use_session(Session(runs_dir=tmp_path)):
            tasks = [get("/echo", verify=False)]
            paced = start_test(told, user_count=20, rate=100, test_time=1, tasks=tasks, host=server.url, rate_tolerance=1)
        assert paced["totals"]["successes"] == paced["totals"]["requests"] == len(server.records()) > 0
        server.reset()
        slow = [get("/delay/300", name="slow")]
        stopped = load(tmp_path, slow, user_detail_dict=told, host=server.url, iterations=None, user_count=5, test_time=1)
        assert {hit.outcome for hit in stopped.hits} == {Outcome.OK}
        assert len(stopped.hits) == len(server.records())  # those in flight at the end were answered, and counted
        assert server.mistakes == []


def test_whom_it_trusts(authority: trustme.CA, pem: Pem, server: Http3Target, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "other").mkdir()
    (tmp_path / "key.pem").write_bytes(authority.private_key_pem.bytes())
    own = (tmp_path / "ca.pem", tmp_path / "key.pem")  # an authority that shows itself, as `openssl req -x509` makes it
    with Http3Target(pem_of(authority, tmp_path / "other", "other.example")) as other, Http3Target(own) as itself:
        trusted = str(tmp_path / "ca.pem")
        steps = [
            get("/ok", name="trusted", verify=trusted),
            get("/ok", name="not trusted", verify=True),
            get("/ok", name="any", verify=False),
            get("/ok", name="by a name of it", verify=trusted, sni="shop.example"),
            get("/ok", name="by another name", verify=trusted, sni="none.example"),
            get(f"{other.url}/ok", name="wrong name", verify=trusted),
            get(f"{itself.url}/ok", name="itself", verify=True),
        ]
        done = load(tmp_path, steps, host=server.url)
    found = {hit.name: hit.outcome for hit in done.hits}
    bad = dict.fromkeys(("not trusted", "by another name", "wrong name", "itself"), Outcome.TLS)
    assert found == {"trusted": Outcome.OK, "any": Outcome.OK, "by a name of it": Outcome.OK, **bad}
    for name in ("not trusted", "itself"):
        assert 'UnknownIssuer; "verify" says whom to trust: a PEM file, or false for anyone' in done.error_text(name)
    assert "not valid for name" in done.error_text("wrong name")


def test_a_server_that_is_not_there_or_speaks_something_else(pem: Pem, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, Http3Target(pem, alpn=["hq-interop"]) as other:
        silent.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            port = gone.getsockname()[1]
        steps = [
            get(f"https://127.0.0.1:{port}/", name="nobody there"),
            get(f"https://127.0.0.1:{silent.getsockname()[1]}/", name="no answer", timeout=[0.4, 30]),
            get(f"{other.url}/", name="no HTTP/3"),
            get("https://none.invalid/", name="no such name"),
        ]
        for streams in (None, 3):
            done = load(tmp_path, steps, user_detail_dict={**USER, "streams": streams}, user_count=2)
            wanted = {"nobody there": Outcome.CONNECT, "no answer": Outcome.TIMEOUT, "no HTTP/3": Outcome.TLS, "no such name": Outcome.DNS}
            assert {(hit.name, hit.outcome) for hit in done.hits} == set(wanted.items())
            assert "Connection refused" in done.error_text("nobody there")
            assert "not connected within 0.4 s" in done.error_text("no answer")
            assert "the server did not choose HTTP/3 (h3 by ALPN)" in done.error_text("no HTTP/3")


@pytest.mark.parametrize("cipher", ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"])
@pytest.mark.parametrize("user", LOADS)
def test_the_cipher_that_was_agreed_on_is_told(user: str, cipher: str, pem: Pem, tmp_path: Path) -> None:
    with Http3Target(pem, cipher_suites=[CipherSuite[cipher]], retry=True) as server:
        done = load(tmp_path, [get("/ok")], user, host=server.url)
    assert done.run.facts.tls == (f"TLSv1.3 TLS_{cipher}",)


def test_sessions_are_resumed_only_where_that_is_said(pem: Pem, tmp_path: Path) -> None:
    tickets: dict[bytes, Any] = {}
    taken: list[bytes] = []

    def fetch(label: bytes) -> Any:
        taken.append(label)
        return tickets.get(label)

    for resume, wanted in ((False, 0), (True, 2)):
        taken.clear()
        with Http3Target(pem, tickets=(fetch, lambda ticket: tickets.__setitem__(ticket.ticket, ticket))) as server:
            detail = {**USER, "connection": "per_request", "tls": {"resume": resume}}
            done = load(tmp_path, [get("/h3/grease", think_time=0.2)], user_detail_dict=detail, host=server.url, iterations=3)
            assert [hit.error for hit in done.hits] == [""] * 3
            assert len(taken) == wanted


def test_a_redirect_to_a_url_without_tls_fails_and_says_why(server: Http3Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/redirect-code/302?to=http://127.0.0.1:1/", name="down")], host=server.url)
    assert done.outcome("down") is Outcome.CONNECT
    assert "HTTP/3 is for https URLs only" in done.error_text("down")


def test_other_addresses(server: Http3Target, tmp_path: Path) -> None:
    server.reset()
    detail = {**USER, "resolve": {"shop.example:443": f"127.0.0.1:{server.port}"}, "local_address": ["127.0.0.2", "127.0.0.3"]}
    done = load(tmp_path, [get("/echo")], user_detail_dict=detail, host="https://shop.example", user_count=4)
    assert [hit.error for hit in done.hits] == [""] * 4
    assert {record.header("Host") for record in server.records()} == {"shop.example"}


@pytest.mark.parametrize(
    ("sentence", "more", "words"),
    [
        ("Locust", {"user_detail_dict": {**USER, "engine": "locust"}}, r"http_version: Locust sends no HTTP/3; only the native core does"),
        ("what the core does not take", {"web_ui_dict": {"port": 1}}, r"native core does not take web_ui, and Locust sends no HTTP/3"),
        ("another protocol", {"user_detail_dict": {**USER, "user": "mqtt_user"}}, r"http_version: has no meaning for user 'mqtt_user'"),
        ("a proxy", {"user_detail_dict": {**USER, "proxy": "http://127.0.0.1:1"}}, r"proxy: HTTP/3 goes over UDP"),
        ("an old TLS", {"user_detail_dict": {**USER, "tls": {"versions": ["1.2"]}}}, r"tls\.versions: HTTP/3 has TLS 1\.3"),
        ("its ciphers", {"user_detail_dict": {**USER, "tls": {"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}}}, r"tls\.ciphers: are those"),
        ("no TLS", {"host": "http://127.0.0.1:1"}, r"tasks\[0\]: http://127\.0\.0\.1:1\S* has no TLS, and HTTP/3 has no other"),
        (
            "a field about the connection",
            {"tasks": [get("/", headers={"Connection": "close"})]},
            r"tasks\[0\]\.headers\.Connection: is about an HTTP/1\.1 connection; HTTP/3 has no such field",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "\\" not in value else "",
)  # fmt: skip
def test_what_can_not_be_is_refused_before_anything_is_sent(
    sentence: str, more: dict[str, Any], words: str, server: Http3Target, tmp_path: Path
) -> None:
    server.reset()
    with use_session(Session(runs_dir=tmp_path)), pytest.raises(CommandError, match=words):
        start_test(**{"user_detail_dict": USER, "tasks": [get("/echo")], "host": server.url, "test_time": 1, **more})
    assert server.records() == []


def test_without_the_core_there_is_no_http_3(server: Http3Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_fit, "is_built", lambda: False)
    with pytest.raises(CommandError, match=r"the native core is not built, and Locust sends no HTTP/3; install Rust"):
        load_one(tmp_path, [get("/echo")], user="http3", host=server.url)
