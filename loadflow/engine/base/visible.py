"""Text of others for people's eyes: nothing in it steers a terminal, hides, or turns the line around."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["VisibleFormatter", "visible", "visible_json"]

UNKNOWN = "\ufffd"
C0 = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}  # control pictures
# C1; marks, embeddings, overrides and isolates of writing directions (UAX 9); other line ends; what has no width; halves of pairs
OTHERS = (*range(0x80, 0xA0), 0x61C, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB)
STEERING = C0 | dict.fromkeys((*OTHERS, *range(0xD800, 0xE000)), UNKNOWN)
BUT_LINES = {code: sign for code, sign in STEERING.items() if chr(code) not in "\n\t"}
IN_JSON = {code: f"\\u{code:04x}" for code in BUT_LINES}


def visible(text: str, *, lines: bool = False) -> str:
    """`text`, as long as it was, with each character that steers as a sign of it. `lines`: line feeds and tabs stay.

    >>> visible("OK\\x1b[2J\\nverdict: passed")
    'OK␛[2J␊verdict: passed'
    """
    return text.translate(BUT_LINES if lines else STEERING)


def visible_json(text: str) -> str:
    """JSON text that means the same: what JSON lets stand of such characters is escaped.

    >>> print(visible_json('{"name": "a\u202eb"}'))
    {"name": "a\\u202eb"}
    """
    return text.translate(IN_JSON)


class VisibleFormatter(logging.Formatter):
    """Of handlers that write to a terminal: a message is one line, whatever a peer put into it; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return visible(super().formatException(ei), lines=True)
