"""Scripts and frames that would take a server's time, memory or places: each is answered, and everybody else is served meanwhile."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.control.client import ControlClient
from loadflow.engine.control.frames import MAX_FRAME_BYTES, encode_frame
from loadflow.engine.control.job import Job
from loadflow.engine.control.limits import Limits
from loadflow.engine.script.command import Command
from loadflow.engine.session.session import Session
from tests.control.serving import RawClient, client_of, load, serving

A_HAR = {"log": {"entries": [{"request": {"method": "GET", "url": "http://a.example/" + "a" * 60 + "!"}, "response": {"status": 200}}]}}


def frame(**request: Any) -> bytes:
    return encode_frame(json.dumps(request, separators=(",", ":")).encode())


def mistakes(reply: dict[str, Any]) -> list[str]:
    return [f"{one['place']}: {one['message']}" for one in reply["error"]["mistakes"]]


def ran(client: ControlClient, script: Any) -> dict[str, Any]:
    return client.follow(client.start(script))


WRONG: list[tuple[str, Any, str]] = [
    ("150,000 wrong actions", [["a"]] * 150_000, "more than 50,000 values"),
    ("actions without end", [["LD_summary"]] * 2_001, "2,001 actions, but this server accepts at most 2,000"),
    ("users beyond measure", [load("http://127.0.0.1:9/", user_count=100_001)], "users: 100,001 are more than the 100,000"),
    (
        "processes beyond measure",
        [load("http://127.0.0.1:9/", user_count=99, processes=65)],
        "processes × threads: 65 are more than the 64",
    ),
    ("threads beyond measure", [load("http://127.0.0.1:9/", user_count=99, processes=8, threads=9)], "processes × threads: 72 are more"),
]


@pytest.mark.parametrize(("script", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_is_refused_by_the_check(script: Any, message: str, tmp_path: Path) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        client.send(frame(op="start", script=script))
        reply = client.reply()
        assert reply["error"]["kind"] == "script"
        assert message in mistakes(reply)[0]


def test_mistakes_are_cut_before_they_are_masked_and_that_is_done_on_the_jobs_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_threads: list[str] = []
    mask = Job.mask

    def watched(job: Job, text: str) -> str:
        on_threads.append(threading.current_thread().name)
        assert len(text) <= 4_000
        return mask(job, text)

    monkeypatch.setattr(Job, "mask", watched)
    with serving(tmp_path) as server, RawClient(server) as client:
        client.send(frame(op="start", script=[["x" * 300]] * 2_000))
        assert len(client.reply()["error"]["mistakes"]) == 100
    assert len(on_threads) == 300
    assert all(name.startswith("loadflow-run-") for name in on_threads)


def test_a_large_frame_is_read_aside_and_answered_in_its_turn(tmp_path: Path) -> None:
    """What the same client asked after it waits for it, what others ask does not."""
    large = frame(op="strat", script=[], label="x" * (MAX_FRAME_BYTES - 100))
    with serving(tmp_path) as server, RawClient(server) as client, RawClient(server) as other:
        client.send(large + frame(op="list", id=1) + large + frame(op="list", id=2))
        assert other.ask(op="list")["ok"]
        replies = [client.reply() for _ in range(4)]
        assert [(reply["ok"], reply["id"]) for reply in replies] == [(False, None), (True, 1), (False, None), (True, 2)]


def test_a_client_that_goes_while_its_frame_is_read_takes_nothing_along(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for _ in range(5):
            with RawClient(server) as client:
                client.send(frame(op="start", script=[["len", ["x" * 500_000]]]))
        with RawClient(server) as client:
            assert client.ask(op="list")["ok"]


def test_a_pattern_made_for_backtracking_freezes_nobody(tmp_path: Path) -> None:
    """295 bytes held Python's lock for good; RE2 takes any pattern in linear time."""
    with serving(tmp_path) as server, client_of(server) as client:
        result = ran(client, [["LD_har_to_tasks", {"har": A_HAR, "include": ["(a+)+$"]}]])
        assert result["actions"][0]["value"] == []


@pytest.mark.parametrize("argument", [
    ["LD_har_to_tasks", {"har": "pipe"}], ["LD_load_har", {"file_path": "pipe"}], ["LD_execute_files", {"execute_files_list": ["pipe"]}],
    ["LD_persist_records", {"database_path": "pipe"}], ["LD_register_csv_source", {"name": "a", "file_path": "pipe"}],
    load("http://127.0.0.1:9/", csv_sources=[{"name": "a", "file_path": "pipe"}]),
    load("https://127.0.0.1:9/", step={"verify": "pipe"}), load("http://127.0.0.1:9/", step={"method": "post", "files": {"f": "pipe"}}),
], ids=lambda action: f"{action[0]} {' '.join(action[1])}"[:60])  # fmt: skip
def test_a_fifo_holds_no_place(argument: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with serving(tmp_path, limits=Limits(runs_at_once=1)) as server, RawClient(server) as client:
        reply = client.ask(op="start", script=[argument], follow=True)
        if reply["ok"]:
            while (event := client.reply())["event"] != "end":
                pass
            assert event["data"]["verdict"]["verdict"] != "passed"
        reply = client.ask(op="start", script=[["len", ["abc"]]])
        assert reply["ok"], "the place is free again"


def test_what_actions_return_is_kept_within_bounds(tmp_path: Path) -> None:
    limits = Limits(value_bytes=2**20)
    with serving(tmp_path, limits=limits) as server, client_of(server) as client:
        result = ran(client, [["range", [5_000]], *[["range", [100_000]]] * 20, ["LD_execute_action", [[["range", [100_000]]]]]])
        assert result["ok"]
        assert result["actions"][0]["value"][-1] == 4_999
        assert all(one["value"]["left_out"] for one in result["actions"][1:-1])
        assert result["actions"][-1]["value"][0]["value"]["left_out"]


def test_a_value_that_nobody_can_write_down_ends_the_run_and_frees_its_place(tmp_path: Path) -> None:
    """Python writes no whole number of more than 4,300 digits."""
    session = Session(runs_dir=tmp_path / "runs", own_commands={"huge": Command("huge", lambda: 10**5_000, "A large number.")})
    with serving(tmp_path, session=session, allow_commands=["huge"], limits=Limits(runs_at_once=1)) as server, client_of(server) as client:
        for _ in range(2):
            ran(client, [["huge"]])


def test_a_power_has_no_more_digits_than_can_be_written(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client_of(server) as client:
        assert len(str(ran(client, [["pow", [2, 1_600]]])["actions"][0]["value"])) == 482
        assert "too long" in ran(client, [["pow", [2, 3_400]]])["actions"][0]["error"]["message"]
