"""HTTP/2 on the native core: the tables of HTTP once more, then what is its own. A server on another implementation is the judge."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

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
from tests.targets.fixture import Target
from tests.targets.http2 import Http2Target

Step = dict[str, Any]
HI = {"type": "contains", "value": "hi"}
USER = {"user": "fast_http_user", "http_version": 2}


# connections of each user's own, and those that users share
LOADS = ("http2", "http2 streams")


def load(folder: Path, steps: Any, user: str = "http2", **arguments: Any) -> Outcomes:
    need(is_built(), "the native core is not built")
    return load_one(folder, steps, user=user, **arguments)


@pytest.fixture(scope="module")
def server() -> Iterator[Http2Target]:
    with Http2Target() as target:
        yield target


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context_of(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest.mark.parametrize("user", LOADS)
@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "tls"])
def test_the_server_receives_what_the_step_says(secure: bool, user: str, authority: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "up.bin").write_bytes(b"bytes")
    given = {"five": 5, "form": {"a": 1, "b": "2"}, "upload": str(tmp_path / "up.bin")}
    with Http2Target(context_of(authority, "h2", "http/1.1") if secure else None) as server:
        steps = [{**row.step, "name": row.sentence, "verify": False} for row in REQUESTS]
        done = load(tmp_path, steps, user, host=server.url, variables=given)
        records = server.records()
        assert [hit.error for hit in done.hits if hit.outcome is not Outcome.OK] == []
        assert server.mistakes == []
        assert [row.sentence for row, record in zip(REQUESTS, records, strict=True) if not row.check(record)] == []
        assert server.connections() == 1
        assert all(name == name.lower() for record in records for name, _ in record.headers[1:])


def test_redirects(server: Http2Target, tmp_path: Path) -> None:
    server.reset()
    done = load(tmp_path, [{**step, "name": sentence} for sentence, step, *_ in FOLLOWED], host=server.url)
    records = iter(server.records())
    for sentence, _, paths, methods, body in FOLLOWED:
        found = [next(records) for _ in paths]
        assert ([one.path for one in found], [one.method for one in found]) == (paths, methods), sentence
        assert found[-1].body == body or len(found) == 1, sentence
    assert len(done.hits) == len(FOLLOWED)


def test_timings_and_events(tmp_path: Path) -> None:
    with Http2Target() as server:
        stream = {"until": "3", "format": "lines"}
        done = load(tmp_path, [get("/ok"), get("/ok"), get("/h2/lines", stream=stream), get("/ok")], host=server.url)
        assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 4
        counts = {name: one["count"] for name, one in done.summary["timings"].items()}
        assert counts == {**dict.fromkeys(("ttfb", "send", "wait", "receive"), 4), "dns": 1, "connect": 1, "first_event": 1, "event_gap": 1}
        assert server.resets == [ErrorCodes.CANCEL]  # of the stream that is not read to its end
        for row in done.rows:
            assert row["start_ns"] <= row["first_byte_ns"] <= row["end_ns"]


@pytest.mark.parametrize("user", LOADS)
def test_each_hit_is_recorded_as_what_it_was(user: str, server: Http2Target, tmp_path: Path) -> None:
    rows = [row for row in HITS if row.sentence != "a header over all limits"]  # minutes of Huffman coding in Python; it is in PEER
    done = load(tmp_path, [{**row.step, "name": row.sentence} for row in rows], user, host=server.url, max_body_bytes=200_000)
    found = {hit.name: hit for hit in done.hits}
    # bytes that are no HTTP may be the beginning of a frame, of which the rest is missing
    expected = {row.sentence: Outcome.CLOSED if row.sentence == "garbage" else row.outcome for row in rows}
    assert {name: hit.outcome for name, hit in found.items()} == expected
    assert [found[row.sentence].error for row in rows if row.text not in found[row.sentence].error] == []


@dataclass(frozen=True)
class Does:
    """What the server does, and what is recorded of it."""

    path: str
    outcome: Outcome
    text: str = ""
    status: int = 0


PEER = [
    Does("/h2/pings", Outcome.OK, status=200),  # they are answered before it answers
    Does("/h2/interim", Outcome.OK, status=200),
    Does("/h2/trailers", Outcome.OK, status=200),
    Does("/h2/large-field", Outcome.OK, status=200),
    Does("/h2/goodbye", Outcome.OK, status=200),
    Does("/h2/unseen-once", Outcome.OK, status=200),
    Does("/h2/unseen", Outcome.CLOSED, "did not look at the request (GOAWAY)"),
    Does("/h2/refused", Outcome.CLOSED, "RST_STREAM REFUSED_STREAM"),
    Does("/h2/cancel", Outcome.CLOSED, "RST_STREAM CANCEL"),
    Does("/h2/reset-in-body", Outcome.CLOSED, "RST_STREAM INTERNAL_ERROR"),
    Does("/h2/goaway-error", Outcome.CLOSED, "GOAWAY ENHANCE_YOUR_CALM"),
    Does("/h2/wrong-length", Outcome.PROTOCOL, "breaks the rules of HTTP/2: PROTOCOL_ERROR"),
    Does("/h2/no-status", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    Does("/h2/upper-case", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    Does("/h2/connection-field", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    Does("/h2/line-break", Outcome.PROTOCOL),
    Does("/h2/bad-packing", Outcome.PROTOCOL, "breaks the rules of HTTP/2"),
    Does("/h2/too-large-a-field", Outcome.PROTOCOL),
    Does("/h2/packed-bomb", Outcome.PROTOCOL, "more header fields"),
    Does("/h2/continuations", Outcome.PROTOCOL, "more header fields"),
    Does("/h2/endless", Outcome.TOO_LARGE, "over max_body_bytes", 200),
    Does("/h2/empty-frames", Outcome.PROTOCOL, "empty frames"),
    Does("/h2/ping-flood", Outcome.PROTOCOL, "frames without end"),
    Does("/h2/settings-flood", Outcome.PROTOCOL, "frames without end"),
    Does("/h2/interim-flood", Outcome.PROTOCOL, "frames without end"),
    Does("/h2/data-without-head", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    Does("/h2/other-stream", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    Does("/h2/too-long-a-frame", Outcome.PROTOCOL, "FRAME_SIZE_ERROR"),
    Does("/h2/push", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    Does("/h2/garbage", Outcome.PROTOCOL),
    Does("/close", Outcome.CLOSED, "closed before an answer"),
    Does("/close-mid-body", Outcome.CLOSED, "closed before the body was whole"),
]


@pytest.mark.parametrize("user", LOADS)
def test_whatever_the_server_does_has_its_outcome_and_the_next_hit_is_read_right(user: str, server: Http2Target, tmp_path: Path) -> None:
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
    again = {"/h2/unseen-once": 2, "/h2/refused": 2, "/h2/unseen": 6}  # sent so many times, and no more than that
    counts = {path: count for path, count in server.counts().items() if path.startswith("/h2/")}
    assert counts == {path: again.get(path, 1) for path in counts}


def test_a_refused_stream_is_retried_where_the_step_retries_what_is_transient(server: Http2Target, tmp_path: Path) -> None:
    server.reset()
    done = load(tmp_path, [get("/h2/refused", retry={"transient": 2, "base_delay": 0})], host=server.url)
    assert server.counts() == {"/h2/refused": 6}  # each of three attempts once more
    assert len(done.hits) == 3
    assert len({record.connection for record in server.records()}) == 1


def test_all_requests_of_a_user_go_over_one_connection(tmp_path: Path) -> None:
    with Http2Target() as server:
        steps = [get("/echo"), post("/echo", json={"a": 1}), get("/h2/interim"), get("/status/404", name="no"), get("/gzip")]
        done = load(tmp_path, steps, host=server.url, user_count=3, iterations=10)
        assert len(done.hits) == len(server.records()) == 150
        assert server.connections() == 3
        assert server.mistakes == server.resets == []


def test_pings_are_answered_while_nothing_is_asked(tmp_path: Path) -> None:
    with Http2Target() as server:
        load(tmp_path, [get("/h2/ping-when-idle", think_time=0.3), get("/echo")], host=server.url)
        assert server.counters["idle pings answered"] == 1
        assert server.connections() == 1


def test_a_connection_closed_while_idle_is_no_failure_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    with Http2Target() as server:
        steps = [get("/h2/answered-and-closed", think_time=0.3), post("/echo", data="once"), get("/h2/goodbye"), get("/status/201")]
        done = load(tmp_path, steps, host=server.url, iterations=3)
        assert {hit.outcome for hit in done.hits} == {Outcome.OK}
        assert server.counts() == {"/h2/answered-and-closed": 3, "/echo": 3, "/h2/goodbye": 3, "/status/201": 3}


BODY = "0123456789abcdef" * 20_000  # 320,000 bytes


@pytest.mark.parametrize(
    ("sentence", "settings"),
    [
        ("as the protocol begins", {}),
        ("windows of ten bytes", {SettingCodes.INITIAL_WINDOW_SIZE: 10}),
        ("no window at first", {SettingCodes.INITIAL_WINDOW_SIZE: 0}),
        ("no table of header fields", {SettingCodes.HEADER_TABLE_SIZE: 0}),
        pytest.param("one stream at once", {SettingCodes.MAX_CONCURRENT_STREAMS: 1}, marks=pytest.mark.long),
        ("large frames", {SettingCodes.MAX_FRAME_SIZE: 1_000_000, SettingCodes.INITIAL_WINDOW_SIZE: 2_000_000}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bodies_are_whole_whatever_the_server_sets(sentence: str, settings: dict[SettingCodes, int], tmp_path: Path) -> None:
    size = 2_000 if settings.get(SettingCodes.INITIAL_WINDOW_SIZE, 65_535) < 65_535 else len(BODY)
    with Http2Target(settings=settings) as server:
        steps = [
            get("/echo", name="first", headers={"X-Settings": "are known then"}),
            post("/echo", name="up", data=BODY[:size], assertions=[{"type": "contains", "value": BODY[:size]}]),
            get("/bytes/5000000", name="down"),
            get("/h2/small-frames", name="small", assertions=[{"type": "contains", "value": "x" * 1000}]),
        ]
        done = load(tmp_path, steps, host=server.url, iterations=2, user_count=2)
        assert {hit.error for hit in done.hits} == {""}
        assert {record.body for record in server.records("/echo") if record.method == "POST"} == {BODY[:size].encode()}
        received = {int(row["received_bytes"]) // 1000 for row, hit in zip(done.rows, done.hits, strict=True) if hit.name == "down"}
        assert all(5_000 <= one <= 5_020 for one in received)  # frames of at most 16,384 bytes, each with nine more


def test_an_answer_that_comes_before_the_body_was_sent_is_the_answer(server: Http2Target, tmp_path: Path) -> None:
    steps = [post("/h2/early", data=BODY, assertions=[{"type": "status_code", "value": 413}]), get("/status/201", name="next")]
    done = load(tmp_path, steps, host=server.url)
    assert [(hit.outcome, hit.status) for hit in done.hits] == [(Outcome.OK, 413), (Outcome.OK, 201)]


def test_a_silent_stream_costs_the_time_limit_and_a_silent_connection_itself_too(tmp_path: Path) -> None:
    with Http2Target() as server:
        steps = [get("/h2/silence", name="silent", timeout=0.3), get("/status/201", name="next")]
        done = load(tmp_path, steps, host=server.url)
        assert [hit.outcome for hit in done.hits] == [Outcome.TIMEOUT, Outcome.OK]
        assert (server.connections(), server.resets) == (1, [ErrorCodes.CANCEL])
    with Http2Target() as server:
        steps = [get("/status/201"), get("/h2/deaf", name="deaf", timeout=0.3), get("/status/201", name="next")]
        done = load(tmp_path, steps, host=server.url)
        assert [hit.outcome for hit in done.hits] == [Outcome.OK, Outcome.TIMEOUT, Outcome.OK]
        assert server.connections() == 2
    with Http2Target(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 0}) as server:
        done = load(
            tmp_path, [get("/echo", name="before it is known", think_time=0.2), get("/echo", name="no room", timeout=0.5)], host=server.url
        )
        assert done.outcome("no room") is Outcome.TIMEOUT


@pytest.mark.parametrize("user", LOADS)
def test_cookies_and_tokens_are_a_users_own(user: str, server: Http2Target, tmp_path: Path) -> None:
    server.reset()
    steps = [
        post("/login", json={"user": "u${uuid()}"}, extract=[{"var": "token", "path": "token"}]),
        get("/whoami", headers={"Authorization": "Bearer ${var.token}"}),
    ]
    load(tmp_path, steps, user, host=server.url, user_count=10)
    pairs = {(record.header("Cookie"), record.header("Authorization")) for record in server.records("/whoami")}
    assert len(pairs) == 10
    assert {str(cookie).removeprefix("sid=s-") for cookie, _ in pairs} == {str(token).removeprefix("Bearer t-") for _, token in pairs}


def test_a_redirect_may_lead_to_another_server_and_credentials_stay(server: Http2Target, authority: trustme.CA, tmp_path: Path) -> None:
    server.reset()
    with Http2Target(context_of(authority, "h2")) as other:
        step = get(f"/redirect-code/307?to={other.url}/echo", auth={"type": "bearer", "token": "t"}, cookies={"c": "1"}, verify=False)
        done = load(tmp_path, [{**step, "headers": {"X-Kept": "yes", "Host": "shop.test"}}], host=server.url, iterations=3)
        assert {hit.outcome for hit in done.hits} == {Outcome.OK}
        assert other.connections() == 1
        (home, *_), (away, *_) = server.records(), other.records()
    assert [home.header(name) for name in ("Host", "Authorization", "Cookie")] == ["shop.test", "Bearer t", "c=1"]
    assert [away.header(name) for name in ("Host", "Authorization", "Cookie", "X-Kept")] == [other.url[8:], None, None, "yes"]


@pytest.mark.parametrize("streams", [None, 3])
def test_passes_of_a_rate_and_of_users_who_stop_are_whole(streams: int | None, tmp_path: Path) -> None:
    told = {**USER, "streams": streams}
    with Http2Target() as server:
        with use_session(Session(runs_dir=tmp_path)):
            paced = start_test(told, user_count=20, rate=100, test_time=1, tasks=[get("/echo")], host=server.url, rate_tolerance=1)
        assert paced["totals"]["successes"] == paced["totals"]["requests"] == len(server.records()) > 0
        server.reset()
        slow = [get("/delay/300", name="slow")]
        stopped = load(tmp_path, slow, user_detail_dict=told, host=server.url, iterations=None, user_count=5, test_time=1)
        assert {hit.outcome for hit in stopped.hits} == {Outcome.OK}
        assert len(stopped.hits) == len(server.records())  # those in flight at the end were answered, and counted
        assert server.mistakes == []


def test_a_server_without_http_2_is_a_failure_that_says_so(authority: trustme.CA, target: Target, tmp_path: Path) -> None:
    with Http2Target(context_of(authority)) as silent, Http2Target(context_of(authority, "http/1.1")) as other:
        steps = [
            get(f"{silent.url}/echo", name="no ALPN", verify=False),
            get(f"{other.url}/echo", name="another protocol", verify=False),
            get(f"{target.url}/ok", name="HTTP/1.1 without TLS"),
        ]
        done = load(tmp_path, steps)
        assert silent.records() == other.records() == []
    assert [hit.outcome for hit in done.hits] == [Outcome.TLS, Outcome.TLS, Outcome.PROTOCOL]
    assert all("the server did not choose HTTP/2" in hit.error for hit in done.hits[:2])
    assert "the server answers in HTTP/1" in done.error_text("HTTP/1.1 without TLS")


@pytest.mark.parametrize(
    ("sentence", "more", "words"),
    [
        ("Locust", {"user_detail_dict": {**USER, "engine": "locust"}}, r"user_detail_dict\.http_version: Locust sends no HTTP/2"),
        ("what the core does not take", {"web_ui_dict": {"port": 1}}, r"http_version: the native core does not take web_ui, and Locust"),
        ("another protocol", {"user_detail_dict": {**USER, "user": "mqtt_user"}}, r"http_version: has no meaning for user 'mqtt_user'"),
        ("streams of HTTP/1.1", {"user_detail_dict": {**USER, "http_version": 1, "streams": 10}}, r"streams: is about connections"),
        ("streams on Locust", {"user_detail_dict": {**USER, "engine": "locust", "streams": 10}}, r"Locust sends no HTTP/2"),
        ("no streams", {"user_detail_dict": {**USER, "streams": 0}}, r"streams: must be at least 1"),
        ("shared, and a user's own", {"user_detail_dict": {**USER, "streams": 2, "connection": "per_pass"}}, r"a connection is one user's"),
        ("HTTP/4", {"user_detail_dict": {**USER, "http_version": 4}}, r"user_detail_dict\.http_version"),
        (
            "a field about the connection",
            {"tasks": [get("/", headers={"Connection": "close"})]},
            r"tasks\[0\]\.headers\.Connection: is about an HTTP/1\.1 connection",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "\\" not in value else "",
)  # fmt: skip
def test_what_can_not_be_is_refused_before_anything_is_sent(
    sentence: str, more: dict[str, Any], words: str, server: Http2Target, tmp_path: Path
) -> None:
    server.reset()
    with use_session(Session(runs_dir=tmp_path)), pytest.raises(CommandError, match=words):
        start_test(**{"user_detail_dict": USER, "tasks": [get("/echo")], "host": server.url, "test_time": 1, **more})
    assert server.records() == []


def test_without_the_core_there_is_no_http_2(server: Http2Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_fit, "is_built", lambda: False)
    with pytest.raises(CommandError, match=r"the native core is not built, and Locust sends no HTTP/2; install Rust"):
        load_one(tmp_path, [get("/echo")], user="http2", host=server.url)
