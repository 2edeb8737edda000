"""No form of a secret survives the redactor, by its name or by its value, whatever was done to it on its way."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadflow.engine.base import redact
from loadflow.engine.base.escapes import DEPTH, ESCAPES, View, views
from loadflow.engine.base.redact import MASK, Redactor

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=40).filter(lambda text: "${" not in text)
SURROUNDINGS = st.text("abcXYZ019 .,;:-_", max_size=7)


def every_character(write: Callable[[int], str]) -> Callable[[str], str]:
    return lambda text: "".join(write(number) for number in text.encode())


def lower_percent(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quote(text, safe=""))


# per-character escapes, which keep what they stand beside
ESCAPED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "%2F": lambda text: quote(text, safe=""),
    "%2f": lower_percent,
    "path": quote,
    "form": quote_plus,
    "every byte in percent": every_character("%{:02x}".format),
    "&amp;": html.escape,
    "&#x2F;": lambda text: "".join(f"&#x{ord(one):X};" for one in text),
    "&#47;": lambda text: "".join(f"&#{ord(one):04};" for one in text),
    "&#x2f; of signs": lambda text: "".join(one if one.isalnum() else f"&#x{ord(one):x};" for one in text),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "\\/": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "\\u0026": lambda text: json.dumps(text)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
    "every character in \\u": lambda text: "".join(
        f"\\u{number:04x}" for pair in text for number in memoryview(pair.encode("utf-16-le")).cast("H")
    ),
    "\\x2f": every_character("\\x{:02x}".format),
    "Python": lambda text: repr(text)[1:-1],
}


def shifted(before: bytes) -> Callable[[str], str]:
    return lambda text: base64.b64encode(before + text.encode() + b"tail").decode()


CODED: dict[str, Callable[[str], str]] = {
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 by one": shifted(b"x"),
    "Base64 by two": shifted(b"user"[:2]),
    "Base64 by three": shifted(b"me:"),
    "Base64 of URLs": lambda text: base64.urlsafe_b64encode(b"ab" + text.encode()).decode().rstrip("="),
    "Base64 in lines": lambda text: base64.encodebytes(b"line " * 9 + text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
}
ALL = ESCAPED | CODED
UNUSUAL = ("every byte in percent", "&#x2F;", "&#47;", "every character in \\u", "\\x2f")


def readable(secret: str, text: str) -> list[str]:
    """Each four characters of `secret` that can be read in `text`, escapes undone."""
    read = [view.text for view in views(text)]
    return [piece for at in range(len(secret) - 3) if any((piece := secret[at : at + 4]) in one for one in read)]


@pytest.mark.parametrize("how", ALL)
@settings(max_examples=15)
@given(secret=SECRETS, before=SURROUNDINGS, after=SURROUNDINGS)
@example("a/b&c d", "", "")
@example("<pä%41s\\n\"wörd'>+=", "x=", "&y")
@example("aaaa", "a", "aaa")
def test_no_form_of_a_secret_survives(how: str, secret: str, before: str, after: str) -> None:
    written = ALL[how](secret)
    masked = Redactor(values=[secret]).text(f"{before} {written} {after}")
    assert MASK in masked
    assert written not in masked
    assert not set(readable(secret, masked)) - set(readable(secret, f"{before} {after}"))


def is_sensible(one: str, two: str) -> bool:
    """Whether a form is looked for in another: what no usual writer does is not looked for in what is coded once more."""
    return two in ESCAPED or one in ("Base64", "Base64 by one", "Base64 of URLs", "hex") or (one in ESCAPED and one not in UNUSUAL)


@pytest.mark.parametrize("two", ALL)
def test_no_secret_survives_in_one_form_within_another(two: str) -> None:
    for secret in ("s3cr3t/of&it", "abcd", 'p ä"s<\\s>=?+'):
        for one in (one for one in ALL if is_sensible(one, two)):
            written = ALL[two](ALL[one](secret))
            masked = Redactor(values=[secret]).text(f"told: {written}; end")
            assert MASK in masked, (one, written)
            assert readable(secret, masked) == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"name": "password", "value": "zz"}', '{"name": "password", "value": "***"}'),
        ("{'value': 'zz', 'id': 3, 'name': 'X-Api-Key'}", "{'value': '***', 'id': 3, 'name': 'X-Api-Key'}"),
        ('{"Key": "client_secret", "Value": 12}', '{"Key": "client_secret", "Value": ***}'),
        (r'"{\"name\": \"token\", \"value\": \"zz\"}"', r'"{\"name\": \"token\", \"value\": \"***\"}"'),
        ('{"name": "colour", "value": "zz"}, {"name": "token"}', '{"name": "colour", "value": "zz"}, {"name": "token"}'),
        ('<input type="hidden" name="csrf_token" value="zz">', '<input type="hidden" name="csrf_token" value="***">'),
        ("<input value='zz' type=password>", "<input value='***' type=password>"),
        ("<a:password kind='x'>zz</a:password>", "<a:password kind='x'>***</a:password>"),
        ("&lt;password&gt;zz&lt;/password&gt;", "&lt;password&gt;***&lt;/password&gt;"),
        ('form-data; name="password"\r\nX: y\r\n\r\nzz\r\nzz\r\n--b', 'form-data; name="password"\r\nX: y\r\n\r\n***\r\n--b'),
        ("[('token', 'zz'), ('a', 'b')]", "[('token', '***'), ('a', 'b')]"),
        ("next=%2Fa%3Ftoken%3Dzz%26x%3D1", "next=%2Fa%3Ftoken%3D***%26x%3D1"),
        ("{&quot;password&quot;: &quot;zz&quot;}", "{&quot;password&quot;: &quot;***&quot;}"),
        ("the password is wrong; name and value", "the password is wrong; name and value"),
    ],
)
def test_what_stands_under_a_secrets_name_is_masked_in_a_text(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked
    assert Redactor().text(masked) == masked


@pytest.mark.parametrize(
    ("data", "masked"),
    [
        ({"name": "password", "value": "zz"}, {"name": "password", "value": MASK}),
        ({"Header": "Authorization", "Value": 12, "id": 1}, {"Header": "Authorization", "Value": MASK, "id": 1}),
        (
            [{"name": "token", "values": ["zz"]}, {"name": "a", "value": "zz"}],
            [{"name": "token", "values": MASK}, {"name": "a", "value": "zz"}],
        ),
        ([("password", "zz"), ("a", "b")], [["password", MASK], ["a", "b"]]),
        ({"name": "password", "value": "${env.PW}"}, {"name": "password", "value": "${env.PW}"}),
        (["the password is wrong", "so it was refused"], ["the password is wrong", "so it was refused"]),
    ],
)
def test_what_stands_beside_a_secrets_name_is_masked_in_data(data: Any, masked: Any) -> None:
    assert Redactor().value(data) == masked


@pytest.mark.parametrize(
    "data", [{"name": "password", "value": "sentinel-1"}, ["api_key", "sentinel-1"], {"a": [{"value": "sentinel-1", "key": "my_token"}]}]
)
def test_what_stands_beside_a_secrets_name_is_known_from_then_on(data: Any) -> None:
    redactor = Redactor()
    redactor.learn_from(data)
    assert redactor.text("it was sentinel-1") == "it was ***"


def test_the_work_grows_no_faster_than_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in characters that are looked at: whatever is done to a text is done at most once for each view of it."""
    looked = 0

    def counted(text: str) -> Any:
        nonlocal looked
        for view in views(text):
            looked += len(view.text)
            yield view

    monkeypatch.setattr(redact, "views", counted)
    redactor = Redactor(values=["s3cr3t/of&it"])
    unit = r'%2525 &amp;amp; \\\\u0041 {"name": "token", "value": "' + "s3cr3t%2Fof%26it&amp;"
    work = []
    for times in (100, 200, 400):
        looked = 0
        redactor.text(unit * times)
        work.append(looked)
    assert work[1] <= 2 * work[0]
    assert work[2] <= 2 * work[1]
    assert work[2] <= sum(len(ESCAPES) ** level for level in range(DEPTH + 1)) * 400 * len(unit)


def test_a_secret_of_one_letter_repeated_is_one_span() -> None:
    assert Redactor(values=["a" * 5_000]).text("b" + "a" * 100_000 + "b") == "b***b"


@given(st.text(st.sampled_from("a%2F&#x;\\u0041/\n5Cnp")))
def test_a_view_knows_where_each_of_its_characters_stood(text: str) -> None:
    for view in views(text):
        ends = [view.source(at, at + 1) for at in range(len(view.text))]
        assert all(0 <= start < end <= len(text) for start, end in ends)
        assert ends == sorted(ends)
    assert View(text).text == text
