"""Entries that belong together: filters, redirects, pauses, correlation, secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadflow import har_to_action_json, har_to_tasks, load_har
from loadflow.engine.recording.convert import convert_har
from loadflow.errors import CommandError
from tests.recording.build import converted, entry, har

JSON = "application/json"


def test_the_document_has_the_keys_of_a_load_test_in_their_order() -> None:
    document = har_to_action_json(har(entry()), user="http_user", user_count=3, spawn_rate=2, test_time=9)
    ((name, arguments),) = document["load_density"]
    assert name == "LD_start_test"
    assert list(arguments) == ["user_detail_dict", "tasks", "user_count", "spawn_rate", "test_time"]
    assert (arguments["user_detail_dict"], arguments["tasks"]["mode"]) == ({"user": "http_user"}, "sequence")
    assert (arguments["user_count"], arguments["spawn_rate"], arguments["test_time"]) == (3, 2, 9)


def test_include_keeps_and_exclude_then_drops() -> None:
    recorded = [entry(url=f"http://h/{path}") for path in ("a", "b.css", "api/c", "api/d.css")]
    assert [one["name"] for one in converted(*recorded, include="api").tasks] == ["/api/c", "/api/d.css"]
    made = converted(*recorded, include=["api", "/a$"], exclude=[r"\.css$"])
    assert [one["name"] for one in made.tasks] == ["/a", "/api/c"]
    assert made.report.filtered == 2


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"include": "("}, "include"),
        ({"exclude": ["a", "("]}, "exclude"),
        ({"user": "tcp"}, "user_detail_dict.user"),
        ({"user_count": 0}, "user_count"),
    ],
)
def test_wrong_arguments_are_mistakes(options: dict[str, Any], place: str) -> None:
    with pytest.raises(CommandError) as raised:
        har_to_action_json(har(entry()), **options)
    assert [mistake.place for mistake in raised.value.mistakes] == [place]


def test_nothing_to_play_is_a_mistake_that_says_what_was_left_out() -> None:
    with pytest.raises(CommandError, match="WebSocket"):
        har_to_action_json(har(entry(url="ws://h/")))
    assert har_to_tasks(har()) == []


def test_other_hosts_stand_in_the_name() -> None:
    assert [one["name"] for one in converted(entry(url="http://h/a"), entry(url="http://cdn/a")).tasks] == ["/a", "cdn/a"]


def test_a_chain_of_redirects_is_one_step_with_the_last_status() -> None:
    made = converted(
        entry("POST", "http://h/login", status=302, answer_headers={"Location": "/home"}),
        entry(url="http://h/logo.png"),
        entry(url="http://h/home", status=301, answer_headers={"location": "https://h/home#top"}),
        entry(url="https://h/home", status=203),
    )
    assert [(one["name"], one["assertions"][0]["value"]) for one in made.tasks] == [("/login", 203), ("/logo.png", 200)]
    assert made.report.redirects == 2


def test_a_redirect_that_was_not_followed_is_not_followed() -> None:
    (one,) = converted(entry(status=302, answer_headers={"Location": "/x"})).tasks
    assert (one["allow_redirects"], one["assertions"][0]["value"]) == (False, 302)


def test_entries_are_played_in_the_order_they_started() -> None:
    made = converted(entry(url="http://h/b", at=2), entry(url="http://h/a", at=1))
    assert [one["name"] for one in made.tasks] == ["/a", "/b"]


def test_think_times_are_when_nothing_was_under_way() -> None:
    recorded = [entry(at=0, time=500), entry(at=0.1, time=3000), entry(at=0.2, time=10), entry(at=5.6, time=1)]
    assert [one.get("think_time") for one in converted(*recorded, think_time=True).tasks] == [None, None, 2.5, None]
    assert all("think_time" not in one for one in converted(*recorded).tasks)


def login(answer: Any, **more: Any) -> dict[str, Any]:
    return entry("POST", "http://h/login", answer=json.dumps(answer), **more)


USES: list[tuple[str, dict[str, Any], str, Any]] = [
    ("in a header", entry(headers={"Authorization": "Bearer q7Wd83kLmX"}), "headers", {"Authorization": "Bearer ${var.token}"}),
    ("in a path", entry(url="http://h/a/q7Wd83kLmX/b"), "request_url", "http://h/a/${var.token}/b"),
    ("in a query", entry(url="http://h/a?x=1&t=q7Wd83kLmX"), "params", [["x", "1"], ["t", "${var.token}"]]),
    ("in JSON", entry("POST", post={"mimeType": JSON, "text": '{"a": [{"t": "q7Wd83kLmX"}]}'}), "json", {"a": [{"t": "${var.token}"}]}),
    ("inside a text of JSON", entry("POST", post={"mimeType": JSON, "text": '["t:q7Wd83kLmX;"]'}), "json", ["t:${var.token};"]),
    (
        "in a form",
        entry("POST", post={"mimeType": "application/x-www-form-urlencoded", "text": "t=q7Wd83kLmX"}),
        "data",
        [["t", "${var.token}"]],
    ),
    ("in a text", entry("POST", post={"mimeType": "text/xml", "text": "<t>q7Wd83kLmX</t>"}), "data", "<t>${var.token}</t>"),
]


@pytest.mark.parametrize(("use", "key", "expected"), [row[1:] for row in USES], ids=[row[0] for row in USES])
def test_what_a_response_gave_is_extracted_for_the_request_that_sends_it(use: dict[str, Any], key: str, expected: Any) -> None:
    made = converted(login({"data": {"token": "q7Wd83kLmX"}}), use)
    assert made.tasks[0]["extract"] == [{"var": "token", "from": "json_path", "path": "data.token"}]
    assert made.tasks[1][key] == expected
    (told,) = made.report.correlated
    assert (told.variable, told.producer, told.users) == ("token", 0, (1,))
    assert made.report.secrets == ()


def test_numbers_keep_their_type() -> None:
    use = entry("POST", "http://h/u/48213", post={"mimeType": JSON, "text": '{"id": 48213, "text": "48213"}'})
    made = converted(login({"users": [{"id": 48213}]}), use)
    assert made.tasks[0]["extract"][0] == {"var": "users_id", "from": "json_path", "path": "users.0.id"}
    assert made.tasks[1]["json"] == {"id": "${var.users_id}", "text": "48213"}
    assert (made.tasks[1]["request_url"], made.tasks[1]["name"]) == ("http://h/u/${var.users_id}", "/u/{id}")


def test_headers_are_extracted_too() -> None:
    made = converted(entry(answer_headers={"X-CSRF-Token": "ab12"}), entry("POST", headers={"X-CSRF-Token": "ab12"}))
    assert made.tasks[0]["extract"] == [{"var": "x_csrf_token", "from": "header", "name": "X-CSRF-Token"}]
    assert made.tasks[1]["headers"] == {"X-CSRF-Token": "${var.x_csrf_token}"}


def test_the_place_of_what_was_created_is_extracted() -> None:
    made = converted(entry("POST", "http://h/o", status=201, answer_headers={"Location": "/o/7"}), entry(url="http://h/o/7"))
    assert (made.tasks[1]["request_url"], made.tasks[1]["name"]) == ("http://h${var.location}", "/o/{id}")


@pytest.mark.parametrize(
    ("sentence", "answer", "first"),
    [
        ("what was sent before it was returned is the user's own", {"id": "q7Wd83kLmX"}, entry(url="http://h/a?x=q7Wd83kLmX")),
        ("a plain word is no generated value", {"next": "checkout"}, entry(url="http://h/checkout")),
        ("a key with a dot has no path", {"a.b": "q7Wd83kLmX"}, entry()),
    ],
)
def test_not_every_value_is_correlated(sentence: str, answer: Any, first: dict[str, Any]) -> None:
    made = converted(first, login(answer), entry(url="http://h/checkout?x=q7Wd83kLmX"))
    assert made.report.correlated == (), sentence


def test_the_earliest_response_gives_the_value_and_names_are_unlike() -> None:
    made = converted(
        login({"token": "q7Wd83kLmX"}),
        login({"token": "q7Wd83kLmX", "other": {"token": "Zz91kk2mnb"}}),
        entry(headers={"A": "q7Wd83kLmX", "B": "Zz91kk2mnb"}),
    )
    assert made.tasks[2]["headers"] == {"A": "${var.token}", "B": "${var.token_2}"}
    assert [one["extract"][0]["path"] for one in made.tasks[:2]] == ["token", "other.token"]


def test_secrets_become_environment_variables_and_the_report_names_them_only() -> None:
    recorded = [
        entry("POST", "http://h/login?api_key=K1234", post={"mimeType": JSON, "text": '{"user": "ann", "password": "hunter22"}'}),
        entry(headers={"Authorization": "Basic YW5uOmh1bnRlcjIy", "X-Copy": "hunter22", "Cookie": "sid=9f8a7c6d5e4b3a21"}),
    ]
    made = converted(*recorded)
    assert made.tasks[0]["params"] == [["api_key", "${env.API_KEY}"]]
    assert made.tasks[0]["json"] == {"user": "ann", "password": "${env.PASSWORD}"}
    assert made.tasks[1]["headers"] == {"Authorization": "Basic ${env.AUTHORIZATION}", "X-Copy": "${env.PASSWORD}"}
    assert made.tasks[1]["cookies"] == {"sid": "${env.COOKIE_SID}"}
    assert made.report.secrets == ("API_KEY", "AUTHORIZATION", "COOKIE_SID", "PASSWORD")
    told = json.dumps([made.report.to_json(), made.report.lines(), made.tasks])
    assert not [secret for secret in ("K1234", "hunter22", "YW5u", "9f8a") if secret in told]
    kept = converted(*recorded, keep_secrets=True)
    assert kept.tasks[0]["json"]["password"] == "hunter22"
    assert kept.report.secrets == ()


def test_a_plain_word_is_a_secret_only_under_the_name_of_one() -> None:
    made = converted(entry("POST", "http://h/admin", post={"mimeType": JSON, "text": '{"password": "admin", "user": "admin"}'}))
    assert (made.tasks[0]["name"], made.tasks[0]["json"]) == ("/admin", {"password": "${env.PASSWORD}", "user": "admin"})


def test_cookies_that_a_response_set_are_the_clients() -> None:
    made = converted(
        entry(answer_headers={"Set-Cookie": "sid=a1; Path=/"}, headers={"Cookie": "old=1"}),
        entry(headers={"Cookie": "sid=a1; old=1"}),
        entry(url="http://other.example/", headers={"Cookie": "sid=zz"}),
    )
    assert [one.get("cookies") for one in made.tasks] == [{"old": "1"}, {"old": "1"}, {"sid": "zz"}]


def test_a_dollar_is_sent_from_a_variable_of_the_document() -> None:
    recorded = har(entry("POST", post={"mimeType": "text/plain", "text": "${x}"}))
    arguments = har_to_action_json(recorded)["load_density"][0][1]
    assert arguments["variables"] == {"dollar": "$"}


def test_a_file_and_its_content_give_the_same(tmp_path: Any) -> None:
    recorded = har(login({"token": "q7Wd83kLmX"}), entry(headers={"A": "q7Wd83kLmX"}))
    path = tmp_path / "a.har"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(recorded).encode())
    assert load_har(str(path)) == recorded
    assert convert_har(str(path)) == convert_har(recorded)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"log": {}}', b'{"log": {"entries": {}}}', b'{"log": {"entries": [', b"\xff\xfe", b"7"]
)
def test_what_is_no_har_is_a_mistake_with_its_file(tmp_path: Any, text: bytes) -> None:
    path = tmp_path / "a.har"
    path.write_bytes(text)
    for read in (load_har, convert_har):
        with pytest.raises(CommandError, match="is no") as raised:
            read(str(path))
        assert raised.value.source == str(path)
    with pytest.raises(CommandError, match="can't be read"):
        load_har(str(tmp_path / "gone.har"))
