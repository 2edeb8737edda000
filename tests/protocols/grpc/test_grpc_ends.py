"""How calls of grpc_user end: by a status, by time, by bytes, by the server, by TLS. What the server wrote down is the truth."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.records.outcome import Outcome
from tests.load.harness import load
from tests.protocols.grpc.calls import GET, LIST, both, each, each_of_all, run
from tests.protocols.grpc.grpc_peer import GrpcShop


class SlowDoor:
    """Lets connections through to `port`, each after `delay_s`."""

    def __init__(self, port: int, delay_s: float) -> None:
        self._port, self._delay_s = port, delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._join, args=(self._listener.accept()[0],), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        time.sleep(self._delay_s)
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=self._pass_on, args=(server, client), daemon=True).start()
            self._pass_on(client, server)

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("engine", [pytest.param("locust", marks=pytest.mark.long), "native"])
def test_a_call_that_waits_longer_than_those_before_it_has_the_time_to_connect(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    """The first call's attempt to connect lasts three times its timeout and a second; the next one's is not cut off by that."""
    door = SlowDoor(shop.port, 1.5)
    short = {**GET, "target": door.target, "name": "short", "timeout": 0.05, "payload": {}}
    done = run(engine, tmp_path, shop, short, {**short, "name": "long", "timeout": 60})
    door.close()
    assert [hit.outcome for hit in done.hits] == [Outcome.TIMEOUT, Outcome.OK], done.hits


@each_of_all
def test_statuses_are_failures_of_their_kind_unless_the_step_expects_them(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    def status(*wanted: Any) -> dict[str, Any]:
        return {"assertions": [{"type": "status_code", "value": wanted[0] if len(wanted) == 1 else [*wanted]}]}

    missing = {"payload": {"name": "fail NOT_FOUND no such item"}}
    rows: list[tuple[str, dict[str, Any], Outcome, str]] = [
        ("not found", missing, Outcome.STATUS, "NOT_FOUND: no such item"),
        ("by name", {**missing, **status("not_found")}, Outcome.OK, ""),
        ("by code", {**missing, **status(5)}, Outcome.OK, ""),
        ("one of", {**missing, **status("OK", "NOT_FOUND")}, Outcome.OK, ""),
        ("by variable", {**missing, **status("${var.wanted}")}, Outcome.OK, ""),
        ("other", {**missing, **status("OK", 6)}, Outcome.ASSERTION, "status_code expected OK or ALREADY_EXISTS, got NOT_FOUND"),
        ("not ok", status("NOT_FOUND"), Outcome.ASSERTION, "status_code expected NOT_FOUND, got OK"),
        ("details", {**missing, "assertions": [*status(5)["assertions"], {"type": "contains", "value": "no such"}]}, Outcome.OK, ""),
        ("answered", {"payload": {"name": "fail UNAVAILABLE busy"}}, Outcome.STATUS, "UNAVAILABLE: busy"),
        ("cancelled", {"payload": {"name": "fail CANCELLED"}}, Outcome.STATUS, "CANCELLED"),
        ("nobody", {"target": "127.0.0.1:1"}, Outcome.CONNECT, "UNAVAILABLE: failed to connect"),
        ("no name", {"target": "nobody.invalid:1"}, Outcome.DNS, "UNAVAILABLE"),
        ("never", {"payload": {"name": "never"}, "timeout": 0.2}, Outcome.TIMEOUT, "DEADLINE_EXCEEDED"),
        ("large", {"payload": {"name": "x" * 3000}}, Outcome.TOO_LARGE, "RESOURCE_EXHAUSTED"),
        ("misfit", {"payload": {"unit_price": "${var.wanted}"}}, Outcome.TEMPLATE, "payload is not a shop.Item"),
    ]
    steps = [{**GET, **more, "name": name} for name, more, _, _ in rows]
    steps[-1] = {**GET, "name": "misfit", "payload": {"unit_price": "${session.s}"}}
    steps.insert(-1, {**GET, "name": "text", "payload": {"name": "text"}, "extract": [{"var": "s", "path": "name", "scope": "session"}]})
    done = run(engine, tmp_path, shop, *steps, variables={"wanted": "NOT_FOUND"}, max_body_bytes=2000)
    for name, _, outcome, text in rows:
        assert (done.outcome(name), done.error_text(name)[: len(text)]) == (outcome, text)
    deadline = next(call["left_s"] for call in shop.calls if call["left_s"] < 1)
    assert 0 < deadline < 0.3  # as the server reads it, rounded up


@each
def test_retries_follow_grpcs_classes(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    """ABORTED may pass another time and is tried again; NOT_FOUND is not."""
    retry = {"retry": {"transient": 2, "flaky": 0, "base_delay": 0, "jitter": 0}}
    done = run(
        engine,
        tmp_path,
        shop,
        {**GET, **retry, "name": "aborted", "payload": {"name": "fail ABORTED"}},
        {**GET, **retry, "name": "missing", "payload": {"name": "fail NOT_FOUND"}},
    )
    assert done.counts() == {"aborted": 3, "missing": 1}
    assert len(shop.calls) == 4


@each_of_all
def test_a_stream_ends_at_max_messages_and_the_server_learns_it(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    done = run(
        engine,
        tmp_path,
        shop,
        {
            **LIST,
            "payload": {"count": 3, "name": "never"},
            "max_messages": 3,
            "first_message": True,
            "name": "some",
            "assertions": [{"type": "json_path", "path": "2.id", "value": "2"}],
        },
    )
    assert [(hit.name, hit.outcome) for hit in done.hits] == [("some (first message)", Outcome.OK), ("some", Outcome.OK)]
    rows = done.rows
    assert rows["end_ns"][0] <= rows["end_ns"][1]
    shop.wait_for(lambda events: {"ended": "List"} in events)


@each
def test_a_stream_over_the_limit_of_bytes_is_cut(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    done = run(engine, tmp_path, shop, {**LIST, "payload": {"count": 100_000, "name": "x" * 100}}, max_body_bytes=10_000)
    assert [hit.outcome for hit in done.hits] == [Outcome.TOO_LARGE]


@pytest.mark.parametrize(("more", "connections"), [({}, 20), ({"channels": 3}, 3), ({"channels": 50}, 20)])
@both
def test_calls_of_all_users_are_under_way_at_once(
    shop: GrpcShop, tmp_path: Path, more: dict[str, Any], connections: int, engine: str
) -> None:
    """Each call waits until 20 are there, so with fewer at once none would be answered; and each user keeps his connection."""
    step = {**GET, **more, "payload": {"name": "together 20"}, "timeout": 30}
    done = run(engine, tmp_path, shop, step, user_count=20, iterations=2)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 40
    assert max(call["peak"] for call in shop.calls) >= 20
    assert len({call["peer"] for call in shop.calls}) == connections


@each_of_all
def test_answers_over_all_windows_come_whole_beside_those_that_are_left(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    """On one connection, each answer has more bytes than a window of the core's (2 MiB). Every other call is left in the midst of
    its answer, by its count of messages, its bytes or its deadline: what came of it and nobody reads must be given back to the window
    of all, or the rest would wait for ever."""
    big = {**LIST, "payload": {"count": 32, "name": "x" * 100_000}, "timeout": 300}
    steps = [
        {**big, "name": "whole", "assertions": [{"type": "json_path", "path": "31.id", "value": "31"}]},
        {**big, "name": "one message", "max_messages": 1},
        {**big, "name": "too large", "payload": {"count": 64, "name": "x" * 100_000}},
        {**big, "name": "late", "payload": {"count": 32, "name": "never " + "x" * 100_000}, "timeout": 0.1},
        {**big, "name": "whole", "assertions": [{"type": "json_path", "path": "31.id", "value": "31"}]},
    ]
    done = run(engine, tmp_path, shop, *steps, user_count=3, iterations=1, max_body_bytes=5_000_000)
    ends = Counter((hit.name, hit.outcome) for hit in done.hits)
    assert ends == {
        ("whole", Outcome.OK): 6,
        ("one message", Outcome.OK): 3,
        ("too large", Outcome.TOO_LARGE): 3,
        ("late", Outcome.TIMEOUT): 3,
    }
    assert len({call["peer"] for call in shop.calls}) == (1 if "shared" in engine else 3)


@both
def test_calls_in_flight_at_the_end_are_unfinished_and_the_server_learns_it(shop: GrpcShop, tmp_path: Path, engine: str) -> None:
    done = load(
        tmp_path,
        {"mode": "weighted", "tasks": [{**one, "payload": {"name": "never"}, "timeout": 100} for one in (GET, LIST)]},
        user="grpc_user",
        engine=engine,
        host=shop.target,
        user_count=6,
        test_time=1,
        iterations=None,
        drain_time=0.2,
    )
    assert {hit.name for hit in done.hits} == {"shop.Shop/Get", "shop.Shop/List"}
    assert [hit.outcome for hit in done.hits] == [Outcome.UNFINISHED] * 6
    shop.wait_for(lambda events: sum("ended" in event for event in events) == 6)


@each_of_all
def test_a_server_that_drains_lets_calls_end_and_gets_no_new_ones(new_shop: Callable[..., GrpcShop], tmp_path: Path, engine: str) -> None:
    """GOAWAY: what is under way is answered; later calls are refused, and go to the server that comes in its place."""
    first = new_shop()
    steps = [
        {**GET, "name": "before", "payload": {"name": "together 4"}},
        {**GET, "name": "under way", "payload": {"name": "drain"}, "timeout": 30},
        {**GET, "name": "after", "retry": {"transient": 1000, "base_delay": 0.05, "max_delay": 0.05, "backoff_factor": 1}},
    ]
    drained = threading.Event()

    def replace() -> None:
        first.wait_for(lambda events: sum(event.get("message", {}).get("name") == "drain" for event in events) == 4)
        first.drain(30)
        drained.set()
        new_shop(port=first.port)

    other = threading.Thread(target=replace)
    other.start()
    done = run(engine, tmp_path, first, *steps, user_count=4)
    other.join()
    assert drained.is_set()
    assert {hit.outcome for hit in done.hits if hit.name in ("before", "under way")} == {Outcome.OK}
    after = [hit for hit in done.hits if hit.name == "after"]
    assert sum(hit.outcome is Outcome.OK for hit in after) == 4
    assert {hit.outcome for hit in after} <= {Outcome.OK, Outcome.CONNECT, Outcome.CLOSED}


@each_of_all
def test_a_server_that_dies_fails_the_calls_under_way(new_shop: Callable[..., GrpcShop], tmp_path: Path, engine: str) -> None:
    shop = new_shop()

    def kill() -> None:
        shop.wait_for(lambda events: sum("message" in event for event in events) == 3)
        shop.kill()

    other = threading.Thread(target=kill)
    other.start()
    done = run(engine, tmp_path, shop, {**GET, "payload": {"name": "never"}, "timeout": 60}, user_count=3)
    other.join()
    assert [hit.outcome for hit in done.hits] == [Outcome.CLOSED] * 3, done.hits


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("localhost", "127.0.0.1"), authority.issue_cert("client@loadflow.test")
    blobs = {
        "ca": authority.cert_pem,
        "stranger": stranger.cert_pem,
        "key": server.private_key_pem,
        "chain": server.cert_chain_pems[0],
        "client_key": client.private_key_pem,
        "client": client.cert_chain_pems[0],
        "client_both": client.private_key_and_cert_chain_pem,
    }
    for name, blob in blobs.items():
        blob.write_to_path(str(folder / f"{name}.pem"))
    return {name: str(folder / f"{name}.pem") for name in blobs}


@both
def test_tls_and_a_certificate_of_the_client(
    new_shop: Callable[..., GrpcShop], tmp_path: Path, certificates: dict[str, str], engine: str
) -> None:
    ca, pair = certificates["ca"], [certificates["client"], certificates["client_key"]]
    plain = {key: certificates[key] for key in ("key", "chain")}
    tls, mutual = new_shop(**plain), new_shop(**plain, ca=ca)
    rows: list[tuple[str, GrpcShop, dict[str, Any], Outcome]] = [
        ("trusted", tls, {"verify": ca}, Outcome.OK),
        ("asked as localhost", tls, {"verify": ca, "server_name": "localhost"}, Outcome.OK),
        ("asked as another", tls, {"verify": ca, "server_name": "other.test"}, Outcome.TLS),
        ("of a stranger", tls, {"verify": certificates["stranger"]}, Outcome.TLS),
        ("of nobody known", tls, {"tls": True}, Outcome.TLS),
        ("shows a certificate", mutual, {"verify": ca, "cert": pair}, Outcome.OK),
        ("both in one file", mutual, {"verify": ca, "cert": certificates["client_both"]}, Outcome.OK),
        ("by reflection", mutual, {"verify": ca, "cert": pair, "proto": None, "reflection": True}, Outcome.OK),
    ]
    done = load(
        tmp_path, [{**GET, **more, "name": name, "target": one.target} for name, one, more, _ in rows], user="grpc_user", engine=engine
    )
    assert {hit.name: hit.outcome for hit in done.hits} == {name: outcome for name, _, _, outcome in rows}, done.hits
    without = load(tmp_path, [{**GET, "verify": ca, "target": mutual.target}], user="grpc_user", engine=engine)
    assert without.hits[0].outcome in (Outcome.TLS, Outcome.CLOSED, Outcome.CONNECT)
    assert len(tls.calls) == 5  # both servers write into one file
