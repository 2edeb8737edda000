"""What is recorded, converted and played reaches the server as it did the first time; what the server made up is new."""

from __future__ import annotations

import http.client
import json
import re
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadflow.engine.commands.ld_har_to_action_json import har_to_action_json
from loadflow.engine.records.outcome import Outcome
from tests.load.harness import USERS, load
from tests.recording.hars import har
from tests.targets.fixture import Record, Target

COMPUTED = {"host", "content-length", "connection", "accept-encoding", "user-agent", "accept", "cookie"}
MULTI = (
    b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xbc\r\n--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="f"; filename="p.bin"\r\nContent-Type: image/x\r\n\r\n\x00\xff\r\n\n\x89\r\n--XX--\r\n'
)
BROWSED: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/echo?q=gr%C3%B6%C3%9Fe&x=1&x=2&y=", {"X-One": "1", "Accept-Language": "de"}, b""),
    ("POST", "/echo", {"Content-Type": "application/json"}, '{"a":[1,2.5,null,"ü"],"b":{"c":true}}'.encode()),
    ("POST", "/echo", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&b=x+y&a=%C3%A4&c="),
    ("PUT", "/echo", {"Content-Type": "text/xml"}, "<a>${not.a.placeholder} ü</a>".encode()),
    ("PATCH", "/echo", {"Content-Type": "application/octet-stream"}, bytes(range(256))),
    ("DELETE", "/echo/8f14e45fceea167a", {}, b""),
    ("POST", "/echo", {"Content-Type": "multipart/form-data; boundary=XX"}, MULTI),
    ("POST", "/echo", {}, b""),
    ("GET", "/status/404", {}, b""),
    ("GET", "/redirect/2", {}, b""),
    ("HEAD", "/ok", {}, b""),
    ("OPTIONS", "/echo", {"Origin": "http://elsewhere.test"}, b""),
]


class Recorder:
    """A browser's network tab: sends requests, follows redirects, keeps cookies, and writes everything down."""

    def __init__(self, url: str) -> None:
        self.entries: list[dict[str, Any]] = []
        self._origin = url
        self._cookies: dict[str, str] = {}
        self._now = datetime(2024, 5, 6, 9, tzinfo=UTC)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
        sent = {"User-Agent": "tests", **headers}
        if self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        connection = http.client.HTTPConnection(urlsplit(self._origin).netloc, timeout=30)
        connection.request(method, path, body=body or None, headers=sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self._write(method, path, sent, body, answer, content)
        for line in answer.headers.get_all("set-cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        if answer.status == 302:
            return self.send("GET" if method == "POST" else method, str(answer.headers["location"]), headers)
        return content

    def _write(self, method: str, path: str, sent: dict[str, str], body: bytes, answer: http.client.HTTPResponse, content: bytes) -> None:
        kind = headers_of(answer.headers)
        self._now += timedelta(milliseconds=20)
        post = {"mimeType": sent.get("Content-Type", ""), "text": body.decode("utf-8", "surrogateescape")}
        request = {
            "method": method,
            "url": f"{self._origin}{path}",
            "headers": [{"name": name, "value": value} for name, value in sent.items()],
            **({"postData": post} if body else {}),
        }
        response = {
            "status": answer.status,
            "headers": [{"name": name, "value": value} for name, value in kind],
            "content": {"mimeType": answer.headers.get("content-type", ""), "text": content.decode("utf-8", "replace")},
        }
        self.entries.append({"startedDateTime": self._now.isoformat(), "time": 5, "request": request, "response": response})


def headers_of(message: Message) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in message.items()]


def comparable(record: Record) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, target, body and own headers; the boundary of a form is the client's own."""
    headers = {name.lower(): value for name, value in record.headers if name.lower() not in COMPUTED}
    body = record.body
    if boundary := re.search(r"boundary=(\S+)", headers.get("content-type", "")):
        body = body.replace(boundary[1].encode(), b"BOUNDARY")
        headers["content-type"] = "multipart/form-data"
    return record.method, record.target, body, headers


def play(document: Any, folder: Path, user: str) -> Any:
    arguments = document["load_density"][0][1]
    return load(folder, arguments["tasks"], user=user, variables=arguments.get("variables", {}))


@pytest.mark.parametrize("user", USERS)
def test_the_server_receives_the_same_again(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    browser = Recorder(target.url)
    for request in BROWSED:
        browser.send(*request)
    first = target.records()
    path = tmp_path / "a.har"
    path.write_text(json.dumps(har(*browser.entries)), encoding="ascii")
    target.reset()
    done = play(har_to_action_json(str(path)), tmp_path, user)
    second = target.records()
    assert [comparable(record) for record in second] == [comparable(record) for record in first]
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    assert len(done.hits) == len(BROWSED) == len(first) - 2  # two redirects are followed


@pytest.mark.parametrize("user", USERS)
def test_what_the_server_made_up_is_taken_anew(user: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token and a cookie of the first login are never sent again; those of the second are."""
    target.reset()
    browser = Recorder(target.url)
    login = browser.send("POST", "/login", {"Content-Type": "application/json"}, b'{"user":"ann","password":"hunter22"}')
    token = json.loads(login)["token"]
    browser.send("GET", "/whoami", {"Authorization": f"Bearer {token}"})
    document = har_to_action_json(har(*browser.entries))
    assert token not in json.dumps(document) and "hunter22" not in json.dumps(document)
    recorded = target.records("/whoami")[0]
    target.reset()
    monkeypatch.setenv("RECORDED_PASSWORD", "hunter22")
    done = play(document, tmp_path, user)
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    login_again, whoami = target.records()
    assert login_again.json == {"user": "ann", "password": "hunter22"}
    assert re.fullmatch(r"Bearer t-\d+", whoami.header("authorization") or "")
    assert re.fullmatch(r"sid=s-\d+", whoami.header("cookie") or "")
    assert whoami.header("authorization") != recorded.header("authorization")
    assert whoami.header("cookie") != recorded.header("cookie")
    assert whoami.header(
        "authorization",
    ).removeprefix("Bearer t-") == whoami.header("cookie").removeprefix("sid=s-")  # type: ignore[union-attr]
