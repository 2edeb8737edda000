"""`loadflow doctor`: what is there, and what is broken."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from prefect.settings import PREFECT_API_URL, temporary_settings

from loadflow.cli import diagnosis, fleet_diagnosis, main
from loadflow.cli.diagnosis import Finding
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.hostile import play


def test_a_machine_that_runs_the_tests_is_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    findings = {one["name"]: one for one in json.loads(result.stdout)}
    assert result.exit_code == 0, result.stdout
    assert findings["engine locust"]["state"] == "ok"
    text = "built in Rust" if is_built() else "so every test runs on locust"
    assert findings["engine native"]["state"] == ("ok" if is_built() else "note")
    assert text in findings["engine native"]["text"]
    for name in ("loadflow", "packages", "open files", "loopback", "local ports", "run folders", "prefect api", *diagnosis.SERVERS):
        assert name in findings
    assert list(tmp_path.iterdir()) == [], "it only looks"


def test_something_broken_makes_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "diagnose", lambda: iter([Finding("a", "ok", "fine"), Finding("b", "broken", "gone; get it back")]))
    monkeypatch.setattr(fleet_diagnosis, "diagnose_fleet", lambda *of: iter(()))
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, result.stdout) == (5, "ok     a: fine\nbroken b: gone; get it back\n")


def test_a_prefect_api_that_does_not_answer_is_broken_and_shown_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with temporary_settings({PREFECT_API_URL: f"http://ann:hunter22@127.0.0.1:{port}/api"}):
        finding = diagnosis.prefect_api()
    assert finding.state == "broken"
    assert finding.text.startswith(f"http://127.0.0.1:{port}/api does not answer (")
    assert "hunter22" not in finding.text


@pytest.mark.parametrize(("storage", "state"), [("memory", "note"), ("filesystem", "ok")])
def test_a_server_that_forgets_its_leases_at_a_restart_is_noted(storage: str, state: str) -> None:
    module = f"prefect.server.concurrency.lease_storage.{storage}"
    with settings_of_a_server({"server": {"concurrency": {"lease_storage": module}}}) as url, temporary_settings({PREFECT_API_URL: url}):
        (finding,) = diagnosis.prefect_leases()
    assert (finding.name, finding.state) == ("prefect leases", state)
    assert "prefect.server.concurrency.lease_storage.filesystem" in finding.text


def test_a_server_that_does_not_show_its_settings_says_nothing_of_its_leases() -> None:
    with settings_of_a_server({"detail": "Unauthorized"}) as url, temporary_settings({PREFECT_API_URL: url}):
        assert list(diagnosis.prefect_leases()) == []


@contextlib.contextmanager
def settings_of_a_server(settings: object) -> Iterator[str]:
    class Settings(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(settings).encode()
            self.send_response(200 if self.path == "/api/admin/settings" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.HTTPServer(("127.0.0.1", 0), Settings) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


def test_a_fastapi_that_breaks_prefect_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_version", lambda name: "0.152.0" if name == "fastapi" else "1.0")
    assert [one.name for one in diagnosis.packages() if one.state == "broken"] == ["fastapi"]


def test_a_missing_package_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_version", lambda name: None if name == "gevent" else "0.1")
    (broken,) = [one for one in diagnosis.packages() if one.state == "broken"]
    assert broken.text == "not installed: gevent; install loadflow again with pip"


def test_hostile_answers_are_played_and_shown_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Played once, and shown as they ended and as if each had been late."""
    played: dict[str, list[play.Played]] = {}
    really = play.play

    def once(load: str, target: play.Target) -> list[play.Played]:
        if load not in played:
            played[load] = really(load, target)
        return played[load]

    monkeypatch.setattr(play, "LOADS", {"socket_user": {"user": "socket_user"}})
    monkeypatch.setattr(play, "play", once)
    for wrong in (False, True):
        monkeypatch.setattr(play, "MOST_LAG_MS", -1.0 if wrong else 60_000.0)
        check_table(wrong)


def test_what_can_not_be_played_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target whose server of HTTP/3 could not be made, as its library is a dependency of tests alone."""
    if not is_built():
        pytest.skip("the native core is not built")
    monkeypatch.setattr(play, "hostile_target", lambda: contextlib.nullcontext(play.Target({"web": {"": 1}}, Path("none.pem"))))
    monkeypatch.setattr(play, "LOADS", {name: detail for name, detail in play.LOADS.items() if detail.get("http_version") == 3})
    result = CliRunner().invoke(main, ["doctor", "--hostile"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.stdout
    for name in ("native, HTTP/3", "native, HTTP/3 with streams"):
        assert (
            f"{name}: not played: its server is made with aioquic, which is not installed; pip install 'aioquic>=1.2,<2'" in result.stdout
        )
    told = json.loads(CliRunner().invoke(main, ["doctor", "--hostile", "--json"]).stdout)
    assert (told["answers"], set(told["not_played"])) == ([], set(play.LOADS))


def check_table(wrong: bool) -> None:
    result = CliRunner().invoke(main, ["doctor", "--hostile"], env={"COLUMNS": "160"})
    assert result.exit_code == (5 if wrong else 0), result.stdout
    assert "answer" in result.stdout
    assert "a length of 4 GB" in result.stdout
    total = re.search(r"(\d+) answers: none ended wrongly, at", result.stdout)
    assert total is not None
    shown = result.stdout.splitlines()[2:-1]  # below the load's name and the head, above what is said of all
    assert int(total[1]) == len(shown) > 1
    late = total[1] if wrong else "none"
    assert f"at {late} the loop was over a second late, at none the engine took over 300 MB more" in " ".join(result.stdout.split())
