"""What whoever runs a script says about its target holds for every hit: allowed hosts, the highest rate, headers, secrets."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from loadflow.engine.fleet.package import fenced
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.target import HostLists, TargetRules, host_of, is_allowed, is_loopback_host
from loadflow.engine.protocols.grpc.target import addresses_of
from loadflow.engine.protocols.running.fence import Fence
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from tests.load.harness import USERS, get, load, raw
from tests.targets.fixture import Target

AWAY = raw(b"HTTP/1.1 302 Found\r\nLocation: http://other.test/x\r\nContent-Length: 0\r\n\r\n")

ALLOWED = [
    ("a name", "shop.example", ["shop.example"], True),
    ("in another case, with a final dot", "Shop.Example.", ["shop.example"], True),
    ("another name", "shop.example.evil", ["shop.example"], False),
    ("a wildcard", "a.b.example", ["*.example"], True),
    ("a wildcard's own end", "example", ["*.example"], False),
    ("an address of a network", "10.2.3.4", ["10.0.0.0/8"], True),
    ("an address outside of it", "11.2.3.4", ["10.0.0.0/8"], False),
    ("an address in brackets", "[2001:db8::1]", ["2001:db8::/32"], True),
    ("a name is in no network", "ten.example", ["0.0.0.0/0"], False),
    ("loopback, though nobody names it", "127.0.0.1", [], True),
    ("loopback of version 6", "::1", [], True),
    ("loopback in the form of version 6", "::ffff:127.0.0.1", [], True),
    ("loopback by its name", "localhost", [], True),
    ("a name that begins like it", "localhost.example", [], False),
    ("a name below it, which only its resolver knows", "any.localhost", [], False),
]


@pytest.mark.parametrize(("sentence", "host", "patterns", "expected"), ALLOWED, ids=[row[0] for row in ALLOWED])
def test_which_hosts_a_list_allows(sentence: str, host: str, patterns: list[str], expected: bool) -> None:
    assert is_allowed(host, patterns) is expected


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("http://a.example:80/x?y=http://b.example", "a.example"),
        ("https://user:p@ss@a.example/", "a.example"),
        ("ws://[::1]:9/", "::1"),
        ("broker.example:1883", "broker.example"),
        ("[2001:db8::1]:50051", "2001:db8::1"),
        ("http://${var.host}/x", None),
        ("http://[broken/x", None),
        ("", None),
    ],
)
def test_the_host_of_a_place(place: str, host: str | None) -> None:
    assert host_of(place) == host


@pytest.mark.parametrize("user", USERS)
def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(target: Target, tmp_path: Path, monkeypatch: Any, user: str) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "shop.example")
    run = load(tmp_path, [get(target.url + AWAY, name="away"), get(f"{target.url}/ok", name="here")], user=user)
    assert run.outcome("away") is Outcome.FORBIDDEN
    assert "other.test may not be loaded here; allowed: shop.example" in run.error_text("away")
    assert run.outcome("here") is Outcome.OK


@pytest.mark.parametrize("user", USERS)
def test_a_host_that_is_known_per_hit_only_is_held_against_the_list(target: Target, tmp_path: Path, monkeypatch: Any, user: str) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "")
    rows = tmp_path / "hosts.csv"
    rows.write_text(f"base\n{target.url}\nhttp://other.test\nhttp://192.0.2.1\n")
    source = [{"name": "hosts", "file_path": str(rows), "mode": "once"}]
    run = load(tmp_path, [get("${csv.hosts.base}/ok", name="x")], user=user, iterations=3, csv_sources=source)
    assert [hit.outcome for hit in run.hits] == [Outcome.OK, Outcome.FORBIDDEN, Outcome.FORBIDDEN]


def test_a_host_that_is_not_allowed_is_refused_before_the_load(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "shop.example")
    with pytest.raises(CommandError, match=r"tasks\[0\]: other.test may not be loaded here; allowed: shop.example"):
        load(tmp_path, [get("http://other.test/")])
    assert not (tmp_path / "runs").exists()


def test_a_host_must_be_allowed_by_the_target_and_by_the_machine(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "*.example")
    rules = TargetRules(allowed_hosts=("shop.example", "shop.test"))
    assert rules.host_lists() == (("shop.example", "shop.test"), ("*.example",))
    for host in ("shop.test", "a.example"):
        with use_session(Session(runs_dir=tmp_path, target=rules)), pytest.raises(CommandError, match="may not be loaded here"):
            start_test({"user": "fast_http_user"}, tasks=[get(f"http://{host}/")], test_time=1)


@pytest.mark.parametrize("processes", [1, 2])
def test_no_load_is_faster_than_the_target_allows_whatever_its_processes(target: Target, tmp_path: Path, processes: int) -> None:
    target.reset()
    rules = TargetRules(base_url=target.url, max_rate_per_s=40)
    with use_session(Session(runs_dir=tmp_path, target=rules)):
        given: dict[str, Any] = {"user_count": 4, "spawn_rate": 100, "test_time": 60, "iterations": 5, "processes": processes}
        run = Run.open(start_test({"user": "fast_http_user"}, tasks=[get("/ok?a"), get("/ok?b")], **given)["run_dir"])
    start_ns = read_header(run.hits_path(0)).origin_monotonic_ns
    times = sorted(record.at_ns for record in target.records("/ok"))
    assert len(times) == 40
    # from the load's start on each process may send one at once, and after that all of them together 40 a second; counted from the
    # start, because a busy machine may hold up any hit, the first one too, and each can only be later by that
    early = [number for number, at_ns in enumerate(times) if (at_ns - start_ns) / 1e9 < (number + 1 - processes) / 40]
    assert not early


def test_a_secret_that_is_not_known_is_told_before_the_load(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no secret 'api-key'; set LOADFLOW_SECRET_API_KEY"):
        load(tmp_path, [get("http://127.0.0.1:1/", headers={"X": "${secret.api-key}"})])


def test_a_secret_of_the_environment_arrives_and_stands_nowhere_in_the_run(target: Target, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOADFLOW_SECRET_SHOP_KEY", "${not a placeholder} s3cr3t-of-the-shop")
    step = get(f"{target.url}/status/500?own", headers={"X-Own": "a ${secret.shop-key}"}, name="x")
    run = load(tmp_path, [step])
    (record,) = [one for one in target.records("/status/500") if one.target.endswith("?own")]
    assert record.header("x-own") == "a ${not a placeholder} s3cr3t-of-the-shop"
    files = [path for path in run.run.folder.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if b"s3cr3t-of-the-shop" in path.read_bytes()] == []


class Names:
    """A resolver whose names have another address each time they are asked for, as in DNS rebinding."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def _next(self) -> list[str]:
        self.asked += 1
        if not self._answers:
            raise OSError("nobody knows this name")
        return self._answers.pop(0)

    def getaddrinfo(self, host: str, port: Any, *rest: Any, **options: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in self._next()]

    def gethostbyname(self, host: str) -> str:
        return self._next()[0]

    def gethostbyname_ex(self, host: str) -> tuple[str, list[str], list[str]]:
        return host, [], self._next()


