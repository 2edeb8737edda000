"""In a notebook: a real kernel runs a load in a cell, in another with `await`, and shows it as HTML."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import lxml.etree
import pytest
from jupyter_client.manager import KernelManager

from loadflow.engine.session.load_result import LoadResult
from tests.builders import build_run, make_rows
from tests.targets.fixture import Target

CELL_WITHIN_S = 150
ROOT = Path(__file__).resolve().parents[2]


class Kernel:
    """`run(code)` gives what the cell shows: its value by MIME type. Raises AssertionError with the traceback when the cell fails."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str) -> dict[str, str]:
        shown: dict[str, str] = {}
        troubles: list[str] = []

        def look(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "execute_result":
                shown.update(content["data"])
            elif message["msg_type"] == "error":
                troubles.extend(content["traceback"])

        self._client.execute_interactive(code, timeout=CELL_WITHIN_S, output_hook=look)
        assert not troubles, "\n".join(troubles)
        return shown


@pytest.fixture
def kernel(tmp_path: Path, prefect_server: None) -> Iterator[Kernel]:
    from prefect.settings import get_current_settings

    manager = KernelManager(kernel_name="python3")
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    env = {"PREFECT_API_URL": str(get_current_settings().api.url), "PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT)}
    manager.start_kernel(cwd=str(tmp_path), env={**os.environ, **env, "IPYTHONDIR": str(tmp_path / "ipython")})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=CELL_WITHIN_S)
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.prefect
@pytest.mark.processes
def test_a_kernel_runs_loads_in_its_cells_and_shows_them(kernel: Kernel, target: Target) -> None:
    target.reset()
    kernel.run(f"""
import asyncio
from loadflow import Run, compile_script, results_of, run_script
test = {{"user_detail_dict": {{"user": "fast_http_user"}}, "user_count": 1, "spawn_rate": 1, "test_time": 30, "iterations": 3,
        "tasks": [{{"method": "get", "request_url": "{target.url}/status/200", "name": "home"}}]}}
""")
    shown = kernel.run("load = run_script(script=[['LD_start_test', test]], label='by hand')\nload")
    assert "✓ Passed" in shown["text/html"]
    assert "GET home" in shown["text/html"]
    script = '[["len", ["four"]]]'
    given = kernel.run(
        f"[list(compile_script({script})().values()), list(results_of(compile_script({script})(return_state=True)).values())]"
    )
    assert given["text/plain"] == "[[4], [4]]"
    kernel.run("beside = await asyncio.to_thread(run_script, script=[['LD_start_test', test]])")
    counts = kernel.run("[len(load.run().frame()), beside['home'].count, len(Run.of_flow_run(beside.flow_run_ids[0]))]")
    assert counts["text/plain"] == "[3, 3, 1]"
    assert target.counts() == {"/status/200": 6}


class Tags(HTMLParser):
    """What opens and closes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.images: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_it_shows_verdict_figures_and_a_chart(tmp_path: Path) -> None:
    load = LoadResult.of(build_run(tmp_path / "run", make_rows(500, failure_rate=0.2)))
    page = Tags(load._repr_html_())
    assert page.open == []
    words = " ".join(page.text)
    assert "✕ Failed" in words
    assert load.reasons[0] in words
    assert all(f"{one.method} {one.name}" in words for one in load.names)
    (image,) = page.images
    head, data = image.split(",", 1)
    assert head == "data:image/svg+xml;base64"
    assert lxml.etree.fromstring(base64.b64decode(data)).tag == "{http://www.w3.org/2000/svg}svg"


def test_texts_of_a_target_are_texts_and_the_page_is_short(tmp_path: Path) -> None:
    names = [("GET", f"/<script>alert({number})</script>") for number in range(200)]
    load = LoadResult.of(build_run(tmp_path / "run", make_rows(2_000, series=200), names=names))
    shown = replace(load, label="<b>", report_url="javascript:alert(1)")._repr_html_()
    assert re.findall(r"<script|<b>|javascript:", shown) == []
    assert "180 more names" in shown
    assert len(shown) < 100_000


def test_without_its_folder_it_shows_all_but_the_chart(tmp_path: Path) -> None:
    load = replace(LoadResult.of(build_run(tmp_path / "run")), folder=str(tmp_path / "on another machine"))
    assert "<img" not in load._repr_html_()
    assert "<table>" in load._repr_html_()
