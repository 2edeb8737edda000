"""Text of others on a Markdown page."""

from __future__ import annotations

import re

from loadflow.engine.reports.bounds import clip

__all__ = ["safe"]


def safe(text: str, characters: int) -> str:
    """Text of a target or an author as plain words of one table cell: no markup, no new line, bounded.

    >>> safe("a | *b*", 100)
    'a \\\\| \\\\*b\\\\*'
    """
    one_line = clip(" ".join(text.split()), characters)
    return re.sub(r"([\\`*_{}\[\]<>#|~!&$])", r"\\\1", one_line)
