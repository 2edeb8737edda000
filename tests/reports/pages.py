"""Reads a report as a browser would: tags must balance, and what it shows is found by place."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Page", "read_page"]

VOID = {"meta", "link", "br", "hr", "img", "input"}
SELF_CLOSING = {"line", "path", "rect", "circle"}  # of SVG, written with a slash


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    parent: Element | None
    text: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return "".join(self.text)


class Page(HTMLParser):
    """All elements in order, each with the text of everything inside it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert tag not in SELF_CLOSING, f"<{tag}> is not closed"
        element = Element(tag, dict(attrs), self._open[-1] if self._open else None)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SELF_CLOSING, f"<{tag}/> means <{tag}> in HTML"
        self.elements.append(Element(tag, dict(attrs), self._open[-1]))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text.append(data)

    def close(self) -> None:
        super().close()
        assert not self._open, f"<{self._open[-1].tag}> is never closed"

    def all(self, tag: str, css: str = "") -> list[Element]:
        return [one for one in self.elements if one.tag == tag and (not css or css in (one.attributes.get("class") or "").split())]

    def one(self, tag: str, css: str = "") -> Element:
        (found,) = self.all(tag, css)
        return found


def read_page(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page
