"""Documents of HTML and XML where the core is not built: HTML as browsers read it, by tinyhtml5, and XML by Python's own expat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers import expat

from loadflow.engine.markup.document import Attribute, Builder, Document
from loadflow.engine.markup.trouble import MOST_NODES, MarkupError, too_many

__all__ = ["read_html", "read_xml"]

BETWEEN = "\n"  # in names as expat gives them, which hold none
FOREIGN = {
    "http://www.w3.org/1999/xlink": "xlink",
    "http://www.w3.org/XML/1998/namespace": "xml",
    "http://www.w3.org/2000/xmlns/": "xmlns",
}  # https://html.spec.whatwg.org/multipage/parsing.html#adjust-foreign-attributes


def read_xml(text: str, check: Callable[[], None]) -> Document:
    """`check` is called now and then, and may raise. Raises MarkupError and TooLarge."""
    parser = expat.ParserCreate("utf-8", BETWEEN)
    parser.namespace_prefixes = True
    parser.ordered_attributes = True
    parser.buffer_text = True
    reader = _XmlReader(check)
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = lambda name: reader.builder.close()
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.SkippedEntityHandler = reader.entity
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise MarkupError(f"the body is not XML: {error}") from None
    return reader.builder.finish()


class _XmlReader:
    def __init__(self, check: Callable[[], None]) -> None:
        self.builder = Builder()
        self._attributes = 0
        self._check = check

    def begin(self, whole: str, given: list[str]) -> None:
        self._attributes += len(given) // 2
        self._counted()
        attributes = [(*_named(name), value) for name, value in zip(given[::2], given[1::2], strict=True)]
        self.builder.open(*_named(whole), attributes)

    def text(self, text: str) -> None:
        self.builder.text(text)
        self._counted()

    def doctype(self, name: str, system: str | None, public: str | None, declares: bool) -> None:
        if declares:
            raise MarkupError("the body is not XML: it declares a document type, which is not read")

    def entity(self, name: str, is_parameter: bool) -> None:
        raise MarkupError("the body is not XML: it has an entity that is not declared")

    def _counted(self) -> None:
        if len(self.builder.nodes) + self._attributes > MOST_NODES:
            raise too_many()
        if len(self.builder.nodes) % 1_000 == 0:
            self._check()


def _named(name: str) -> tuple[str, str, str]:
    parts = name.split(BETWEEN)
    if len(parts) == 1:
        return "", name, name
    return parts[0], parts[1], parts[1] if len(parts) == 2 else f"{parts[2]}:{parts[1]}"


def read_html(text: str, check: Callable[[], None]) -> Document:
    """`check` is called for each token, and may raise. Raises TooLarge."""
    from tinyhtml5.parser import HTMLParser
    from tinyhtml5.tokenizer import HTMLTokenizer

    class Tokens(HTMLTokenizer):  # type: ignore[misc]  # the library has no types
        def __iter__(self) -> Iterator[Any]:
            for count, token in enumerate(super().__iter__()):
                if count % 100 == 0:
                    check()
                yield token

    class Parser(HTMLParser):  # type: ignore[misc]
        def main_loop(self) -> None:
            self.tokenizer.__class__ = Tokens
            super().main_loop()

    root = Parser(namespace_html_elements=False).parse(text)
    builder, size = Builder(), 0
    pending: list[Any] = [root]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            builder.text(one)
            continue
        if one is None:
            builder.close()
            continue
        if isinstance(one.tag, str):
            size += 1 + len(one.attrib)
            name = one.tag.rpartition("}")[2]
            builder.open("", name, name, [_html_attribute(str(key), value) for key, value in one.attrib.items()])
            inner: list[Any] = [one.text or ""]
            for child in one:
                inner += [child, child.tail or ""]
            pending.append(None)
            pending.extend(reversed(inner))
        if len(builder.nodes) + size > 2 * MOST_NODES:
            raise too_many()
    return builder.finish()


def _html_attribute(key: str, value: str) -> Attribute:
    namespace, _, name = key.removeprefix("{").rpartition("}")
    whole = f"{FOREIGN[namespace]}:{name}" if namespace in FOREIGN else name
    return "", whole, whole, value
