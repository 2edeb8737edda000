"""`loadflow serve` as a process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from loadflow.engine.control.client import ControlClient, ControlError
from tests.cli.running import loadflow, start
from tests.control.serving import LIMIT_S, load
from tests.control.web_serving import plan
from tests.targets.fixture import Target

TOKEN = "the-servers-own-token"


def port_of(process: subprocess.Popen[str]) -> int:
    """Where it says that it listens."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"listening on localhost:(\d+) \(.*\); files below .*\n", line)
    assert found, line
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_serves_and_ends_cleanly_by_a_signal(tmp_path: Path, target: Target, number: signal.Signals) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "users.csv").write_text("name\nann\n")
    process = start(
        tmp_path, "serve", "--port", "0", "--token-file", "token", "--root", "work", "--allow-env", "OPEN_THING", OPEN_THING="x"
    )
    try:
        with ControlClient(port=port_of(process), token=TOKEN) as client:
            with pytest.raises(ControlError, match="SECRET_THING"):
                client.start([["print", ["${env.SECRET_THING}"]]])
            source = ["LD_register_csv_source", ["users", "users.csv"]]
            run = client.start([source, load(f"{target.url}/ok?${{csv.users.name}}=${{env.OPEN_THING}}", test_time=60)], follow=True)
            while (event := next(client.events()))["event"] != "snapshot":
                pass
            assert event["run"] == run
            process.send_signal(number)
            assert client.follow_on(run)["verdict"]["verdict"] == "interrupted"
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr
    assert TOKEN not in stdout + stderr
    assert "Traceback" not in stderr


def test_a_client_can_end_it(tmp_path: Path) -> None:
    process = start(tmp_path, "serve", "--port", "0")
    try:
        with ControlClient(port=port_of(process)) as client:
            client.quit()
        process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0


def test_over_http_it_answers_a_plan_in_lines_and_ends_cleanly_by_a_signal(tmp_path: Path, target: Target) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    process = start(tmp_path, "serve", "--http", "--port", "0", "--token-file", "token")
    try:
        port = port_of(process)
        request = Request(
            f"http://127.0.0.1:{port}/run",
            json.dumps(plan(target.url, duration_secs=60)).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=LIMIT_S) as answer:
            while json.loads(answer.readline())["requests_total"] == 0:
                pass
            process.send_signal(signal.SIGTERM)
            *_, end = [json.loads(line) for line in answer.read().splitlines()]
        assert (end["phase"], end["verdict"]["verdict"]) == ("done", "interrupted")
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr
    assert TOKEN not in stdout + stderr
    assert "Traceback" not in stderr


WRONG = [
    ("two protocols", ["--http", "--legacy"], "--http is a protocol of its own"),
    ("HTTP for everybody without a token", ["--http", "--host", "0.0.0.0"], "LOADFLOW_SOCKET_TOKEN"),
    ("a host for everybody without a token", ["--host", "0.0.0.0"], "LOADFLOW_SOCKET_TOKEN"),
    ("a certificate without its key", ["--tls-cert", "cert.pem"], "keyfile: is missing"),
    ("a token file that is gone", ["--token-file", "gone"], "can't be read"),
]


@pytest.mark.parametrize(("what", "arguments", "message"), WRONG, ids=[row[0] for row in WRONG])
def test_settings_that_do_not_go_together_are_usage_errors(tmp_path: Path, what: str, arguments: list[str], message: str) -> None:
    done = loadflow(tmp_path, "serve", "--port", "0", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr.replace("\n", " ")


def test_an_empty_token_in_the_environment_is_a_usage_error(tmp_path: Path) -> None:
    done = loadflow(tmp_path, "serve", "--port", "0", LOADFLOW_SOCKET_TOKEN="")
    assert done.code == 2
    assert "the token is empty" in done.stderr
