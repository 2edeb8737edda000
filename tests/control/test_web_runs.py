"""POST /run and what can be asked of runs, over real HTTP with real load."""

from __future__ import annotations

import json
import socket
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.control.access import TOKEN_VARIABLES
from tests.control.serving import LIMIT_S, gate_session, load, until
from tests.control.web_serving import Following, ask, ask_raw, follow, plan, web_serving
from tests.targets.fixture import Target

# what LoadPilot's own client reads of a line
FIELDS = {"timestamp_secs", "elapsed_secs", "current_rps", "target_rps", "active_workers", "latency", "phase"}
TOTALS = {"requests_total", "errors_total"}
LATENCY = {"p50_ms", "p95_ms", "p99_ms", "max_ms", "min_ms", "mean_ms"}


@pytest.fixture(autouse=True)
def no_token_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_script_is_answered_with_a_line_a_second_and_one_at_the_end(tmp_path: Path, target: Target) -> None:
    target.reset()
    with web_serving(tmp_path) as server:
        answer = ask(server, "POST", "/run?label=smoke", [load(f"{target.url}/ok", test_time=2)])
        assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
        *seconds, end = answer.lines
        loaded = [one for one in seconds if "load" in one]
        assert [one["elapsed_secs"] for one in loaded] == [float(number) for number in range(1, len(loaded) + 1)]
        assert all(set(one) >= FIELDS | TOTALS and set(one["latency"]) == LATENCY for one in (*seconds, end))
        assert [one["phase"] for one in answer.lines].count("done") == 1
        assert end["phase"] == "done"
        assert end["requests_total"] == len(target.records()) == sum(one["current_rps"] for one in loaded)
        assert end["latency"] == loaded[-1]["latency"]
        assert (end["ok"], end["verdict"]["verdict"], end["run"]) == (True, "passed", answer.headers["loadflow-run"])
        (entry,) = ask(server, "GET", "/runs").json["runs"]
        assert (entry["label"], entry["state"]) == ("smoke", "ended")
        one = ask(server, "GET", answer.headers["location"]).json
        assert one["result"]["actions"][0]["value"]["totals"]["requests"] == end["requests_total"]


def test_a_plan_of_loadpilot_is_run_as_it_says(tmp_path: Path, target: Target) -> None:
    target.reset()
    tasks = [
        {"name": "home", "weight": 3, "url": "/ok", "method": "GET"},
        {"name": "buy", "weight": 1, "url": "ok?buy=1", "method": "post", "headers": {"X-A": "1"}, "body_template": '{"id": "${n}"}'},
    ]
    asked = plan(f"{target.url}/", rps=40, ramp_up_secs=1, mode="ramp", tasks=tasks, thresholds={"p99_ms": 60_000, "error_rate": 0})
    with web_serving(tmp_path) as server:
        *seconds, end = ask(server, "POST", "/run", asked).lines
    received = target.records()
    assert end["requests_total"] == len(received) == 60  # 20 while it rises, 40 in the second after
    assert Counter(one.method for one in received) == {"GET": 45, "POST": 15}
    bought = next(one for one in received if one.method == "POST")
    assert (bought.target, bought.header("x-a"), bought.body) == ("/ok?buy=1", "1", b'{"id": "${n}"}')
    assert bought.header("content-type") == "application/json"
    assert {one["name"]: one["requests"] for one in end["tasks"]} == {"buy": 15, "home": 45}
    first, second = [one for one in seconds if "load" in one][:2]
    assert (first["phase"], first["target_rps"], second["phase"], second["target_rps"]) == ("ramp_up", 20.0, "steady", 40.0)
    assert end["verdict"]["verdict"] in ("passed", "inconclusive")  # a busy machine may be late


def test_a_threshold_of_a_plan_that_is_not_met_fails_the_verdict(tmp_path: Path, target: Target) -> None:
    with web_serving(tmp_path) as server:
        end = ask(server, "POST", "/run", plan(target.url, thresholds={"p50_ms": 0.001})).lines[-1]
    assert end["verdict"]["verdict"] == "failed"
    assert "p50" in end["verdict"]["reasons"][0]


