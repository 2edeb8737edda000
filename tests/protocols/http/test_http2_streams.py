"""HTTP/2 with several requests at once on a connection: those of users who share it, and those of one user's batch."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trustme
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.records.outcome import Outcome
from tests.load.harness import Outcomes, get, load, post
from tests.services import need
from tests.targets.http2 import Http2Target

HI = {"assertions": [{"type": "contains", "value": "hi"}]}


def shared(folder: Path, steps: Any, streams: int | None, **more: Any) -> Outcomes:
    need(is_built(), "the native core is not built")
    detail = {"user": "fast_http_user", "http_version": 2, "streams": streams, **more.pop("told", {})}
    return load(folder, steps, user_detail_dict=detail, **more)


def outcomes(done: Outcomes) -> Counter[tuple[str, Outcome]]:
    return Counter((hit.name, hit.outcome) for hit in done.hits)


# streams, users, what the server takes at once (None: it does not say), connections, requests at once on each at most
SHARED = [
    ("each user has its own where nothing is said", None, 4, None, 4, 1),
    ("one stream at once", 1, 4, None, 4, 1),
    ("all on one", 10, 6, None, 1, 6),
    ("connections are filled, and the rest has one", 4, 10, None, 3, 4),
    ("the server takes fewer", 10, 6, 2, 3, 2),
    ("the server takes one", 10, 3, 1, 3, 1),
    ("the server takes more", 2, 4, 100, 2, 2),
]


@pytest.mark.parametrize(
    ("streams", "users", "takes", "connections", "at_once"), [row[1:] for row in SHARED], ids=[row[0] for row in SHARED]
)
def test_users_share_connections(
    streams: int | None, users: int, takes: int | None, connections: int, at_once: int, tmp_path: Path
) -> None:
    """The first requests of all are held until all are there, so that none can wait for another one's end."""
    settings = {} if takes is None else {SettingCodes.MAX_CONCURRENT_STREAMS: takes}
    full = min(users, at_once)
    with Http2Target(settings=settings) as server:
        steps = [get(f"/h2/together?count={users % full or full}", name="a", **HI), get("/echo", name="b")]
        if users % full:  # the last connection has fewer on it, and which requests go there is chance
            steps = [get("/delay/300", name="a"), get("/echo", name="b")]
        done = shared(tmp_path, steps, streams, host=server.url, user_count=users, iterations=3)
        assert outcomes(done) == {("a", Outcome.OK): 3 * users, ("b", Outcome.OK): 3 * users}
        assert server.connections() == connections
        assert server.most_at_once == at_once
        assert server.mistakes == server.resets == []
        assert len(server.records()) == 6 * users


@pytest.mark.parametrize("streams", [None, 10])
def test_a_batch_goes_over_one_connection_and_the_next_one_too(streams: int | None, tmp_path: Path) -> None:
    with Http2Target() as server:
        batch = {"batch": [get("/h2/backwards?count=6", name=f"{number}", headers={"X-Number": f"{number}"}) for number in range(6)]}
        for step in batch["batch"]:
            step["assertions"] = [{"type": "contains", "value": f"hi {step['name']}"}]
        done = shared(tmp_path, [get("/echo", name="before"), batch], streams, host=server.url, iterations=3)
        assert outcomes(done) == {("before", Outcome.OK): 3, **{(f"{number}", Outcome.OK): 3 for number in range(6)}}
        assert server.connections() == 1
        assert server.most_at_once == 6


def test_a_batch_waits_for_what_the_server_takes_at_once(tmp_path: Path) -> None:
    with Http2Target(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2}) as server:
        batch = {"batch": [get("/h2/together?count=2", name=f"{number}") for number in range(6)]}
        done = shared(tmp_path, [batch], None, host=server.url, iterations=2)
        assert {hit.outcome for hit in done.hits} == {Outcome.OK}
        assert (server.connections(), server.most_at_once, server.mistakes) == (1, 2, [])


def test_connections_of_a_pass_and_of_a_request_are_no_others(tmp_path: Path) -> None:
    batch = {"batch": [get("/echo", name="a"), get("/echo", name="b")]}
    for kept, wanted in (("per_pass", 3), ("per_request", 9)):
        with Http2Target() as server:
            done = shared(tmp_path / kept, [get("/echo", name="c"), batch], None, told={"connection": kept}, host=server.url, iterations=3)
            assert {hit.outcome for hit in done.hits} == {Outcome.OK}
            assert server.connections() == wanted


def test_a_goodbye_moves_what_the_server_did_not_look_at_and_leaves_the_rest(tmp_path: Path) -> None:
    with Http2Target() as server:
        done = shared(tmp_path, [get("/h2/half?count=6", name="a", **HI)], 6, host=server.url, user_count=6, iterations=1)
        assert outcomes(done) == {("a", Outcome.OK): 6}
        assert Counter(record.connection for record in server.records()) == {1: 6, 2: 3}
        assert server.mistakes == []


@pytest.mark.parametrize("streams", [None, 4])
def test_a_refused_request_is_sent_once_more(streams: int | None, tmp_path: Path) -> None:
    with Http2Target() as server:
        step = get("/h2/refused-at-first", name="a", headers={"X-Number": "${uuid()}"})
        done = shared(tmp_path, [step], streams, host=server.url, user_count=4)
        assert outcomes(done) == {("a", Outcome.OK): 4}
        assert len(server.records()) == 8


