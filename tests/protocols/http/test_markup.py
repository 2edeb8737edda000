"""Extracts from HTML and XML in whole loads: the same values and words on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadflow.engine.records.outcome import Outcome
from tests.load.harness import USERS, get, load, raw
from tests.targets.fixture import Target

FORM = "<form id=login><input name=csrf value='a&amp;b'><p>Hi <b>you</b>"
SOAP = '<s:Envelope xmlns:s="urn:soap"><s:Body><id xmlns="urn:shop">7</id></s:Body></s:Envelope>'
NAMES = {"s": "urn:soap", "x": "urn:shop"}


def page(text: str, kind: str = "text/html; charset=utf-8") -> str:
    return said(text.encode("utf-16" if "utf-16" in kind else "utf-8"), kind)


def said(data: bytes, kind: str) -> str:
    return raw(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), len(data)) + data)


def css(var: str, selector: str, **more: str) -> dict[str, object]:
    return {"var": var, "from": "css", "selector": selector, **more}


def xpath(var: str, expression: str, **more: object) -> dict[str, object]:
    return {"var": var, "from": "xpath", "expression": expression, **more}


@pytest.mark.parametrize("user", USERS)
def test_what_a_page_holds_is_sent(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        get(page(FORM), name="form", extract=[css("token", "#login input", attribute="value"), xpath("words", "string(//p)")]),
        get(page(SOAP, "text/xml"), name="soap", extract=[xpath("id", "//s:Body/x:id", namespaces=NAMES), xpath("n", "count(//*) div 2")]),
        get(page(FORM, "text/html; charset=utf-16"), name="wide", extract=[css("who", "b")]),
        get("/echo", headers={"X-All": "${token}|${words}|${id}|${n}|${who}"}),
        get(page(FORM), name="nothing there", extract=[css("token", "h1")]),
        get(page(FORM), name="no such attribute", extract=[css("token", "p", attribute="value")]),
        get(page("<a>", "text/xml"), name="no XML", extract=[xpath("id", "/a")]),
        get(page(FORM), name="only a text", extract=[xpath("token", "count(//b)", only="text")]),
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    (sent,) = target.records("/echo")
    assert sent.header("X-All") == "a&b|Hi you|7|1.5|you"
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 4 + [Outcome.EXTRACT] * 4
    words = [hit.error for hit in done.hits[4:]]
    assert words[:2] == ['extract token: nothing in the body is at "h1"', 'extract token: nothing in the body is at "p"']
    assert words[2].startswith("extract id: the body is not XML: ")
    assert words[3] == "extract token: 1 is not a text"


def declared(encoding: str, data: bytes) -> bytes:
    return b"<?xml version='1.0' encoding='%s'?>" % encoding.encode() + data


LATIN, UTF_8 = "<a>Büro</a>".encode("latin-1"), "<a>Büro</a>".encode()
DECLARATIONS = {
    "Latin-1": ("text/xml", declared("ISO-8859-1", LATIN), "Büro"),
    "an application's": ("application/rss+xml", declared("windows-1252", LATIN), "Büro"),
    "by how it begins": ("text/plain", declared("ISO-8859-1", LATIN), "Büro"),
    "UTF-8": ("text/xml", declared("UTF-8", UTF_8), "Büro"),
    "its header counts more": ("text/xml; charset=utf-8", declared("ISO-8859-1", UTF_8), "Büro"),
    "one that nobody knows": ("text/xml", declared("x-none", UTF_8), "Büro"),
    "one that its own bytes contradict": ("text/xml", declared("UTF-16", UTF_8), "Büro"),
    "by a byte order mark": ("text/xml", "<?xml version='1.0' encoding='UTF-16'?><a>Büro</a>".encode("utf-16"), "Büro"),
    "not at the beginning": ("text/xml", b"<!-- -->" + b"<a>x<!-- encoding='ISO-8859-1' --></a>", "x"),
}


@pytest.mark.parametrize("user", USERS)
def test_xml_is_read_in_the_charset_that_it_declares(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = []
    for name, (kind, data, text) in DECLARATIONS.items():
        contains = {"type": "contains", "value": text}
        steps.append(get(said(data, kind), name=name, extract=[xpath("text", "string(/a)")], assertions=[contains]))
        steps.append(get("/echo", name="sent", headers={"X-Text": "${text}"}))
    done = load(tmp_path, steps, user=user, host=target.url)
    assert {hit.name: hit.error for hit in done.hits if hit.error} == {}
    assert [one.header("X-Text") for one in target.records("/echo")] == [text for *_, text in DECLARATIONS.values()]
