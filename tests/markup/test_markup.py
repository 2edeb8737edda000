"""Extracts from HTML and XML: the core and Python find the same in whatever Hypothesis writes, and lxml agrees on what XPath means."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from loadflow.engine.base.json_path import MISSING
from loadflow.engine.markup import evaluate
from loadflow.engine.markup import query as looking
from loadflow.engine.markup.evaluate import evaluated, text_of_node
from loadflow.engine.markup.query import Query, is_xml, page_of, query_of
from loadflow.engine.markup.reading import read_xml
from loadflow.engine.markup.trouble import MarkupError, TooLarge
from loadflow.engine.markup.xpath import parsed_xpath
from tests.generator.rules import EXAMPLES, the_core

rules = settings(max_examples=2 * EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@pytest.fixture(scope="module", autouse=True)
def core() -> Any:
    return the_core()


def found(read: Any, text: str, xml: bool, query: Query) -> object:
    try:
        return read(text, xml, lambda: None).find(query)
    except MarkupError:
        return "not XML"


def both(text: str, query: Query, *, xml: bool = False) -> object:
    """What is found, by the core and without it."""
    one, other = (found(read, text, xml, query) for read in (looking._core_page, looking._own_page))
    assert one == other and isinstance(one, bool) is isinstance(other, bool), (text, query.text)
    return one


def css(selector: str, attribute: str | None = None) -> Query:
    return query_of({"selector": selector, "attribute": attribute})


def xpath(expression: str, **namespaces: str) -> Query:
    return query_of({"expression": expression, "namespaces": namespaces})


PAGE = """<!DOCTYPE html><title>Log in &amp; go</title>
<form id=login class="narrow  main"><input name=csrf value='a"b'><input NAME="user" disabled>
<p>One <b>bold</b> word<p>Two</form>
<ul><li class=x>1<li data-n=7>2<li>3</ul><table><tr><td>cell<tr><td>last</table>"""
LOOKS: list[tuple[Query, object]] = [
    (css("form#login input[name=csrf]", "value"), 'a"b'),
    (css("input:not([name=csrf])", "disabled"), ""),
    (css("input[name=user]", "value"), MISSING),
    (css("title"), "Log in & go"),
    (css("p"), "One bold word"),
    (css(".main > p + p"), "Two"),
    (css("li:nth-child(2)", "DATA-N"), "7"),
    (css("li:last-child, title"), "Log in & go"),
    (css("li:nth-of-type(2n+3)"), "3"),
    (css("ul:has(li.x) li"), "1"),
    (css("FORM P"), "One bold word"),
    (css("[class~=narrow]", "id"), "login"),
    (css("[name^=cs]", "name"), "csrf"),
    (css("h1"), MISSING),
    (css("table td"), "cell"),
    (xpath("//input[@name='csrf']/@value"), 'a"b'),
    (xpath("count(//li)"), 3),
    (xpath("count(//li) div 2"), 1.5),
    (xpath("//li[last()]"), "3"),
    (xpath("//table/tbody/tr[2]/td"), "last"),
    (xpath("string(//nothing)"), ""),
    (xpath("//nothing"), MISSING),
    (xpath("number('x')"), MISSING),
    (xpath("boolean(//form)"), True),
    (xpath("normalize-space(//p[1])"), "One bold word"),
    (xpath("(//li)[2]/preceding-sibling::li/@class"), "x"),
    (xpath("//b/ancestor::form/@id"), "login"),
    (xpath("concat(name(//form), '-', substring-after(//form/@class, 'w'))"), "form-  main"),
]


@pytest.mark.parametrize(("query", "wanted"), LOOKS, ids=[f"{query.text} {query.attribute or ''}" for query, _ in LOOKS])
def test_a_page_holds(query: Query, wanted: object) -> None:
    value = both(PAGE, query)
    assert value == wanted and type(value) is type(wanted)


SOAP = """<?xml version="1.0"?><s:Envelope xmlns:s="urn:soap" xmlns="urn:shop"><s:Body a="1" s:b='2'>
<order id="7"><total>1<!-- -->2&lt;<![CDATA[<3]]>&#33;</total></order></s:Body></s:Envelope>"""


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (xpath("//e:Body/@e:b", e="urn:soap"), "2"),
        (xpath("//e:Body/@a", e="urn:soap"), "1"),
        (xpath("//total"), MISSING),
        (xpath("//x:order[@id > 6]/x:total", x="urn:shop"), "12<<3!"),
        (xpath("//*[local-name() = 'order']/@id"), "7"),
        (xpath("name(/*/*)"), "s:Body"),
        (xpath("namespace-uri(//@e:b)", e="urn:soap"), "urn:soap"),
        (xpath("count(//x:*)", x="urn:shop"), 2),
        (css("order total"), "12<<3!"),
        (css("order", "id"), "7"),
    ],
)
def test_xml_has_namespaces(query: Query, wanted: object) -> None:
    assert both(SOAP, query, xml=True) == wanted


