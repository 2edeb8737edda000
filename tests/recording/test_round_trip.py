"""A recording of real traffic, converted and run as load: the target receives again what it received while it was recorded."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from loadflow.engine.recording.convert import convert_har
from tests.load.harness import USERS, Outcomes, load
from tests.recording.build import har
from tests.targets.fixture import Record, Target

BINARY = bytes(range(256))
FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--zz\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
    b'--zz\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: application/x-own\r\n\r\n'
    + BINARY
    + b"\r\n--zz--\r\n"
)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Recorder:
    """Makes requests as a browser would, and keeps each exchange as an entry of a HAR."""

    def __init__(self, target: Target) -> None:
        self.url = target.url
        self.entries: list[dict[str, Any]] = []
        self._opener = urllib.request.build_opener(NoRedirect)

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self.url + path, body, {"User-Agent": "browser", **(headers or {})}, method=method)
        try:
            response = self._opener.open(request, timeout=30)
        except HTTPError as error:
            response = error
        answer = response.read()
        mime = (headers or {}).get("Content-Type", "")
        sent = {"method": method, "url": self.url + path, "headers": [{"name": n, "value": v} for n, v in request.header_items()]}
        if body is not None:
            sent["postData"] = {"mimeType": mime, "text": base64.b64encode(body).decode(), "encoding": "base64"}
        got = {
            "status": response.status,
            "headers": [{"name": name, "value": value} for name, value in response.headers.items()],
            "content": {"mimeType": "application/json", "text": answer.decode()},
        }
        self.entries.append({"request": sent, "response": got})
        return json.loads(answer or b"null")


def played(target: Target, recorder: Recorder, folder: Path, user: str) -> tuple[list[Record], list[Record], Outcomes]:
    """What was received while recording, and what when the recording was played."""
    before = target.records()
    target.reset()
    made = convert_har(har(*recorder.entries))
    outcomes = load(folder, {"mode": "sequence", "tasks": made.tasks}, user=user, variables=made.variables)
    return before, target.records(), outcomes


@pytest.mark.parametrize("user", USERS)
def test_the_same_requests_arrive_again(target: Target, tmp_path: Path, user: str) -> None:
    target.reset()
    recorder = Recorder(target)
    recorder.send("GET", "/echo?q=a+b&q=%C3%A9&empty=")
    recorder.send("POST", "/echo", {"Content-Type": FORM}, b"a=1&a=2&b=&c=x+y%26")
    recorder.send("PUT", "/echo", {"Content-Type": "application/json", "X-Own": "1"}, '{"a":[1,2.5,null,"é"]}'.encode())
    recorder.send("POST", "/echo", {"Content-Type": "text/plain; charset=utf-8"}, "zwei\r\nZeilen ${x} é".encode())
    recorder.send("POST", "/echo", {"Content-Type": "application/octet-stream"}, BINARY)
    recorder.send("DELETE", "/status/404")
    recorder.send("GET", "/304")
    before, after, outcomes = played(target, recorder, tmp_path, user)
    assert [(one.method, one.target, one.body) for one in after] == [(one.method, one.target, one.body) for one in before]
    for name in ("content-type", "user-agent", "x-own"):
        assert [one.header(name) for one in after] == [one.header(name) for one in before]
    assert {hit.error for hit in outcomes.hits} == {""}


@pytest.mark.parametrize("user", USERS)
def test_files_arrive_with_every_byte(target: Target, tmp_path: Path, user: str) -> None:
    target.reset()
    recorder = Recorder(target)
    recorder.send("POST", "/echo", {"Content-Type": "multipart/form-data; boundary=zz"}, MULTIPART)
    _, (after,), outcomes = played(target, recorder, tmp_path, user)
    assert b'name="f"; filename="a.bin"\r\n' in after.body
    assert b"application/x-own\r\n\r\n" + BINARY + b"\r\n--" in after.body
    assert b'name="note"\r\n\r\nhi\r\n' in after.body
    assert {hit.error for hit in outcomes.hits} == {""}


@pytest.mark.parametrize("user", USERS)
def test_the_token_of_this_run_is_sent_and_not_the_recorded_one(target: Target, tmp_path: Path, user: str) -> None:
    target.reset()
    recorder = Recorder(target)
    token = recorder.send("POST", "/login", {"Content-Type": "application/json"}, b'{"user":"ann"}')["token"]
    recorder.send("GET", f"/echo?t={token}")
    recorder.send("GET", "/whoami", {"Authorization": f"Bearer {token}", "Cookie": f"sid=s-{token[2:]}"})
    _, after, outcomes = played(target, recorder, tmp_path, user)
    now = f"t-{int(token[2:]) + 1}"
    assert [one.target for one in after] == ["/login", f"/echo?t={now}", "/whoami"]
    assert (after[2].header("authorization"), after[2].header("cookie")) == (f"Bearer {now}", f"sid=s-{now[2:]}")
    assert {hit.error for hit in outcomes.hits} == {""}


@pytest.mark.parametrize("user", USERS)
def test_redirects_are_followed_once(target: Target, tmp_path: Path, user: str) -> None:
    target.reset()
    recorder = Recorder(target)
    for path in ("/redirect/2", "/redirect/1", "/redirect/0"):
        recorder.send("GET", path)
    recorder.send("GET", "/redirect-code/307?to=/nowhere")
    before, after, outcomes = played(target, recorder, tmp_path, user)
    assert [one.target for one in after] == [one.target for one in before]
    assert [(hit.status, hit.error) for hit in outcomes.hits] == [(200, ""), (307, "")]
