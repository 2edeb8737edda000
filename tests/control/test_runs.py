"""start, follow, stop, list, result and quit, with real load where it matters."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.control.client import ControlError
from loadflow.engine.control.limits import Limits
from loadflow.engine.script.command import Command
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.session import Session, use_session
from tests.control.serving import LIMIT_S, RawClient, client_of, gate_session, load, serving
from tests.targets.fixture import Target


def test_a_load_is_started_followed_and_judged(tmp_path: Path, target: Target) -> None:
    target.reset()
    seconds: list[dict[str, Any]] = []
    with serving(tmp_path) as server, client_of(server) as client:
        run = client.start([load(f"{target.url}/ok", test_time=2)], label="smoke")
        result = client.follow(run, seconds.append)
        assert result["verdict"]["verdict"] == "passed", result
        summary = result["actions"][0]["value"]
        assert [one["second"] for one in seconds] == list(range(len(seconds)))
        assert sum(one["hits"] for one in seconds) == summary["totals"]["requests"] == len(target.records())
        assert all(one["load"] == result["loads"][0]["load"] for one in seconds)
        busiest = max(seconds, key=lambda one: one["hits"])
        assert 0 < busiest["response_ms"]["p50"] <= busiest["response_ms"]["p99"]
        assert busiest["users"] == 2
        assert client.result(run) == result
        (entry,) = client.list()
        assert (entry["run"], entry["state"], entry["label"], entry["action"]) == (run, "ended", "smoke", 1)


def test_who_follows_late_hears_all_from_the_start(tmp_path: Path, target: Target) -> None:
    with serving(tmp_path) as server, client_of(server) as client, client_of(server) as later:
        run = client.start([load(f"{target.url}/ok")])
        first: list[Any] = []
        second: list[Any] = []
        assert client.follow(run, first.append) == later.follow(run, second.append)
        assert first == second != []


def test_a_load_is_stopped_on_request_and_keeps_its_results(tmp_path: Path, target: Target) -> None:
    with serving(tmp_path) as server, client_of(server) as client:
        run = client.start([load(f"{target.url}/ok", test_time=60), ["LD_summary"]], follow=True)
        for event in client.events():
            if event["event"] == "snapshot" and event["data"]["hits"]:
                break
        assert client.stop(run, "enough is known")["stopping"] is True
        result = client.follow_on(run)
        assert result["verdict"]["verdict"] == "interrupted"
        assert any("enough is known" in reason for reason in result["verdict"]["reasons"])
        assert result["actions"] == []
        assert (Path(result["loads"][0]["folder"]) / "report.html").exists()
        assert client.stop(run)["state"] == "ended"


def test_a_stop_between_actions_runs_no_further_one(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    with serving(tmp_path, session=session, allow_commands=["wait_here"]) as server, client_of(server) as client:
        run = client.start([["wait_here"], ["LD_generate_html_report"]])
        assert reached.wait(LIMIT_S)
        client.stop(run)
        gate.set()
        assert client.follow(run)["verdict"]["verdict"] == "interrupted"
    assert not list(tmp_path.glob("*.html"))


def test_a_script_that_is_wrong_is_answered_with_all_its_mistakes(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client_of(server) as client:
        with pytest.raises(ControlError) as refused:
            client.start({"load_density": [["LD_sumary"], ["LD_start_test", {"tasks": []}]]})
        assert refused.value.kind == "script"
        assert ("load_density[0]", "did you mean 'LD_summary'?") in [(one.place, one.hint) for one in refused.value.mistakes]
        assert any(one.place == "load_density[1].user_detail_dict" for one in refused.value.mistakes)
        assert client.list() == []


def test_a_key_that_is_there_twice_is_a_mistake(tmp_path: Path) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        body = b'{"op": "start", "script": [["LD_register_variable", {"name": "a", "name": "b", "value": 1}]]}'
        client.send(len(body).to_bytes(4, "big") + body)
        assert "there twice" in client.reply()["error"]["message"]


def test_an_action_that_fails_is_an_error_with_its_kind(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client_of(server) as client:
        result = client.follow(client.start([["chr", [-1], {"on_error": "continue"}], ["abs", [-3]]]))
        assert [one["ok"] for one in result["actions"]] == [False, True]
        assert result["actions"][0]["error"]["kind"]
        assert (result["ok"], result["verdict"]["verdict"]) == (False, "error")


def test_a_command_that_would_end_the_process_ends_its_run_only(tmp_path: Path) -> None:
    def leaves() -> None:
        raise SystemExit(3)

    session = Session(runs_dir=tmp_path, own_commands={"leaves": Command("leaves", leaves, "Leaves.")})
    with serving(tmp_path, session=session, allow_commands=["leaves"]) as server, client_of(server) as client:
        result = client.follow(client.start([["leaves"]]))
        assert result["verdict"]["reasons"] == ["SystemExit: 3"]
        assert client.list()[0]["state"] == "ended"


def test_unknown_runs_and_runs_that_go_on_are_told_apart(tmp_path: Path) -> None:
    session, _reached, gate = gate_session(tmp_path)
    with serving(tmp_path, session=session, allow_commands=["wait_here"]) as server, client_of(server) as client:
        with pytest.raises(ControlError, match="not_found"):
            client.result("nope")
        run = client.start([["wait_here"]])
        with pytest.raises(ControlError, match="not_ended"):
            client.result(run)
        gate.set()
        client.follow(run)


def test_two_clients_do_not_see_each_others_variables(tmp_path: Path, target: Target) -> None:
    target.reset()
    with serving(tmp_path) as server:

        def one(name: str) -> None:
            with client_of(server) as client:
                script = [["LD_register_variable", {"name": "who", "value": name}], load(f"{target.url}/ok?who=${{var.who}}")]
                assert client.follow(client.start(script))["verdict"]["verdict"] == "passed"

        threads = [threading.Thread(target=one, args=(name,)) for name in ("ann", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with client_of(server) as client, pytest.raises(ControlError, match="no variable 'who'"):
            client.start([load(f"{target.url}/ok?who=${{var.who}}")])
    seen = {record.target for record in target.records()}
    assert seen == {"/ok?who=ann", "/ok?who=bob"}


def test_a_value_too_large_for_a_reply_is_left_out_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client_of(server) as client:
        result = client.follow(client.start([["range", [100_000]], *([["range", [30_000]]] * 6), ["abs", [-1]]]))
        first, *others, last = [one["value"] for one in result["actions"]]
        assert first["left_out"] is True
        assert first["bytes"] > 500_000
        assert last == 1
        assert any(isinstance(one, list) for one in others)


def test_secrets_are_masked_in_replies_and_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "hunter22hunter22"

    def fails(password: str) -> None:
        raise ValueError(f"can't log in with {password}")

    session = Session(runs_dir=tmp_path, own_commands={"fails": Command("fails", fails, "Fails.")})
    settings: dict[str, Any] = {"session": session, "allow_commands": ["fails"], "token": "the-servers-token"}
    with serving(tmp_path, **settings) as server, client_of(server, token="the-servers-token") as client:
        script = [["fails", {"password": secret}, {"on_error": "continue"}], ["str", [f"{secret} the-servers-token"]]]
        told = json.dumps([client.follow(client.start(script)), client.list()])
        with pytest.raises(ControlError) as refused:
            client.start([["fails", {"password": secret, secret: 1}]])
    assert "***" in told
    for text in (told, caplog.text, str(refused.value)):
        assert secret not in text
        assert "the-servers-token" not in text


def test_quit_ends_runs_tells_followers_and_takes_nobody_more(tmp_path: Path, target: Target) -> None:
    with serving(tmp_path) as server, client_of(server) as client, client_of(server) as other:
        run = client.start([load(f"{target.url}/ok", test_time=60)], follow=True)
        next(client.events())
        assert other.quit() == {"running": [run], "wait": False}
        with pytest.raises(ControlError, match="shutting_down"):
            other.start([["abs", [1]]])
        result = client.follow_on(run)
        assert result["verdict"]["verdict"] == "interrupted"
        assert server.wait(LIMIT_S)


def test_quit_can_wait_for_runs(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    with serving(tmp_path, session=session, allow_commands=["wait_here"]) as server, client_of(server) as client:
        client.start([["wait_here"]], follow=True)
        assert reached.wait(LIMIT_S)
        client.quit(wait=True)
        assert not server.wait(0.2)
        gate.set()
        assert next(client.events())["data"]["verdict"]["verdict"] == "passed"
        assert server.wait(LIMIT_S)


def test_quit_leaves_behind_what_does_not_end_in_time(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    with serving(tmp_path, session=session, allow_commands=["wait_here"], limits=Limits(quit_s=0.3)) as server, client_of(server) as client:
        client.start([["wait_here"]])
        assert reached.wait(LIMIT_S)
        client.quit()
        assert server.wait(LIMIT_S)
    gate.set()


# -- from a script


def test_a_script_goes_on_beside_its_server_which_ends_with_it(tmp_path: Path) -> None:
    served: list[Any] = []

    def ask_it(port: int) -> None:
        with RawClient(type("Server", (), {"port": port})()) as client:
            served.append(client.ask(op="start", script=[["abs", [-3]]], follow=True))
            served.append(client.reply())

    session = Session(runs_dir=tmp_path, own_commands={"ask_it": Command("ask_it", ask_it, "Asks.")})
    port = free_port()
    with use_session(session):
        script = [["LD_execute_action", [[["LD_start_socket_server", {"port": port, "framed": True}]]]], ["ask_it", [port]]]
        results = execute_action(script)
    results.raise_for_failure()
    assert results.results[0].value.results[0].value == {"host": "localhost", "port": port, "framed": True, "tls": False}
    assert served[1]["data"]["actions"][0]["value"] == 3
    with pytest.raises(OSError):
        RawClient(type("Server", (), {"port": port})())
    assert not [thread for thread in threading.enumerate() if thread.name == "loadflow-control"]


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