NOT_XML = [
    "",
    "a",
    "<a>",
    "<a/><b/>",
    "<a/>b",
    "<a b=1/>",
    "<a b='1' b='2'/>",
    "<a b='1'c='2'/>",
    "<a>&b;</a>",
    "<a>&#0;</a>",
    "<a>]]></a>",
    "<x:a/>",
    "<a b='<'/>",
    "<a></b>",
    "<a xmlns:b=''/>",
    "<1/>",
    "<a><!-- -- --></a>",
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "<a>\x01</a>",
    " <?xml version='1.0'?><a/>",
    "<a>&amp</a>",
    "<a b='&'/>",
    "<a x:b='1' xmlns:x='u' y:b='1' xmlns:y='u'/>",
    "<a:b:c xmlns:a='u'/>",
]


@pytest.mark.parametrize("text", NOT_XML)
def test_what_is_no_xml_is_refused_alike(text: str) -> None:
    assert both(text, xpath("/*"), xml=True) == "not XML"


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE a SYSTEM 'b'><a>c</a>", "\ufeff<a>c</a>", "<?xml version='1.0' encoding='latin-1'?><a>c</a>\r\n"]
)
def test_what_is_xml_all_the_same(text: str) -> None:
    assert page_of(text, "text/xml").find(xpath("/a")) == "c"
    assert both(text.removeprefix("\ufeff"), xpath("/a"), xml=True) == "c"


def test_which_of_them_a_body_is() -> None:
    told = {"application/atom+xml": True, "text/xml": True, "text/html": False, "": False, "application/json": False}
    assert {kind: is_xml(kind, "<a/>") for kind in told} == told
    assert is_xml("", "\ufeff <?xml ?><a/>")


# --- whatever there may be

names = st.sampled_from(["a", "b", "c"])
words = st.sampled_from(["", "x", " y ", "12", "-1.5", "é", "&amp;", "x y"])
attributes = st.dictionaries(st.sampled_from(["id", "class", "n"]), words, max_size=2)


@st.composite
def element(draw: Any, depth: int = 0) -> str:
    name, given = draw(names), draw(attributes)
    inner = draw(st.lists(words | element(depth + 1), max_size=3)) if depth < 4 else [draw(words)]
    fields = "".join(f' {key}="{value}"' for key, value in given.items())
    return f"<{name}{fields}>{''.join(inner)}</{name}>"


axes = st.sampled_from(
    [f"{axis}::" for axis in ("child", "descendant", "self", "parent", "ancestor", "following-sibling", "preceding-sibling")]
    + ["", "", "", "following::", "preceding::", "ancestor-or-self::", "descendant-or-self::"]
)
tests = st.sampled_from(["a", "b", "c", "*", "node()", "text()"])
step = st.builds("{}{}".format, axes, tests) | st.sampled_from(["@id", "@*", "..", "."])
literal = st.sampled_from(["'x'", "1", "2", "'12'", "-1.5", "0.5", "''"])


def expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    path = st.builds(
        lambda begin, steps: begin + "".join(steps).lstrip("/"),
        st.sampled_from(["", "/", "//"]),
        st.lists(
            st.builds(lambda slash, one, keep: f"{slash}{one}{keep}", st.sampled_from(["/", "//"]), step_with(inner), st.just("")),
            min_size=1,
            max_size=3,
        ),
    )
    call = (
        st.builds(
            "{}({})".format,
            st.sampled_from(["string", "number", "not", "boolean", "normalize-space", "string-length", "round", "floor", "ceiling"]),
            inner,
        )
        | st.builds(
            "{}({}, {})".format, st.sampled_from(["contains", "starts-with", "substring-before", "substring-after", "concat"]), inner, inner
        )
        | st.builds("{}({})".format, st.sampled_from(["count", "sum", "name", "local-name"]), path)
        | st.builds("substring({}, {}, {})".format, inner, inner, inner)
        | st.builds("translate({}, 'x1', 'y')".format, inner)
    )
    sign = st.sampled_from([" or ", " and ", " = ", " != ", " < ", " <= ", " > ", " >= ", " + ", " - ", " * ", " div ", " mod "])
    return (
        path
        | call
        | st.builds("({}){}({})".format, inner, sign, inner)
        | st.builds("{} | {}".format, path, path)
        | st.builds("({})[{}]".format, path, inner)
    )


