"""A document of HTML or XML as XPath sees it: its nodes in the order in which they begin, each with the number behind its last one below.

The core has the same: `native/src/markup/document.rs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Attribute", "Builder", "Document", "Element", "Node", "Text"]

Attribute = tuple[str, str, str, str]  # namespace, name, the name with its prefix, value


@dataclass(slots=True)
class Element:
    """The first node, without a name, is the document itself."""

    parent: int
    namespace: str
    name: str
    whole: str
    attributes: list[Attribute]
    end: int = 0


@dataclass(slots=True)
class Text:
    parent: int
    end: int
    text: str


Node = Element | Text


@dataclass(slots=True)
class Document:
    nodes: list[Node]


@dataclass(slots=True)
class Builder:
    """Puts a document together in its order."""

    nodes: list[Node] = field(default_factory=lambda: [Element(0, "", "", "", [])])
    opened: list[int] = field(default_factory=lambda: [0])

    def open(self, namespace: str, name: str, whole: str, attributes: list[Attribute]) -> None:
        self.nodes.append(Element(self.opened[-1], namespace, name, whole, attributes))
        self.opened.append(len(self.nodes) - 1)

    def text(self, text: str) -> None:
        """Texts that follow one another are one."""
        last = self.nodes[-1]
        if isinstance(last, Text) and last.parent == self.opened[-1]:
            last.text += text
        elif text:
            self.nodes.append(Text(self.opened[-1], len(self.nodes) + 1, text))

    def close(self) -> None:
        self.nodes[self.opened.pop()].end = len(self.nodes)

    def finish(self) -> Document:
        while self.opened:
            self.close()
        return Document(self.nodes)
