"""What whoever runs a script says about its target holds for every hit: allowed hosts, the highest rate, headers, secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.plan.target import TargetRules, host_of, is_allowed
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.session import Session, use_session
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
