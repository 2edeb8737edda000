# a row stays on one line
"""Nothing secret is left in what a conversion writes, by default."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadflow.engine.base.redact import Redactor
from tests.recording.hars import converted, entry

H = "http://shop.example"
S = "s3cr3t-Value-99"


def get(query: str = "", **more: Any) -> dict[str, Any]:
    return entry(f"{H}/a{query}", **more)


def post(body: str, mime: str) -> dict[str, Any]:
    return entry(f"{H}/a", "POST", body=body, mime=mime)


FORM = "application/x-www-form-urlencoded"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
SECRETS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("bearer", get(headers={"Authorization": f"Bearer {S}"}), S, {"headers": {"Authorization": "Bearer ${env.RECORDED_AUTHORIZATION}"}}),
    (
        "basic",
        get(headers={"authorization": "Basic dTpwdw=="}),
        "dTpwdw==",
        {"headers": {"authorization": "Basic ${env.RECORDED_AUTHORIZATION}"}},
    ),
    ("a header of a key", get(headers={"X-Api-Key": S}), S, {"headers": {"X-Api-Key": "${env.RECORDED_X_API_KEY}"}}),
    ("a key in a query", get(f"?key={S}&b=1"), S, {"request_url": f"{H}/a?key=${{env.RECORDED_KEY_SECRET}}&b=1"}),
    ("a signature", get(f"?X-Amz-Signature={S}"), S, {"request_url": f"{H}/a?X-Amz-Signature=${{env.RECORDED_X_AMZ_SIGNATURE_SECRET}}"}),
    ("a session in a path", entry(f"{H}/a;jsessionid={S}"), S, {"request_url": f"{H}/a;jsessionid=${{env.RECORDED_JSESSIONID_SECRET}}"}),
    (
        "an OAuth code",
        post(f"grant_type=authorization_code&code={S}", FORM),
        S,
        {"data": {"grant_type": "authorization_code", "code": "${env.RECORDED_CODE_SECRET}"}},
    ),
    ("an OAuth code in a query", get(f"?code={S}"), S, {"request_url": f"{H}/a?code=${{env.RECORDED_CODE_SECRET}}"}),
    ("a proof key", post(f"code_verifier={S}", FORM), S, {"data": {"code_verifier": "${env.RECORDED_CODE_VERIFIER_SECRET}"}}),
    (
        "an assertion",
        post(json.dumps({"assertion": S}), "application/json"),
        S,
        {"json": {"assertion": "${env.RECORDED_ASSERTION_SECRET}"}},
    ),
    (
        "an assertion of SAML",
        post(f"SAMLResponse={S}&RelayState=x", FORM),
        S,
        {"data": {"SAMLResponse": "${env.RECORDED_SAMLRESPONSE_SECRET}", "RelayState": "x"}},
    ),
    (
        "a key of Azure",
        get(headers={"Ocp-Apim-Subscription-Key": S}),
        S,
        {"headers": {"Ocp-Apim-Subscription-Key": "${env.RECORDED_OCP_APIM_SUBSCRIPTION_KEY_SECRET}"}},
    ),
    (
        "a key of a function",
        get(headers={"x-functions-key": S}),
        S,
        {"headers": {"x-functions-key": "${env.RECORDED_X_FUNCTIONS_KEY_SECRET}"}},
    ),
    (
        "a password in a script",
        post(f"login({{user: 'ann', password: '{S}'}})", "text/javascript"),
        S,
        {"data": "login({user: 'ann', password: '${env.RECORDED_PASSWORD}'})"},
    ),
    (
        "a password behind &amp;",
        post(f'<a href="/x?u=ann&amp;password={S}&amp;b=1">', "text/html"),
        S,
        {"data": '<a href="/x?u=ann&amp;password=${env.RECORDED_PASSWORD}&amp;b=1">'},
    ),
    (
        "a password in a text of JSON",
        post(json.dumps({"q": f"u=ann&password={S}"}), "application/json"),
        S,
        {"json": {"q": "u=ann&password=${env.RECORDED_PASSWORD}"}},
    ),
    ("a password in a form", post(f"u=ann&password={S}", FORM), S, {"data": {"u": "ann", "password": "${env.RECORDED_PASSWORD}"}}),
    (
        "a password in JSON",
        post(json.dumps({"user": {"pwd": S}}), "application/json"),
        S,
        {"json": {"user": {"pwd": "${env.RECORDED_PWD}"}}},
    ),
    (
        "all under credentials",
        post(json.dumps({"credentials": {"b": [S]}}), "application/json"),
        S,
        {"json": {"credentials": {"b": ["${env.RECORDED_B_SECRET}"]}}},
    ),
    (
        "a number under a secret name",
        post('{"pin": 918273}', "application/json"),
        "918273",
        {"json": {"pin": "${var.recorded_pin_secret}"}},
    ),
    (
        "a password in XML",
        post(f"<a><password>{S}</password></a>", "text/xml"),
        S,
        {"data": "<a><password>${env.RECORDED_PASSWORD}</password></a>"},
    ),
    (
        "a password in lines of JSON",
        post(f'{{"password":"{S}"}}\n{{}}', "application/x-ndjson"),
        S,
        {"data": '{"password":"${env.RECORDED_PASSWORD}"}\n{}'},
    ),
    ("a token under any name", post(json.dumps({"x": JWT}), "application/json"), JWT, {"json": {"x": "${env.RECORDED_X_SECRET}"}}),
    ("a cookie nobody set", get(headers={"Cookie": f"a={S}"}), S, {"cookies": {"a": "${env.RECORDED_COOKIE_A}"}}),
    (
        "a token in a referer",
        get(headers={"Referer": f"{H}/b?token={S}"}),
        S,
        {"headers": {"Referer": f"{H}/b?token=${{env.RECORDED_TOKEN}}"}},
    ),
]


@pytest.mark.parametrize(("sentence", "recorded", "secret", "said"), SECRETS, ids=[row[0] for row in SECRETS])
def test_a_secret_is_lifted(sentence: str, recorded: dict[str, Any], secret: str, said: dict[str, Any]) -> None:
    done = converted(recorded)
    assert {key: done.tasks[0].get(key) for key in said} == said
    assert secret not in json.dumps([done.tasks, done.variables, done.report.to_json(), list(done.report.lines())])
    (lifted,) = done.report.lifted
    assert Redactor().is_secret(lifted.placeholder) or lifted.placeholder.startswith("${var.")


@pytest.mark.parametrize(("sentence", "recorded", "secret", "said"), SECRETS, ids=[row[0] for row in SECRETS])
def test_a_secret_is_kept_when_asked(sentence: str, recorded: dict[str, Any], secret: str, said: dict[str, Any]) -> None:
    done = converted(recorded, secrets="keep")
    assert secret in json.dumps(done.tasks)
    assert done.report.lifted == []


NO_SECRETS: list[tuple[str, dict[str, Any]]] = [
    ("counts of tokens", post('{"max_tokens": 4096, "token_type": "x"}', "application/json")),
    ("names that only sound alike", post("monkey=banana&design=flat&author=ann", FORM)),
    ("short codes", post('{"code": "EUR", "country_code": "DE-BY-0123456", "status_code": "abcdefgh12"}', "application/json")),
    ("flags and nothing", post('{"password": null, "session": true, "token": ""}', "application/json")),
]


@pytest.mark.parametrize(("sentence", "recorded"), NO_SECRETS, ids=[row[0] for row in NO_SECRETS])
def test_what_is_no_secret_stays(sentence: str, recorded: dict[str, Any]) -> None:
    assert converted(recorded).report.lifted == []


def test_a_secret_is_found_wherever_else_it_stands() -> None:
    done = converted(entry(f"{H}/reset/{S}", headers={"X-Note": f"for {S}"}), get(headers={"X-Api-Key": S}))
    assert S not in json.dumps([done.tasks, done.report.to_json()])
    assert done.tasks[0]["request_url"] == f"{H}/reset/${{env.RECORDED_X_API_KEY}}"


def test_one_value_has_one_placeholder_and_two_have_two() -> None:
    done = converted(*(get(headers={"Authorization": f"Bearer {value}"}) for value in (S, S, S[::-1])))
    placeholders = [task["headers"]["Authorization"] for task in done.tasks]
    assert placeholders == ["Bearer ${env.RECORDED_AUTHORIZATION}"] * 2 + ["Bearer ${env.RECORDED_AUTHORIZATION_2}"]


def test_cookies_that_a_response_set_are_left_to_the_jar() -> None:
    done = converted(
        get(headers={"Cookie": "old=o-1234"}, answer_headers={"Set-Cookie": f"sid={S}; Path=/\ncsrf=x; Path=/"}),
        get(headers={"cookie": f"old=o-1234; sid={S}; csrf=x"}),
        entry("http://elsewhere.test/", headers={"Cookie": "sid=other-1"}),
    )
    assert [task.get("cookies") for task in done.tasks] == [
        {"old": "${env.RECORDED_COOKIE_OLD}"},
        {"old": "${env.RECORDED_COOKIE_OLD}"},
        {"sid": "${env.RECORDED_COOKIE_SID}"},
    ]


def test_reports_show_no_query_and_no_user() -> None:
    done = converted(entry(f"wss://u:{S}@shop.example/{S}?token={S}"), entry(f"data:text/plain,{S}"))
    assert S not in "\n".join(done.report.lines())


FORMS_OF_ONE = {
    "in a URL": "a%2Fb%3Cs3cr3t%3E9",
    "in a URL, lower case": "a%2fb%3cs3cr3t%3e9",
    "in HTML": "a/b&lt;s3cr3t&gt;9",
    "in JSON": "a\\/b<s3cr3t>9",
}


@pytest.mark.parametrize("form", FORMS_OF_ONE.values(), ids=FORMS_OF_ONE)
def test_a_secret_is_found_in_every_form_that_a_text_gives_it(form: str) -> None:
    done = converted(get(headers={"X-Api-Key": "a/b<s3cr3t>9", "X-Note": f"for {form}."}))
    assert done.tasks[0]["headers"]["X-Note"] == "for ${env.RECORDED_X_API_KEY}."