ANSWERS: list[tuple[str, str, list[list[str]], bool]] = [
    ("a name that is this machine's", "shop.internal", [["127.0.0.1"], ["192.0.2.1"]], True),
    ("one that is not only this machine's", "shop.internal", [["127.0.0.1", "192.0.2.1"], ["127.0.0.1"]], False),
    ("one that is this machine's a moment later", "shop.internal", [["192.0.2.1"], ["127.0.0.1"]], False),
    ("one that has no address", "shop.internal", [[]], False),
    ("one that nobody knows", "shop.internal", [], False),
    ("one below localhost that is", "any.localhost", [["::1"]], True),
    ("one below localhost that is not", "any.localhost", [["192.0.2.1"]], False),
    ("localhost that is", "localhost", [["127.0.0.1"]], True),
    ("localhost that is not", "localhost", [["192.0.2.1"]], False),
    ("localhost that is not only that", "localhost", [["::1", "192.0.2.1"]], False),
    ("one that is allowed, wherever it is", "a.example", [["192.0.2.1"]], True),
]


@pytest.mark.parametrize("way", ["getaddrinfo", "gethostbyname", "gethostbyname_ex"])
@pytest.mark.parametrize(("sentence", "host", "answers", "passes"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_a_name_is_asked_for_once_and_its_answer_is_what_is_used(
    sentence: str, host: str, answers: list[list[str]], passes: bool, way: str
) -> None:
    if way == "gethostbyname" and any(len(one) != 1 for one in answers[:1]):
        return  # it gives one address
    names = Names(*answers)
    fence = Fence((("*.example",),), names)
    ask = getattr(fence, way)
    if passes:
        found = ask(host, 80) if way == "getaddrinfo" else ask(host)
        assert answers[0][0] in str(found)
    else:
        with pytest.raises(HitFailure, match=f"{host} may not be loaded here") as caught:
            ask(host, 80) if way == "getaddrinfo" else ask(host)
        assert caught.value.outcome is Outcome.FORBIDDEN
    assert names.asked == 1


def test_the_native_core_is_asked_about_the_addresses_that_it_connects_to() -> None:
    fence = Fence((("a.example",),))
    assert fence.refusal("shop.internal", ["127.0.0.1", "::1"]) is None
    assert fence.refusal("a.example", ["192.0.2.1"]) is None
    for addresses in (["192.0.2.1"], ["127.0.0.1", "192.0.2.1"], []):
        assert "may not be loaded here; allowed: a.example" in str(fence.refusal("any.localhost", addresses))


@pytest.mark.parametrize("user", USERS)
def test_a_name_below_localhost_is_loaded_where_it_is_this_machine(target: Target, tmp_path: Path, monkeypatch: Any, user: str) -> None:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo("any.localhost", target.port)}
    except OSError:
        found = set()
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "")
    run = load(tmp_path, [get(f"http://any.localhost:{target.port}/ok", name="x")], user=user)
    here = bool(found) and all(is_loopback_host(address) for address in found)
    assert (run.outcome("x") is Outcome.FORBIDDEN) is not here


