"""`--var name=value`: JSON where it is JSON, else text."""

from __future__ import annotations

from typing import Any

import pytest

from loadflow.cli.variables import parse_assignment


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("base=http://127.0.0.1:8000/a?b=c", "base", "http://127.0.0.1:8000/a?b=c"),  # only the first = parts
        ("users=50", "users", 50),
        ("rate=1.5", "rate", 1.5),
        ("on=true", "on", True),
        ("none=null", "none", None),
        ('zip="01234"', "zip", "01234"),
        ("zip=01234", "zip", "01234"),  # no JSON number
        ('list=[1, "two"]', "list", [1, "two"]),
        ("empty=", "empty", ""),
        ("version=1.10", "version", "1.10"),  # a number that would be sent as another text
        ("sha=12e45678", "sha", "12e45678"),  # beyond what a number holds
        ("sha=1e3", "sha", "1e3"),
        ("zero=-0", "zero", "-0"),
        ("list=[1e999]", "list", "[1e999]"),
        (f"id={2**70}", "id", 2**70),
        (f"id={'9' * 5000}", "id", "9" * 5000),
        ("word=NaN", "word", "NaN"),  # Python would read it as a number; JSON has none
        ("broken={", "broken", "{"),
        (" x =1", "x", 1),
    ],
)
def test_a_value_is_json_where_it_parses(text: str, name: str, value: Any) -> None:
    assert parse_assignment(text) == (name, value)
    assert type(parse_assignment(text)[1]) is type(value)


@pytest.mark.parametrize("text", ["base", "", "=5", " =5"])
def test_a_name_and_an_equals_sign_are_needed(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form name=value"):
        parse_assignment(text)
