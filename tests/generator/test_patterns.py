"""Patterns on what a real target sends: what they find, what they say, and that no text makes them slow."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load.start import start_test
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from tests.load.harness import USERS, Step, get, load, raw
from tests.services import need
from tests.targets.fixture import Target

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    b"Location: https://a.example/cb?code=c0de-9f8c&state=st4te\r\n"
    b"Set-Cookie: sid=old; Path=/\r\nSet-Cookie: other=sid=no\r\nSet-Cookie: sid=n=w; Path=/\r\n"
)


def page(body: str | bytes, fields: bytes = b"") -> str:
    data = body.encode() if isinstance(body, str) else body
    return raw(HEAD + fields + b"Content-Length: %d\r\n\r\n" % len(data) + data)


def in_charset(name: bytes, data: bytes) -> str:
    return raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=%s\r\nContent-Length: %d\r\n\r\n%s" % (name, len(data), data))


PAGE = page('<p>ü</p><input name="csrf" value="abc-1"><input name="csrf" value="abc-2">')
FORM = 'name="csrf" value="([^"]*)"'
ENDS: list[tuple[str, Step, str]] = [
    ("a pattern that matches holds", get(PAGE, assertions=[{"type": "regex", "pattern": FORM}]), ""),
    ("a pattern that matches nowhere fails", get(PAGE, assertions=[{"type": "regex", "pattern": "^abc"}]), 'body does not match "^abc"'),
    ("not_regex holds where nothing matches", get(PAGE, assertions=[{"type": "not_regex", "pattern": "^abc"}]), ""),
    (
        "not_regex fails where it matches",
        get(PAGE, assertions=[{"type": "not_regex", "pattern": "abc-."}]),
        'body unexpectedly matches "abc-."',
    ),
    (
        "an extract by a pattern that matches nowhere fails",
        get(PAGE, extract=[{"var": "x", "from": "regex", "pattern": "id=(.)"}]),
        'extract x: nothing in the body matches "id=(.)"',
    ),
    ("a group that took no part is nothing", get(PAGE, extract=[{"var": "x", "from": "regex", "pattern": "csrf(nope)?"}]), "extract x: "),
    (
        "a part of a header that is not there",
        get(PAGE, extract=[{"var": "x", "from": "header", "name": "location", "pattern": "step=([^&]+)"}]),
        'extract x: nothing in the header location matches "step=([^&]+)"',
    ),
    (
        "a part of no header",
        get(PAGE, extract=[{"var": "x", "from": "header", "name": "X-None", "pattern": "."}]),
        "extract x: no header X-None",
    ),
    ("a cookie that was not set", get(PAGE, extract=[{"var": "x", "from": "cookie", "name": "SID"}]), "extract x: no Set-Cookie of SID"),
    (
        "what is not UTF-8 is one U+FFFD for each start of a character",
        get(page(b"a\xe2\x82b\xff\xc3"), assertions=[{"type": "regex", "pattern": "^a\ufffdb\ufffd{2}$"}]),
        "",
    ),
    ("and contains sees it", get(page(b"a\xff"), assertions=[{"type": "contains", "value": "a\ufffd"}]), ""),
    ("Latin-1 is read as such", get(in_charset(b"latin-1", b"gr\xfcn"), assertions=[{"type": "regex", "pattern": "^grün$"}]), ""),
    ("UTF-16 too", get(in_charset(b"utf-16", "grün".encode("utf-16")), assertions=[{"type": "regex", "pattern": "^grün$"}]), ""),
    ("ASCII has no ü", get(in_charset(b"us-ascii", "ü".encode()), assertions=[{"type": "regex", "pattern": "^\ufffd{2}$"}]), ""),
    ("nor for contains", get(in_charset(b"us-ascii", "ü".encode()), assertions=[{"type": "not_contains", "value": "ü"}]), ""),
    ("an unknown charset is UTF-8", get(in_charset(b"later", "ü".encode()), assertions=[{"type": "regex", "pattern": "^ü$"}]), ""),
    (
        "a body is decoded before it is matched",
        get(page(gzip.compress(b"abc-1"), b"Content-Encoding: gzip\r\n"), assertions=[{"type": "regex", "pattern": "^abc-1$"}]),
        "",
    ),
    (
        "a body that can't be decoded is not text",
        get(page(b"hi", b"Content-Encoding: gzip\r\n"), extract=[{"var": "x", "from": "body"}]),
        "the body is not valid gzip",
    ),
    (
        "a long pattern is cut in the message",
        get(PAGE, assertions=[{"type": "regex", "pattern": "\u200b'" * 99}]),
        "body does not match \"\u200b'",
    ),
    (
        "a text made for backtracking",
        get(page("a" * 20_000 + "!"), assertions=[{"type": "regex", "pattern": "^(a+)+$"}]),
        "body does not match",
    ),
]
TAKEN: list[tuple[dict[str, Any], str]] = [
    ({"from": "regex", "pattern": FORM}, "abc-1"),
    ({"from": "regex", "pattern": "abc-."}, "abc-1"),
    ({"from": "regex", "pattern": FORM, "group": 0}, 'name="csrf" value="abc-1"'),
    ({"from": "regex", "pattern": "<p>(.)</p>.*?abc-(.)", "group": 2}, "1"),
    ({"from": "regex", "pattern": "<p>(.)</p>"}, "ü"),
    ({"from": "header", "name": "Location", "pattern": "[?&]code=([^&#]+)"}, "c0de-9f8c"),
    ({"from": "header", "name": "location", "pattern": "[a-z]+(?:-[0-9a-f]+)"}, "de-9f8c"),
    ({"from": "header", "name": "location", "pattern": "code=(.+)-(.+)&", "group": 2}, "9f8c"),
    ({"from": "cookie", "name": "sid"}, "n=w"),
    ({"from": "body"}, '<p>ü</p><input name="csrf" value="abc-1"><input name="csrf" value="abc-2">'),
]


@pytest.mark.parametrize("user", USERS)
def test_what_holds_and_what_is_said(user: str, target: Target, tmp_path: Path) -> None:
    """All in one run: each hit ends as its line says."""
    steps = [{**step, "name": sentence} for sentence, step, _ in ENDS]
    done = load(tmp_path, steps, user=user, host=target.url)
    said = {hit.name: hit.error for hit in done.hits}
    assert said.keys() == {sentence for sentence, _, _ in ENDS}
    for sentence, _, error in ENDS:
        assert said[sentence].startswith(error), sentence
        assert bool(said[sentence]) is bool(error), sentence


@pytest.mark.parametrize("user", USERS)
def test_what_is_taken_is_sent_on(user: str, target: Target, tmp_path: Path) -> None:
    """The target receives, as JSON, what each source took."""
    target.reset()
    extracts = [{"var": f"v{number}", **entry} for number, (entry, _) in enumerate(TAKEN)]
    sent = {"method": "post", "request_url": "/echo", "json": [f"${{var.v{number}}}" for number in range(len(TAKEN))]}
    done = load(tmp_path, [get(PAGE, extract=extracts), sent], user=user, host=target.url)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK, Outcome.OK]
    [body] = [record.body for record in target.records() if record.method == "POST"]
    assert json.loads(body) == [value for _, value in TAKEN]


@pytest.mark.parametrize("user", USERS)
def test_what_a_pattern_takes_under_a_secret_name_is_not_written_down(user: str, target: Target, tmp_path: Path) -> None:
    """The sample of a failed hit shows the page without it."""
    step = get(PAGE, extract=[{"var": "csrf_token", "from": "regex", "pattern": FORM}], assertions=[{"type": "status_code", "value": 418}])
    done = load(tmp_path, [step], user=user, host=target.url)
    samples = json.dumps(done.summary["errors"][0]["samples"])
    assert "abc-2" in samples
    assert "abc-1" not in samples


def test_the_native_core_says_which_pattern_it_does_not_take(target: Target, tmp_path: Path) -> None:
    """Where a script insists on it, before anything is sent; without a word Locust plays such a script."""
    need(is_built(), "the native core is not built")
    target.reset()
    step = get(PAGE, assertions=[{"type": "regex", "pattern": r"\p{L}\d"}], extract=[{"var": "x", "from": "regex", "pattern": r"\C"}])
    words = r"\p in pattern '\\p{L}\\d', \C in pattern '\\C'"
    with pytest.raises(CommandError, match=re.escape(f"the native core does not take {words}")):
        load(tmp_path, [step], host=target.url, user="native")
    assert not target.records()
    with use_session(Session(runs_dir=tmp_path)):
        summary = start_test({"user": "http_user"}, host=target.url, tasks=[step], user_count=1, iterations=1)
    assert summary["runs"][0]["engine"] == "locust"
    assert summary["runs"][0]["why_not_native"] == f"the native core does not take {words}"
