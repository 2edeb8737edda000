"""Locust's web UI beside a load."""

from __future__ import annotations

import http.client
import threading
import urllib.request
from pathlib import Path

import pytest

from loadflow.engine.load import start
from loadflow.errors import CommandError, EngineError
from tests.load.harness import get, load
from tests.targets.fixture import Target


def test_the_web_ui_answers_while_load_runs_and_counts_it(target: Target, tmp_path: Path, unused_port: int) -> None:
    seen: list[str] = []
    refused: list[int] = []

    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/stats/requests", timeout=5) as answer:
                    text = answer.read().decode()
                refused.append(status_for("evil.test", unused_port))
            except OSError:
                over.wait(0.05)
                continue
            if '"num_requests":0' not in text.replace(" ", "") and "the page" in text:
                seen.append(text)
                return
            over.wait(0.05)

    looker = threading.Thread(target=look)
    looker.start()
    steps = [get("/ok", name="the page", think_time=0.05)]
    load(tmp_path, steps, host=target.url, iterations=None, test_time=4, web_ui_dict={"host": "127.0.0.1", "port": unused_port})
    over.set()
    looker.join()
    assert len(seen) == 1
    assert set(refused) == {421}  # asked by another name, as a page elsewhere would have a browser do


def status_for(host: str, port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/stats/requests", headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_taken_port_of_the_web_ui_is_an_error_before_anything_is_sent(target: Target, tmp_path: Path) -> None:
    target.reset()
    with pytest.raises(CommandError, match=rf"web_ui_dict: 127\.0\.0\.1:{target.port} can't be listened on: .*; choose another port"):
        load(tmp_path, [get("/ok")], host=target.url, web_ui_dict={"host": "127.0.0.1", "port": target.port})
    assert target.counts() == {}


def test_a_port_that_is_taken_since_the_check_is_an_error_before_anything_is_sent(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_refuse_taken_port", lambda web_ui: None)  # it was free then
    target.reset()
    done = load(tmp_path, [get("/ok")], host=target.url, web_ui_dict={"host": "127.0.0.1", "port": target.port})
    assert isinstance(done.error, EngineError)
    assert f"the web UI can't listen on 127.0.0.1:{target.port}: " in str(done.error)
    assert "choose another port in web_ui_dict" in str(done.error)
    assert target.counts() == {}
