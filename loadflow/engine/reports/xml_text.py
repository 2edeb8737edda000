"""Any text as XML 1.0 text: what no XML document can hold becomes U+FFFD."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

__all__ = ["xml_attribute", "xml_comment", "xml_text"]

# https://www.w3.org/TR/xml/#charsets
IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Between tags. A carriage return is written as a reference, because a parser makes a line feed of a plain one.

    >>> xml_text("a < b & c")
    'a &lt; b &amp; c'
    """
    return escape(IMPOSSIBLE.sub("\ufffd", text), {"\r": "&#13;"})


def xml_attribute(text: str) -> str:
    """Between double quotes, where a parser makes spaces of plain tabs and line feeds."""
    return escape(IMPOSSIBLE.sub("\ufffd", text), {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def xml_comment(text: str) -> str:
    """Inside a comment, which can't hold two hyphens in a row.

    >>> xml_comment("a--b-")
    'a- -b- '
    """
    return re.sub("-(?=-|$)", "- ", IMPOSSIBLE.sub("\ufffd", text))
