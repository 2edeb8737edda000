"""What is known to be missing before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from loadflow.engine.resolve.static import missing_in

KNOWN: dict[str, Any] = {
    "variables": {"user", "user.id"},
    "session": {"token"},
    "sources": {"users": ("name", "a.b")},
    "env": {"HOME": "/root"},
}

FINE: list[tuple[str, Any]] = [
    ("nothing to fill in", {"a": [1, None, "x", {"b": 2.5}]}),
    ("a variable", "${user}${var.user.id}"),
    ("a session value", "${session.token}"),
    ("an environment variable", "${env.HOME}"),
    ("a column, with and without a dot", "${csv.users.name}${csv.users.a.b}"),
    ("faker and functions", ["${faker.name}", "${uuid()}", "${now()}", "${randint(1,2)}"]),
]


@pytest.mark.parametrize("value", [row[1] for row in FINE], ids=[row[0] for row in FINE])
def test_nothing_is_missing(value: Any) -> None:
    assert missing_in(value, **KNOWN) == []


MISSING: list[tuple[str, Any, list[str]]] = [
    ("a misspelt variable", "/${usr}", ["${usr}: no variable 'usr'; did you mean 'user'?"]),
    ("one like no other", "${zzz}", ["${zzz}: no variable 'zzz'; register it, or let a step extract it"]),
    ("a session value", "${session.tokn}", ["${session.tokn}: no session value 'tokn'; did you mean 'token'?"]),
    ("an environment variable", "${env.ZZZ}", ["${env.ZZZ}: no environment variable 'ZZZ'; set it before the run"]),
    ("a source", "${csv.user.name}", ["${csv.user.name}: no csv source 'user'; did you mean 'users'?"]),
    ("a column", "${csv.users.z}", ["${csv.users.z}: csv source 'users' has no column 'z'; it has name, a.b"]),
    ("a faker method", "${faker.emial}", ["${faker.emial}: Faker has no method 'emial'; did you mean 'email'?"]),
    ("an unclosed one", "/${user", ["${user: '${' is never closed; end the placeholder with '}'"]),
    (
        "two in the order they stand, each once",
        {"a": ["${zzb}", {"b": "${zza}${zzb}"}]},
        [f"${{{name}}}: no variable '{name}'; register it, or let a step extract it" for name in ("zzb", "zza")],
    ),
    (
        "one in a key",
        [{"${user}": 1}],
        ["'${user}': a placeholder in a key; keys are names and stay as they are: put the placeholder into a value"],
    ),
]


@pytest.mark.parametrize(("value", "messages"), [row[1:] for row in MISSING], ids=[row[0] for row in MISSING])
def test_missing_is(value: Any, messages: list[str]) -> None:
    assert missing_in(value, **KNOWN) == messages


def test_a_faker_method_that_needs_arguments_is_missing() -> None:
    (message,) = missing_in("${faker.enum}", **KNOWN)
    assert message.startswith("${faker.enum}: Faker's enum can't be used here: ")