def test_what_happens_to_one_request_does_not_touch_the_others(tmp_path: Path) -> None:
    """Four users on one connection; what one of them asks is given up, too large, late, or wrong, while the others have theirs."""
    with Http2Target() as server:
        batch = {
            "batch": [
                get("/h2/cancel", name="cancelled"),
                get("/h2/reset-in-body", name="reset in the body"),
                get("/h2/wrong-length", name="wrong length"),
                get("/h2/endless", name="too large"),
                get("/h2/silence", name="late", timeout=0.5),
                post("/h2/early", name="early", data="x" * 300_000),
                post("/echo", name="well", data="w" * 300_000, assertions=[{"type": "contains", "value": "w" * 1000}]),
                get("/bytes/250000", name="large"),
            ]
        }
        done = shared(tmp_path, [batch], 100, host=server.url, user_count=4, iterations=3, max_body_bytes=350_000)
        wanted = {
            "cancelled": Outcome.CLOSED,
            "reset in the body": Outcome.CLOSED,
            "wrong length": Outcome.PROTOCOL,
            "too large": Outcome.TOO_LARGE,
            "late": Outcome.TIMEOUT,
            "early": Outcome.STATUS,
            "well": Outcome.OK,
            "large": Outcome.OK,
        }
        assert outcomes(done) == dict.fromkeys(wanted.items(), 12)
        assert server.connections() == 1
        assert server.mistakes == []
        assert Counter(server.resets)[ErrorCodes.CANCEL] >= 24


# what ends the connection of three users when all of them wait on it, and what is recorded of each
ENDS = [
    ("/h2/cut-all?count=3", Outcome.CLOSED, "closed before an answer"),
    ("/h2/garbage?after=3", Outcome.PROTOCOL, ""),
    ("/h2/ping-flood?after=3", Outcome.PROTOCOL, "frames without end"),
    ("/h2/settings-flood?after=3", Outcome.PROTOCOL, "frames without end"),
    ("/h2/data-without-head?after=3", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    ("/h2/too-long-a-frame?after=3", Outcome.PROTOCOL, "FRAME_SIZE_ERROR"),
    ("/h2/bad-packing?after=3", Outcome.PROTOCOL, "breaks the rules of HTTP/2"),
    ("/h2/push?after=3", Outcome.PROTOCOL, "PROTOCOL_ERROR"),
    ("/h2/continuations?after=3", Outcome.PROTOCOL, "more header fields"),
    ("/h2/empty-frames?after=3", Outcome.PROTOCOL, "empty frames"),
]


def test_a_connection_that_breaks_fails_all_that_were_on_it_and_the_next_is_another(tmp_path: Path) -> None:
    with Http2Target() as server:
        steps = [step for path, *_ in ENDS for step in (get(path, name=path, timeout=60), get("/status/202", name="behind"))]
        done = shared(tmp_path, steps, 3, host=server.url, user_count=3)
        assert outcomes(done) == {**{(path, outcome): 3 for path, outcome, _ in ENDS}, ("behind", Outcome.OK): 3 * len(ENDS)}
        texts = {(hit.name, hit.error) for hit in done.hits}
        assert [path for path, _, text in ENDS if not all(text in error for name, error in texts if name == path)] == []


def test_a_server_that_takes_fewer_from_now_on_is_asked_for_fewer(tmp_path: Path) -> None:
    with Http2Target() as server:
        shared(tmp_path, [get("/h2/together?count=4"), get("/h2/fewer", think_time=0.3)], 4, host=server.url, user_count=4)
        server.most_at_once = 0
        done = shared(tmp_path, [get("/h2/fewer", think_time=0.3), get("/delay/50"), get("/echo")], 4, host=server.url, user_count=4)
        assert {hit.outcome for hit in done.hits} == {Outcome.OK}
        assert server.mistakes == []


def test_who_connects_in_vain_fails_by_himself_and_all_are_recorded(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Http2Target(context) as other:
        steps = [
            get("http://127.0.0.1:9/", name="nobody there"),
            get(f"{other.url}/echo", name="no HTTP/2", verify=False),
            get(f"{other.url}/echo", name="not trusted"),
            get("http://nowhere.invalid/", name="no such name"),
        ]
        done = shared(tmp_path, steps, 3, user_count=6, iterations=2)
    wanted = {"nobody there": Outcome.CONNECT, "no HTTP/2": Outcome.TLS, "not trusted": Outcome.TLS, "no such name": Outcome.DNS}
    assert outcomes(done) == dict.fromkeys(wanted.items(), 12)


def test_a_server_that_is_silent_in_its_handshake_costs_each_its_own_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        done = shared(tmp_path, [get(url, name="a", timeout=[0.3, 5])], 4, user_count=4)
    assert outcomes(done) == {("a", Outcome.TIMEOUT): 4}
    assert {hit.error for hit in done.hits} <= {"no TLS session within 0.3 s", "not connected within 0.3 s"}  # by where a busy machine was


def test_bytes_of_all_hits_are_those_of_the_connection(tmp_path: Path) -> None:
    """Eight users: as many bytes are counted as for one with the same requests, but for acknowledgements."""
    sums = []
    for users, iterations in ((8, 25), (1, 200)):
        with Http2Target() as server:
            done = shared(tmp_path / f"{users}", [get("/bytes/5000")], 8, host=server.url, user_count=users, iterations=iterations)
            assert server.connections() == 1
        sums.append((int(done.rows["sent_bytes"].sum()), int(done.rows["received_bytes"].sum())))
    (many_sent, many_received), (one_sent, one_received) = sums
    assert abs(many_received - one_received) < 0.01 * one_received
    assert abs(many_sent - one_sent) < 0.25 * one_sent
    assert min(many_received, one_received) > 200 * 5_009