def test_grpc_is_given_addresses_and_not_the_name() -> None:
    names = Names(["127.0.0.1", "127.0.0.2"], ["192.0.2.1"])
    assert addresses_of("shop.internal:50051", Fence(((),), names).getaddrinfo) == "ipv4:127.0.0.1:50051,127.0.0.2:50051"
    with pytest.raises(HitFailure, match="may not be loaded"):
        addresses_of("shop.internal:50051", Fence(((),), names).getaddrinfo)
    assert addresses_of("[::1]:7", Fence(((),), Names(["::1"])).getaddrinfo) == "ipv6:[::1]:7"


@pytest.mark.parametrize(
    ("of_master", "env", "lists"),
    [
        ((), {}, ()),
        ((), {"LOADFLOW_ALLOWED_HOSTS": ""}, ((),)),
        ((("*.example",),), {"LOADFLOW_ALLOWED_HOSTS": "shop.example"}, (("*.example",), ("shop.example",))),
    ],
)
def test_an_agent_adds_the_list_of_its_own_machine(of_master: HostLists, env: dict[str, str], lists: HostLists) -> None:
    plan = SimplePlan(of_master)
    assert fenced(cast(Plan, plan), env).allowed_hosts == lists


@dataclass(frozen=True)
class SimplePlan:
    allowed_hosts: HostLists


@pytest.mark.parametrize("user", USERS)
def test_no_credentials_follow_a_redirect_to_another_host(target: Target, tmp_path: Path, user: str) -> None:
    target.reset()
    there = f"http://localhost:{target.port}/ok?there"
    away = raw(f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())
    secrets = {"Authorization": "Bearer abcd", "Proxy-Authorization": "Basic abcd", "Cookie": "sid=abcd", "X-Kept": "yes"}
    load(tmp_path, [get(f"http://127.0.0.1:{target.port}{away}", headers=secrets)], user=user)
    (record,) = [one for one in target.records("/ok") if one.target.endswith("?there")]
    assert record.header("x-kept") == "yes"
    assert [name for name, _ in record.headers if name.lower() in ("authorization", "proxy-authorization", "cookie")] == []
