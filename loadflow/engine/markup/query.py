"""What an extract looks for in HTML or XML: by a CSS selector or an expression of XPath, read once before the load.

Where the core is built it reads documents for both engines; where not, `document.py` and `evaluate.py` do, which are slower.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Protocol

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_path import MISSING
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.values import shown
from loadflow.engine.markup.evaluate import MOST_VISITS, TooMuch, Value, evaluated, text_of_node
from loadflow.engine.markup.selector import parsed_selector
from loadflow.engine.markup.trouble import MarkupError, TooLarge
from loadflow.engine.markup.xpath import Program, parsed_xpath

__all__ = ["Page", "Query", "is_xml", "nothing_at", "page_of", "query_of", "too_much"]


@dataclass(frozen=True)
class Query:
    """`html` and `xml`: what is looked for in either. `attribute`: of the first element that is found; None: its text, if `bare` without
    the blanks around it."""

    html: Program
    xml: Program
    attribute: str | None
    bare: bool
    text: str  # as the script has it

    def to_json(self) -> dict[str, Any]:
        return {"html": self.html, "xml": self.xml, "attribute": self.attribute, "bare": self.bare}


class Page(Protocol):
    """A document that was read."""

    def find(self, query: Query) -> object:
        """A text, number or truth value; MISSING where nothing is there. Raises TooLarge."""
        ...


def query_of(entry: Mapping[str, Any]) -> Query:
    """Of an extract from css or xpath, which was checked."""
    names = entry.get("namespaces") or {}
    return _query(entry.get("selector"), entry.get("expression"), entry.get("attribute"), tuple(sorted(names.items())))


@lru_cache(maxsize=512)
def _query(selector: str | None, expression: str | None, attribute: str | None, namespaces: tuple[tuple[str, str], ...]) -> Query:
    if selector is not None:
        return Query(*parsed_selector(selector), attribute, attribute is None, selector)
    assert expression is not None
    program = parsed_xpath(expression, dict(namespaces))
    return Query(program, program, None, False, expression)


def is_xml(content_type: str, text: str) -> bool:
    """By the media type; where that does not say it, by how the text begins.

    >>> is_xml("application/soap+xml; charset=utf-8", ""), is_xml("text/html", "<?xml"), is_xml("", " <?xml")
    (True, False, True)
    """
    kind = content_type.partition(";")[0].strip(" \t").lower()
    if kind.endswith(("/xml", "+xml")):
        return True
    return kind != "text/html" and text.lstrip("\ufeff \t\r\n").startswith("<?xml")


def page_of(text: str, content_type: str, check: Callable[[], None] = lambda: None) -> Page:
    """`check` is called now and then, and may raise. Raises MarkupError and TooLarge."""
    made = _core_page if find_spec("loadflow._native") is not None else _own_page
    return made(text.removeprefix("\ufeff"), is_xml(content_type, text), check)


def nothing_at(query: Query) -> str:
    return f"nothing in the body is at {shown(query.text)}"


class _CorePage:
    def __init__(self, page: Any) -> None:
        self._page = page

    def find(self, query: Query) -> object:
        try:
            found = self._page.find(_core_query(json.dumps(query.to_json())))
        except OverflowError:
            raise TooLarge(too_much(query.text)) from None
        return MISSING if found is None else read_json(found)


def _core_page(text: str, xml: bool, check: Callable[[], None]) -> Page:
    from loadflow import _native

    try:
        return _CorePage(_native.MarkupPage(text.encode("utf-8", "replace").decode(), xml))
    except ValueError as error:
        raise MarkupError(str(error)) from None
    except OverflowError as error:
        raise TooLarge(str(error)) from None


@lru_cache(maxsize=512)
def _core_query(text: str) -> Any:
    from loadflow import _native

    return _native.MarkupQuery(text)


def _own_page(text: str, xml: bool, check: Callable[[], None]) -> Page:
    from loadflow.engine.markup.reading import read_html, read_xml

    return _OwnPage((read_xml if xml else read_html)(text, check), xml, check)


class _OwnPage:
    def __init__(self, document: Any, xml: bool, check: Callable[[], None]) -> None:
        self._document = document
        self._xml = xml
        self._check = check

    def find(self, query: Query) -> object:
        try:
            found = evaluated(query.xml if self._xml else query.html, self._document, self._check)
        except TooMuch:
            raise TooLarge(too_much(query.text)) from None
        return self._taken(found, query)

    def _taken(self, found: Value, query: Query) -> object:
        if isinstance(found, float):
            return MISSING if not math.isfinite(found) else int(found) if found == int(found) and abs(found) < 2**53 else found
        if not isinstance(found, list):
            return found
        if not found:
            return MISSING
        if query.attribute is not None:
            attributes = self._document.nodes[found[0][0]].attributes
            wanted = query.attribute if self._xml else query.attribute.lower()
            return next((value for _, _, whole, value in attributes if whole == wanted), MISSING)
        text = text_of_node(self._document, found[0])
        return text.strip(" \t\r\n\f") if query.bare else text


def too_much(text: str) -> str:
    return f"over {counted(MOST_VISITS, 'node')} of the body are looked at by {shown(text)}"