def step_with(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keep = st.lists(inner | st.sampled_from(["1", "last()", "position() > 1", "2"]), max_size=2)
    plain = st.sampled_from(["..", "."])
    return plain | st.builds(lambda one, tests: one + ("" if one in ("..", ".") else "".join(f"[{test}]" for test in tests)), step, keep)


expression = st.recursive(literal | st.sampled_from(["a", "//b", "@id", "position()", "last()", "true()"]), expressions, max_leaves=6)


def plain(value: Any) -> Any:
    """A value of lxml's as one of ours."""
    if isinstance(value, list):
        return [str(one) if isinstance(one, str) else "".join(one.itertext()) for one in value]
    return value


@rules
@given(element(), expression)
@example("<a>x<b/>y</a>", "//b/preceding::node()")
@example("<a><b/><b/><b/></a>", "//b[2]/preceding-sibling::*[1] | //b[position() = last()]")
@example("<a n='5'/>", "round(-//a/@n div 2)")
@example("<a/>", "- - 3")
@example("<a/>", "5 mod -3 - -5 mod 3")
@example("<a><a><a>x</a></a></a>", "//a//a[1]")
def test_xpath_means_what_it_means_to_lxml(text: str, asked: str) -> None:
    tree = etree.fromstring(text)
    try:
        wanted = plain(etree.XPath(asked)(tree.getroottree()))
    except etree.XPathError:
        wanted = None
    try:
        program = parsed_xpath(asked)
    except ValueError:
        assert wanted is None, asked
        return
    if wanted is None:
        return
    document = read_xml(text, lambda: None)
    value = evaluated(program, document, at=(1, 0))  # as lxml begins, at the root
    if isinstance(value, list):
        if "/" not in wanted:  # the document itself has no text in lxml
            assert [text_of_node(document, one) for one in value if one != (0, 0)] == wanted, asked
    elif isinstance(value, float) and math.isnan(value):
        assert math.isnan(wanted), asked
    else:
        assert value == wanted and isinstance(value, bool) is isinstance(wanted, bool), asked


@rules
@given(element(), expression)
def test_the_core_evaluates_the_same(text: str, asked: str) -> None:
    try:
        query = query_of({"expression": asked})
    except ValueError:
        return
    both(text, query, xml=True)
    both(text, query)


tag = st.sampled_from(
    ["div", "p", "b", "i", "a", "ul", "li", "table", "tr", "td", "span", "form", "input", "br", "h1", "title", "em", "body", "html", "head"]
)
piece = (
    st.builds("<{}>".format, tag)
    | st.builds("</{}>".format, tag)
    | st.builds('<{} class="x" id={}>'.format, tag, st.integers(0, 9))
    | st.sampled_from(
        [
            "text",
            " ",
            "&amp;",
            "&lt",
            "&#x41;",
            "&nosuch;",
            "<",
            "<!-- c -->",
            "<!x>",
            "</",
            "<a href='x",
            "'>",
            "<p/>",
            "<br/>",
            "\x00",
            "\r\n",
        ]
    )
)
selector = st.lists(
    st.sampled_from(
        ["div", "p", "b", "li", ".x", "#3", "*", ":first-child", "p > b", "td + td", "div ~ p", "[id]", "[id='3']", "span:not(.x)"]
    ).map(lambda one: one.replace("#3", "[id='3']")),
    min_size=1,
    max_size=2,
).map(" ".join)


@rules
@given(st.lists(piece, max_size=25).map("".join), selector, st.sampled_from([None, "id"]))
def test_broken_html_is_read_alike(text: str, asked: str, attribute: str | None) -> None:
    try:
        query = css(asked, attribute)
    except ValueError:
        return
    both(text, query)
    both(text, xpath("string(/)"))
    both(text, xpath("count(//*)"))


# --- what costs

HOSTILE = {
    "tags without end": "<div>" * 300_000,
    "formats that are opened anew": "".join(f"<b x={n}>" for n in range(2_000)) + "<p>x" * 20_000,
    "attributes without end": "<a " + " ".join(f"a{n}" for n in range(300_000)) + ">",
    "tables in tables": "<table><tr><td>" * 60_000,
    "text in a table": "<table>" + "x<b>" * 100_000,
    "ends of nothing": "</p>" * 500_000,
    "half of a tag": "<" * 2_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_has_its_end(name: str) -> None:
    begun_s = time.thread_time()
    with contextlib.suppress(TooLarge):
        looking._core_page(HOSTILE[name], False, lambda: None).find(css("td b p"))
    assert time.thread_time() - begun_s < 20  # without bounds some of them take hours


def test_a_look_at_too_much_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our own, which takes many seconds for so many, with a lower limit."""
    page = "<a>" + "<b/>" * 20_000 + "</a>"
    too_much = xpath("//b[//b = preceding::b]")
    with pytest.raises(TooLarge, match="over 10,000,000 nodes of the body are looked at by"):
        looking._core_page(page, True, lambda: None).find(too_much)
    assert evaluate.MOST_VISITS == 10_000_000
    monkeypatch.setattr(evaluate, "MOST_VISITS", 500_000)
    monkeypatch.setattr(looking, "MOST_VISITS", 500_000)
    with pytest.raises(TooLarge, match="over 500,000 nodes of the body are looked at by"):
        looking._own_page(page, True, lambda: None).find(too_much)
    xml = "<a>" + "<b/>" * 100_001 + "</a>"
    for read in (looking._core_page, looking._own_page):
        with pytest.raises(TooLarge, match="has over 100,000 elements"):
            read(xml, True, lambda: None)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"expression": "//a["}, "has its end where a name should be"),
    ({"expression": "//a[$x]"}, "asks for a variable"),
    ({"expression": "nosuch(1)"}, "no function of XPath 1.0"),
    ({"expression": "id('x')"}, "is not taken"),
    ({"expression": "//x:a"}, "the prefix x"),
    ({"expression": "a/'b'"}, "where a name should be"),
    ({"expression": "1 | 2"}, "what is no path"),
    ({"expression": "(" * 200 + "1" + ")" * 200}, "deeper than"),
    ({"expression": "-" * 4000}, "has its end where"),
    ({"selector": "a["}, "not a selector"),
    ({"selector": "a::text"}, "pseudo-element"),
    ({"selector": "svg|a"}, "prefix of a namespace"),
    ({"selector": "a:hover(x)"}, "not a selector"),
]


@pytest.mark.parametrize(("entry", "words"), REFUSED)
def test_what_is_no_expression_says_why(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        query_of(entry)