def test_while_a_run_goes_on_another_is_answered_with_its_id(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    with web_serving(tmp_path, session=session, allow_commands=["wait_here"]) as server:
        first = ask(server, "POST", "/run?follow=false", [["wait_here"]])
        assert (first.status, reached.wait(LIMIT_S)) == (202, True)
        second = ask(server, "POST", "/run", [["wait_here"]])
        assert second.status == 409
        assert second.json["running"] == [first.json["run"]]
        assert first.json["run"] in second.json["error"]["message"]
        gate.set()
        with Following(server, "GET", f"/runs/{first.json['run']}?follow=true") as followed:
            while (line := followed.line())["phase"] != "done":
                pass
        assert line["verdict"]["verdict"] == "passed"
        assert ask(server, "POST", "/run", [["wait_here"]]).status == 200


def test_delete_stops_a_load_which_keeps_its_results(tmp_path: Path, target: Target) -> None:
    with web_serving(tmp_path) as server, follow(server, [load(f"{target.url}/ok", test_time=60)]) as followed:
        while followed.line()["requests_total"] == 0:
            pass
        run = followed.headers["loadflow-run"]
        stopped = ask(server, "DELETE", f"/runs/{run}?reason=enough+is+known")
        assert (stopped.status, stopped.json["stopping"]) == (202, True)
        while (line := followed.line())["phase"] != "done":
            pass
        assert line["verdict"]["verdict"] == "interrupted"
        assert "enough is known" in line["verdict"]["reasons"][0]
        assert line["requests_total"] > 0


@pytest.mark.parametrize(("query", "verdict"), [("", "passed"), ("?stop_on_disconnect=true", "interrupted")])
def test_a_client_that_goes_away_stops_the_run_only_if_it_asked_to(tmp_path: Path, query: str, verdict: str) -> None:
    session, reached, gate = gate_session(tmp_path)
    with web_serving(tmp_path, session=session, allow_commands=["wait_here"]) as server:
        with follow(server, [["wait_here"], ["print", ["on"]]], query) as followed:
            run = followed.headers["loadflow-run"]
            assert reached.wait(LIMIT_S)
            followed.connection.sock.shutdown(socket.SHUT_RDWR)

        def seen() -> bool:
            entry = ask(server, "GET", f"/runs/{run}").json
            return bool(entry["stopping"])

        if query:
            until(seen, "the run is asked to stop")
        else:
            until(lambda: server.clients == 0, "the client is gone")
        gate.set()
        until(lambda: ask(server, "GET", f"/runs/{run}").json["state"] == "ended", "the run ends")
        assert ask(server, "GET", f"/runs/{run}").json["verdict"]["verdict"] == verdict


def test_a_script_with_several_loads_begins_each_from_zero_and_ends_with_all(tmp_path: Path, target: Target) -> None:
    target.reset()
    with web_serving(tmp_path) as server:
        *seconds, end = ask(server, "POST", "/run", [load(f"{target.url}/ok"), load(f"{target.url}/ok", step={"name": "again"})]).lines
    loads = list(dict.fromkeys(one["load"] for one in seconds if "load" in one))
    assert loads == [one["load"] for one in end["loads"]]
    last = [[one for one in seconds if one.get("load") == load][-1] for load in loads]
    assert end["requests_total"] == sum(one["requests_total"] for one in last) == len(target.records())
    assert end["elapsed_secs"] == sum(one["elapsed_secs"] for one in last)


WRONG: list[tuple[str, Any, int, str]] = [
    ("a script with mistakes", [["LD_sumary"]], 400, "did you mean 'LD_summary'?"),
    ("a file outside of the root", [["LD_execute_files", [["/etc/passwd"]]]], 400, "outside of the folder"),
    ("a command that is not open", [["LD_start_socket_server"]], 400, "is not open to scripts here"),
    ("a plan with mistakes", {"target_url": "http://127.0.0.1", "rps": 0}, 400, "must be at least 1, not 0"),
    ("a plan with a key twice", b'{"rps": 1, "rps": 2, "target_url": "http://127.0.0.1"}', 400, "twice"),
    ("no JSON", b"{", 400, "the body is not JSON"),
    ("no text", b"\xff\xfe\xfd", 400, "not UTF-8"),
    ("nothing", b"", 400, "the body is not JSON"),
    ("a number", b"5", 400, "an action script or a ScenarioPlan"),
    ("brackets without end", b"[" * 60_000, 400, "nested deeper"),
    ("too much", b"[" + b" " * 2**20 + b"]", 413, "at most 1,048,576 bytes"),
]


@pytest.mark.parametrize(("what", "body", "status", "says"), WRONG, ids=[row[0] for row in WRONG])
def test_what_cannot_be_run_is_refused_with_the_reason(tmp_path: Path, what: str, body: Any, status: int, says: str) -> None:
    with web_serving(tmp_path) as server:
        answer = ask(server, "POST", "/run", body)
        assert (answer.status, says in answer.body.decode()) == (status, True), answer.body
        assert ask(server, "GET", "/runs").json == {"runs": []}


ASKED = [
    ("GET", "/runs/none", 404, "there is no run 'none'"),
    ("DELETE", "/runs/none", 404, "there is no run 'none'"),
    ("GET", "/none", 404, "POST /run"),
    ("GET", "/run", 405, "POST /run"),
    ("POST", "/run?lable=x", 400, "did you mean 'label'?"),
    ("POST", "/run?follow=perhaps", 400, "follow is true or false"),
    ("POST", "/run?follow=false&stop_on_disconnect=true", 400, "without it no client stays connected"),
    ("GET", "/healthz", 200, "ok"),
    ("GET", "/metrics", 200, "loaddensity_requests"),
]


@pytest.mark.parametrize(("method", "path", "status", "says"), ASKED, ids=[f"{row[0]} {row[1]}" for row in ASKED])
def test_every_question_has_an_answer(tmp_path: Path, method: str, path: str, status: int, says: str) -> None:
    with web_serving(tmp_path) as server:
        answer = ask(server, method, path, [["len", ["x"]]] if method == "POST" else None)
        assert (answer.status, says in answer.body.decode()) == (status, True), answer.body


def test_the_counts_of_the_newest_run_are_there_for_prometheus(tmp_path: Path, target: Target) -> None:
    with web_serving(tmp_path) as server:
        for name in ("first", "second"):
            end = ask(server, "POST", "/run", plan(target.url, name=name, tasks=[{"name": name, "url": "/ok"}])).lines[-1]
        page = ask(server, "GET", "/metrics").body.decode()
        assert f'run="{end["loads"][0]["load"]}"' in page
        assert 'name="second",outcome="success"' in page
        assert 'name="first"' not in page
        native = ask(
            server, "GET", "/metrics", accept="application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        )
        assert native.headers["content-type"].startswith("application/vnd.google.protobuf")


def test_without_the_token_nothing_but_the_health_is_told(tmp_path: Path) -> None:
    with web_serving(tmp_path, token="s3cret-token") as server:
        for path, authorization in (("/runs", ""), ("/metrics", "Bearer wrong"), ("/runs", "Basic s3cret-token"), ("/runs/x", "Bearer")):
            answer = ask(server, "GET", path, **({"Authorization": authorization} if authorization else {}))
            assert (answer.status, answer.headers["www-authenticate"], answer.headers["connection"]) == (401, "Bearer", "close")
        refused = ask(server, "POST", "/run", [["len", ["x"]]])
        assert refused.status == 401
        assert ask(server, "GET", "/healthz").body == b"ok"
        assert ask(server, "GET", "/runs", Authorization="Bearer s3cret-token").json == {"runs": []}
        end = ask(server, "POST", "/run", [["print", ["s3cret-token"]]], Authorization="bearer s3cret-token").lines[-1]
        result = ask(server, "GET", f"/runs/{end['run']}", Authorization="Bearer s3cret-token")
        assert b"s3cret-token" not in result.body


def test_a_secret_of_a_plan_is_masked_in_what_is_told(tmp_path: Path, target: Target) -> None:
    target.reset()
    headers = {"Authorization": "Bearer tok-1234567890"}
    with web_serving(tmp_path) as server:
        answer = ask(server, "POST", "/run", plan(target.url, tasks=[{"name": "home", "url": "/ok", "headers": headers}]))
        whole = ask(server, "GET", answer.headers["location"]).body + answer.body
    assert target.records()[0].header("authorization") == "Bearer tok-1234567890"
    assert b"tok-1234567890" not in whole


def test_a_page_of_another_site_may_not_ask_where_there_is_no_token(tmp_path: Path) -> None:
    with web_serving(tmp_path) as server:
        assert ask(server, "POST", "/run", [["len", ["x"]]], Origin="http://evil.test").status == 400
        assert ask(server, "GET", "/runs", Host="evil.test").status == 400
        assert ask(server, "GET", "/runs", Host=f"localhost:{server.port}").status == 200


def test_over_tls_the_answer_is_the_same_and_plain_text_is_not_served(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with web_serving(tmp_path, certfile=cert, keyfile=key, token="t0ken-of-tls") as server:
        answer = ask(server, "POST", "/run", [["len", ["four"]]], tls=trusting, Authorization="Bearer t0ken-of-tls")
        assert answer.lines[-1]["verdict"]["verdict"] == "passed"
        assert ask(server, "GET", "/healthz", tls=trusting).body == b"ok"
        assert b"HTTP/" not in ask_raw(server, b"GET /healthz HTTP/1.0\r\n\r\n")


def test_a_server_that_is_closed_ends_the_run_and_tells_who_follows(tmp_path: Path, target: Target) -> None:
    with web_serving(tmp_path) as server, follow(server, [load(f"{target.url}/ok", test_time=60)]) as followed:
        while followed.line()["requests_total"] == 0:
            pass
        server.quit()
        while (line := followed.line())["phase"] != "done":
            pass
        assert line["verdict"]["verdict"] == "interrupted"
        assert followed.answer.read() == b""
        assert server.wait(LIMIT_S)


def test_a_line_fits_the_answer_of_a_run_without_load(tmp_path: Path) -> None:
    with web_serving(tmp_path) as server:
        (end,) = ask(server, "POST", "/run", [["len", ["four"]]]).lines
    assert (end["requests_total"], end["loads"], end["verdict"]["verdict"]) == (0, [], "passed")
    assert json.dumps(end)
