"""A proof finds what a trace says wrongly, and only that; what is traced rightly it proves, whatever the answers are."""

from __future__ import annotations

from pathlib import Path
from socket import create_connection
from textwrap import dedent
from typing import Any

import pytest

from loadflow.engine.proving.answers import OF
from loadflow.engine.proving.proof import Proof, prove
from loadflow.engine.proving.recorder import Given, Recorder
from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from loadflow.engine.scenario.tracing import Trace, trace

SHOP = """
    from loadflow import VUser, csv, fake, now, rand, scenario, sleep, task, uuid

    users = csv(USERS)

    class Base(VUser):
        def on_start(self, client):
            answer = client.post("/login", json={"user": users.name})
            assert answer.status_code == 201
            self.token = answer.json()["token"]

        def on_stop(self, client):
            client.delete("/session", headers={"Authorization": f"Bearer {self.token}"})
"""
RIGHT = """
    @scenario(rps=1)
    class Shop(Base):
        @task(weight=9)
        def chain(self, client):
            found = client.get("/search", params={"q": users.name}).json()
            assert found["items"] and found["count"] == 3
            sleep(60, 90)
            client.get(f"/items/{found['items'][0]['id']}", name="one")

        def check_chain(self, status, body):
            assert status == 200 and body["id"]

        @task(weight=0)
        async def draws(self, client):
            answer = await client.post(f"/n/{rand.int(1, 9)}", json=[uuid(), now(), self.token], cookies={"a": "b"})
            assert answer.headers["X-Kind"] == "good" and "yes" in answer.text
            await client.put("/etag", data={"etag": answer.headers["ETag"]})

        @task
        def row(self, client):
            assert client.get("/me").json()["user"] == users.name
            client.head("/again")

        @task
        def timed(self, client):
            assert client.get("/quick").elapsed_ms < 3_600_000

        @task
        def at_once(self, client):
            client.batch([{"path": "/a"}, {"path": "/b"}])

        @task
        def elsewhere(self, client):
            client.get("http://shop.example/")

        @task
        def branches(self, client):
            if client.get("/a").ok:
                client.get("/b")
"""
WRONG = """
    @scenario(rps=1)
    class Shop(Base):
        @task
        def path(self, client):
            client.get("/a")

        @task
        def header(self, client):
            client.get("/a", headers={"X-A": "1"})

        @task
        def row(self, client):
            client.post("/a", json={"user": users.name})

        @task
        def part(self, client):
            client.get("/a").json()["id"]
            client.get("/b")

        @task
        def claim(self, client):
            assert client.get("/a").json()["n"] == 3
            client.get("/b")

        @task
        def status(self, client):
            client.get("/a").raise_for_status()
            client.get("/b")

        @task
        def fewer(self, client):
            client.get("/a")
            client.get("/b")

        @task
        def right(self, client):
            client.get("/a")
"""


def proofs_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, change: Any = lambda found: None, passes: int = 20
) -> list[Proof]:
    monkeypatch.setenv(ALLOW, "1")
    (folder / "users.csv").write_text("name\nann\nbob lee\n")
    file = folder / "shop.py"
    file.write_text(dedent(SHOP.replace("USERS", repr(str(folder / "users.csv")))) + dedent(source))
    (made,) = load_scenarios(file)
    found = trace(made)
    change(found)
    return prove(made, found, file, passes)


def test_what_is_traced_rightly_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {one.name: one for one in proofs_of(tmp_path, monkeypatch, RIGHT, passes=100)}
    proved = [name for name, one in found.items() if not one.difference and not one.unproved]
    assert proved == ["on_start", "chain", "draws", "row", "on_stop"], found
    assert all(found[name].passes == 100 for name in proved)
    assert found["on_start"].requests == found["on_stop"].requests == 100
    # answers that lack something ended passes, and others did not
    assert all(100 < found[name].requests < 200 for name in ("chain", "draws", "row")), found
    assert found["timed"].unproved == "it asserts how long an answer took, which no proof can repeat"
    assert found["elsewhere"].unproved == "it sends to http://shop.example/, and a proof stays on this machine"
    assert found["at_once"].unproved == "it sends several requests at once, and in which order they arrive is chance"
    assert "branches" not in found


