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
    data = text.encode("utf-16" if "utf-16" in kind else "utf-8")
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
