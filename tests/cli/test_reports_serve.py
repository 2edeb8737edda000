"""`loadflow reports serve`: what is for reading opens, and nothing else does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.load.harness import get, load
from tests.targets.fixture import Target

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def site(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("served")
    run = load(folder, [get(f"{target.url}/ok")], label="<b>nightly</b>").run
    (folder / "runs" / "no-run").mkdir()
    (folder / "runs" / "no-run" / "report.html").write_text("somebody's file")
    (folder / "secret.txt").write_text("not for reading")
    process = subprocess.Popen(
        [sys.executable, "-m", "loadflow", "reports", "serve", "--port", "0", "--runs-dir", str(folder / "runs")],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    found = re.search(r"http://\S+", process.stderr.readline())
    assert found
    with httpx.Client(base_url=found.group()) as client:
        yield client, run.folder
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0


def test_the_list_links_to_every_report(site: tuple[httpx.Client, Path]) -> None:
    client, folder = site
    page = client.get("/")
    assert page.status_code == 200
    assert f'href="{folder.name}/report.html"' in page.text
    assert "&lt;b&gt;nightly&lt;/b&gt;" in page.text
    report = client.get(f"/{folder.name}/report.html")
    assert report.status_code == 200
    assert report.content == (folder / "report.html").read_bytes()
    assert client.get(f"/{folder.name}/summary.json").json()["verdict"]["verdict"] == "passed"


@pytest.mark.parametrize(
    "path",
    [
        "/{run}/hits-0.bin",
        "/{run}/samples-0.ndjson",
        "/{run}/engine-0.log",
        "/{run}/run.json",
        "/{run}/../../secret.txt",
        "/..%2f..%2fsecret.txt/report.html",
        "/%2e%2e/secret.txt",
        "/no-run/report.html",
        "/{run}",
        "/nowhere/report.html",
    ],
)
def test_nothing_else_is_served(site: tuple[httpx.Client, Path], path: str) -> None:
    client, folder = site
    assert client.get(path.format(run=folder.name)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(site: tuple[httpx.Client, Path], method: str) -> None:
    client, folder = site
    assert client.request(method, f"/{folder.name}/report.html").status_code == 405
    assert (folder / "report.html").is_file()