@pytest.mark.long
def test_made_up_values_are_the_same_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        @scenario(rps=1)
        class Shop(Base):
            @task
            def makes(self, client):
                client.post("/a", json=[fake.name(), rand.int(1, 9)])
        """
    assert [(one.difference, one.unproved) for one in proofs_of(tmp_path, monkeypatch, source)] == [("", "")] * 3


# of a function of WRONG: how its steps are made wrong, and what the proof says
WRONGS: dict[str, tuple[Any, str]] = {
    "path": (lambda steps: steps[0].update(request_url="/aa"), "request 1, GET /aa: method and path: traced sends GET /aa, Python GET /a"),
    "header": (lambda steps: steps[0].update(headers={"X-A": "2"}), "request 1, GET /a: header: traced sends X-A: 2, Python X-A: 1"),
    "row": (lambda steps: steps[0].update(json={"user": "ann"}), 'body: traced sends {"user":"ann"}, Python {"user":"bob lee"}'),
    "part": (lambda steps: steps[0].pop("extract"), "traced sends GET /b, Python GET /a"),
    "claim": (lambda steps: steps[0].pop("assertions"), "traced sends GET /b, Python GET /a"),
    "status": (lambda steps: steps[0].update(on_failure="stop_if_lacking"), "traced sends GET /b, Python GET /a"),
    "fewer": (lambda steps: steps.pop(), "request 2, GET /a: method and path: traced sends GET /a, Python GET /b"),
}


def test_each_wrong_step_is_found_and_no_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def falsify(found: Trace) -> None:
        for name, (change, _) in WRONGS.items():
            change(found.steps[name])

    found = {one.name: one for one in proofs_of(tmp_path, monkeypatch, WRONG, falsify, passes=40)}
    for name, (_, said) in WRONGS.items():
        assert said in found[name].difference, (name, found[name])
    assert not found["right"].difference and not found["right"].unproved


@pytest.mark.long
def test_a_wrong_first_function_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def falsify(found: Trace) -> None:
        found.steps["on_start"][0].update(request_url="/log-in")

    first, *others = proofs_of(tmp_path, monkeypatch, RIGHT, falsify)
    assert first.name == "on_start"
    assert first.difference == "request 1, POST /log-in: method and path: traced sends POST /log-in, Python POST /login"
    assert others


def test_only_traced_functions_are_proved_without_a_first_one_that_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        @scenario(rps=1)
        class Shop(Base):
            def on_start(self, client):
                raise SystemError("no proof may run it")

            def on_stop(self, client):
                client.get(self.token)

            @task
            def plain(self, client):
                client.get("/a")
        """
    assert proofs_of(tmp_path, monkeypatch, source) == [Proof("plain", 20, 20)]


def test_what_no_answer_satisfies_is_not_called_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        @scenario(rps=1)
        class Shop(Base):
            @task
            def both(self, client):
                found = client.get("/a").json()
                assert found["n"] == 1 and found["n"] == 2
                client.get("/b")
        """
    (both,) = (one for one in proofs_of(tmp_path, monkeypatch, source) if one.name == "both")
    assert both == Proof("both", 20, 20, unproved="no answer led to step 2 of 2")


def test_the_recorder_keeps_requests_as_they_arrive() -> None:
    with Recorder() as recorder:
        recorder.answer_with(lambda request: Given(201, (("x", "é"),), request.method.encode()))
        with create_connection(("127.0.0.1", int(recorder.url.rpartition(":")[2])), timeout=30) as peer, peer.makefile("rb") as answers:
            chunked = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nt: 1\r\n\r\n"
            peer.sendall(chunked)
            head = [answers.readline() for _ in range(4)]
            assert head == [b"HTTP/1.1 201 Proof\r\n", b"x: \xe9\r\n", b"Content-Length: 4\r\n", b"\r\n"]
            assert answers.read(4) == b"POST"
            peer.sendall(f"HEAD / HTTP/1.1\r\n{OF}: me\r\nConnection: close\r\n\r\n".encode())
            assert answers.read() == b"HTTP/1.1 201 Proof\r\nx: \xe9\r\nContent-Length: 4\r\n\r\n"
        first, second = recorder.requests
    assert (first.method, first.target, first.body, first.header("host")) == ("POST", "/a?b=c", b"abcde", "h")
    assert (second.method, second.header(OF.lower())) == ("HEAD", "me")
