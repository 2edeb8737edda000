"""Locust's web UI beside a load."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path

import pytest

from loadflow.errors import CommandError
from tests.load.harness import get, load
from tests.targets.fixture import Target


def test_the_web_ui_answers_while_load_runs_and_counts_it(target: Target, tmp_path: Path, unused_port: int) -> None:
    seen: list[str] = []

    def look() -> None:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/stats/requests", timeout=5) as answer:
                    text = answer.read().decode()
            except OSError:
                threading.Event().wait(0.05)
                continue
            if '"num_requests":0' not in text.replace(" ", "") and "the page" in text:
                seen.append(text)
                return
            threading.Event().wait(0.05)

    looker = threading.Thread(target=look)
    looker.start()
    steps = [get("/ok", name="the page", think_time=0.05)]
    load(tmp_path, steps, host=target.url, iterations=None, test_time=4, web_ui_dict={"host": "127.0.0.1", "port": unused_port})
    looker.join()
    assert len(seen) == 1


def test_a_taken_port_of_the_web_ui_is_an_error_before_anything_is_sent(target: Target, tmp_path: Path) -> None:
    target.reset()
    with pytest.raises(CommandError, match=rf"web_ui_dict: 127\.0\.0\.1:{target.port} can't be listened on: .*; choose another port"):
        load(tmp_path, [get("/ok")], host=target.url, web_ui_dict={"host": "127.0.0.1", "port": target.port})
    assert target.counts() == {}
