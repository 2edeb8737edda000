"""`loadflow reports serve`: what is for reading opens, and nothing else does."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loadflow.engine.reports.logo import LOGO
from tests.load.harness import get, load
from tests.targets.fixture import Target
from tests.waiting import HANG_S

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def site(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("served")
    run = load(folder, [get(f"{target.url}/ok")], label="<b>nightly</b>").run
    (folder / "runs" / "no-run").mkdir()
    (folder / "runs" / "no-run" / "report.html").write_text("somebody's file")
    (folder / "secret.txt").write_text("not for reading")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "loadflow",
            "reports",
            "serve",
            "--port",
            "0",
            "--runs-dir",
            str(folder / "runs"),
            "--allow-host",
            "reports.test",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    found = re.search(r"http://\S+", process.stderr.readline())
    assert found
    with httpx.Client(base_url=found.group(), timeout=HANG_S) as client:
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


def test_the_logo_of_blocks_is_a_square_picture(site: tuple[httpx.Client, Path]) -> None:
    answer = site[0].get(f"/{LOGO}")
    width, height = struct.unpack(">II", answer.content[16:24])  # of the header chunk of a PNG
    assert (answer.headers["content-type"], answer.content[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert width == height == 256


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


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("Host", "evil.test")], 421),
        ([("Host", "127.0.0.1.evil.test:8090")], 421),
        ([("Host", "")], 421),
        ([("Host", "localhost:1")], 200),
        ([("Host", "[::1]:8090")], 200),
        ([("Host", "192.0.2.7")], 200),
        ([("Host", "Reports.test.:80")], 200),
        ([("Host", socket.gethostname())], 200),
    ],
)
def test_a_name_that_is_not_its_own_is_refused(site: tuple[httpx.Client, Path], fields: list[tuple[str, str]], status: int) -> None:
    """What a page elsewhere that had its name resolve to this machine would have a browser ask for."""
    client, folder = site
    for path in ("/", f"/{folder.name}/summary.json", "/nothing"):
        answer = client.build_request("GET", path)
        answer.headers = httpx.Headers(fields)
        received = client.send(answer)
        assert (received.status_code == 421) is (status == 421)
        assert status == 200 or "nightly" not in received.text
