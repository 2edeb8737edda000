"""What Chrome, Firefox, Safari, mitmproxy and Charles export, with their peculiarities: golden requests and reports."""

from __future__ import annotations

import pytest

from loadflow.engine.commands.ld_har_to_action_json import har_to_action_json
from loadflow.engine.commands.ld_load_har import load_har
from loadflow.engine.recording.convert import Options, convert
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.table import TABLE
from tests.recording.hars import FIXTURES

REPORTS = {
    "chrome": """\
3 steps from 7 entries
left out, because no step can play it (4):
  entry 2: GET wss://shop.example/live is a websocket
  entry 3: GET data:… data: is nothing that is asked over HTTP
  entry 4: GET https://shop.example/static/{id}.js was answered by the browser's cache; nothing was sent
  entry 5: POST https://ads.example/collect was never sent (net::ERR_BLOCKED_BY_CLIENT)
correlated (3):
  csrf_token: from GET /login: HTML field csrf-token, to POST /api/login: header x-csrf-token
  user_id: from POST /api/login: json_path userId, to GET /api/users/{id}/orders: path
  access_token: from POST /api/login: json_path session.access_token, to GET /api/users/{id}/orders: header authorization
secrets to give before it runs (3):
  ${env.RECORDED_COOKIE_CONSENT}: GET /login: cookie consent, POST /api/login: cookie consent
  ${env.RECORDED_COOKIE_THEME}: GET /login: cookie theme, POST /api/login: cookie theme
  ${env.RECORDED_PASSWORD}: POST /api/login: JSON password""",
    "firefox": "2 steps from 3 entries\n1 redirect followed by the step before",
    "safari": """\
2 steps from 3 entries
left out, because no step can play it (1):
  entry 1: GET https://wiki.example/logo.svg was answered by the browser's cache; nothing was sent""",
    "mitmproxy": """\
2 steps from 3 entries
left out, because no step can play it (1):
  entry 2: CONNECT https://pinned.example:443/ CONNECT opens a tunnel; the requests inside are entries of their own
correlated (2):
  location: from POST /upload: header location, to GET /files/{id}: URL
  digest: from POST /upload: json_path digest, to GET /files/{id}: header x-digest
secrets to give before it runs (1):
  ${env.RECORDED_X_API_KEY}: POST /upload: header x-api-key, GET /files/{id}: header x-api-key""",
    "charles": """\
3 steps from 3 entries
secrets to give before it runs (3):
  ${env.RECORDED_AUTHORIZATION}: POST /transfer: header Authorization
  ${env.RECORDED_COOKIE_JSESSIONID}: POST /transfer: cookie JSESSIONID
  ${env.RECORDED_PIN_SECRET}: POST /transfer: form pin""",
}
STEPS = {
    "chrome": [
        {"method": "get", "request_url": "https://shop.example/login?next=%2Forders", "status": 200},
        {
            "method": "post",
            "request_url": "https://shop.example/api/login",
            "json": {"user": "ann", "password": "${env.RECORDED_PASSWORD}"},
            "think_time": {"min": 6.0, "max": 10.0},
            "status": 200,
        },
        {"method": "get", "request_url": "https://shop.example/api/users/${var.user_id}/orders?page=1", "status": [200, 304]},
    ],
    "firefox": [
        {
            "method": "post",
            "request_url": "http://forum.example/post",
            "data": [["tag", "a"], ["tag", "b"], ["text", "café au l"]],
            "status": 200,
        },
        {
            "method": "post",
            "request_url": "http://forum.example/avatar",
            "data": {"caption": "mé"},
            "files": [{"field": "picture", "filename": "a.txt", "content_type": "text/plain", "content": "line one\r\nline two"}],
            "status": 204,
        },
    ],
    "safari": [
        {"method": "get", "request_url": "https://wiki.example/", "status": 200},
        {"method": "put", "request_url": "https://wiki.example/draft", "data": "Größe: 5 €"},
    ],
    "mitmproxy": [
        {"method": "post", "request_url": "http://api.example:8080/upload?kind=raw", "data_base64": "iVBORwD/", "status": 201},
        {"method": "get", "request_url": "http://api.example:8080${var.location}", "status": 200},
    ],
    "charles": [
        {
            "method": "post",
            "request_url": "https://bank.example/photo",
            "data_base64": "/9j/4A==",
            "think_time": {"min": 2.97, "max": 4.95},
            "status": 200,
        },
        {
            "method": "post",
            "request_url": "https://bank.example/transfer",
            "cookies": {"JSESSIONID": "${env.RECORDED_COOKIE_JSESSIONID}"},
            "data": {"amount": "100", "pin": "${env.RECORDED_PIN_SECRET}", "note": ""},
            "allow_redirects": False,
            "think_time": {"min": 2.955, "max": 4.925},
            "status": 302,
        },
        {"method": "PROPFIND", "request_url": "https://bank.example/dav", "status": 207},
    ],
}
APART = ("name", "headers", "extract", "assertions")
SECRETS = ("hunter22", "YW5uOm", "sk-51H8", "0A1B2C3D", "9182", "yes-2024", "a1B2c3D4", "Zk3vQ9", "9d3c1c7a", "q8w7e6")


@pytest.mark.parametrize("name", REPORTS)
def test_golden(name: str) -> None:
    done = convert(str(FIXTURES / f"{name}.har"), Options.of(think_time="recorded"))
    assert "\n".join(done.report.lines()) == REPORTS[name]
    shown = []
    for task in done.tasks:
        status = {"status": task["assertions"][0]["value"]} if "assertions" in task else {}
        shown.append(
            {**{key: value for key, value in task.items() if key not in APART and (key != "cookies" or name == "charles")}, **status}
        )
    assert shown == STEPS[name]


@pytest.mark.parametrize("name", REPORTS)
def test_a_path_and_a_parsed_recording_give_the_same_valid_script_without_secrets(name: str) -> None:
    path = str(FIXTURES / f"{name}.har")
    document = har_to_action_json(path, think_time={"scale": 0.5})
    assert document == har_to_action_json(load_har(path), think_time={"scale": 0.5})
    assert parse_script(document, commands=TABLE).actions[0].name == "LD_start_test"
    assert [secret for secret in SECRETS if secret in str(document)] == []
