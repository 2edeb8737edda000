"""A text as its readers will read it: percent, HTML and backslash escapes undone, and for each part of it where it stood.

A secret that was escaped on its way, once or several times in whatever mixture, stands in one of these views as it is.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

__all__ = ["View", "views"]

DEPTH = 3  # escapes within escapes: JSON in JSON in a query. Each level reads each text of the one before once per kind of escape
LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "a": "\a", "0": "\0"}

Span = tuple[int, int]


def _of_bytes(sign: str) -> str:
    """One character in UTF-8, or one byte, each byte as two digits behind `sign`."""
    byte, more = sign + "[0-9a-f]{2}", sign + "[89ab][0-9a-f]"
    return f"{sign}[cd][0-9a-f]{more}|{sign}e[0-9a-f](?:{more}){{2}}|{sign}f[0-7](?:{more}){{3}}|{byte}"


def _byte_text(digits: str) -> str:
    raw = bytes.fromhex(digits)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _percent(match: re.Match[str]) -> str:
    return _byte_text(match[0].replace("%", ""))


def _entity(match: re.Match[str]) -> str:
    code = match[0].strip("&;")
    if code[0] != "#":
        return html.unescape(match[0])
    number = int(code[2:], 16) if code[1] in "xX" else int(code[1:])
    return chr(number) if number <= 0x10FFFF else match[0]


def _backslash(match: re.Match[str]) -> str:
    code = match[0][1:]
    if code[0] == "x" and len(code) > 1:
        return _byte_text(code.replace("\\", "").replace("x", ""))
    if code[0] in "uU" and len(code) > 1:
        if len(code) == 11:  # two halves of a pair
            return bytes.fromhex(code[1:5] + code[7:]).decode("utf-16-be", "replace")
        number = int(code[1:].strip("{}"), 16)
        return chr(number) if number <= 0x10FFFF else match[0]
    return LETTERS.get(code, code)


def _joined(_match: re.Match[str]) -> str:
    return ""


BYTES_IN_TEXT = _of_bytes(r"\\x")

# a sign without which a text has none; what an escape looks like; what it means
ESCAPES: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    ("%", re.compile(_of_bytes("%"), re.IGNORECASE), _percent),
    ("&", re.compile(r"&(?:#[0-9]{1,8}+|#x[0-9a-f]{1,8}+|[a-z][a-z0-9]{1,31}+);?", re.IGNORECASE), _entity),
    (
        "\\",
        re.compile(
            rf"\\ud[89ab][0-9a-f]{{2}} \\ud[c-f][0-9a-f]{{2}} | (?-i:\\U)[0-9a-f]{{8}} | \\u[0-9a-f]{{4}} | \\u\{{[0-9a-f]{{1,6}}\}}"
            rf"| {BYTES_IN_TEXT} | \\.",
            re.IGNORECASE | re.DOTALL | re.VERBOSE,
        ),
        _backslash,
    ),
    # Base64 in lines, as MIME and PEM have it
    ("\n", re.compile(r"(?<=[A-Za-z0-9+/]{60})\r?\n(?=[A-Za-z0-9+/])"), _joined),
)


class View:
    """`text`, and the place of each part of it in the text that it was made of.

    >>> [(view.text, view.source(3, 4)) for view in views("a=b&#x2F;c")][1:]
    [('a=b/c', (3, 9))]
    """

    __slots__ = ("_ends", "_of", "_sources", "_starts", "text")

    def __init__(self, text: str, of: View | None = None) -> None:
        self.text = text
        self._of = of
        # of each escape: where its meaning begins and ends in `text`, and where itself began and ended
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._sources: list[Span] = []

    def source(self, start: int, end: int) -> Span:
        """Where the characters from `start` to `end`, at least one, stood in the first text."""
        if self._of is None:
            return start, end
        return self._of.source(self._one(start)[0], self._one(end - 1)[1])

    def _one(self, at: int) -> Span:
        index = bisect_right(self._starts, at) - 1
        if index < 0:
            return at, at + 1
        if at < self._ends[index]:
            return self._sources[index]
        behind = self._sources[index][1] + at - self._ends[index]
        return behind, behind + 1

    def undone(self, pattern: re.Pattern[str], meaning: Callable[[re.Match[str]], str]) -> View:
        made = View("", self)
        parts: list[str] = []
        at = size = 0
        for match in pattern.finditer(self.text):
            means = meaning(match)
            if means == match[0]:
                continue
            start, end = match.span()
            parts += (self.text[at:start], means)
            size += start - at
            made._starts.append(size)
            size += len(means)
            made._ends.append(size)
            made._sources.append((start, end))
            at = end
        made.text = "".join((*parts, self.text[at:]))
        return made


def views(text: str) -> Iterator[View]:
    """`text` itself, then each text that undoing its escapes gives, each once."""
    level = [View(text)]
    seen = {text}
    yield level[0]
    for _ in range(DEPTH):
        made = []
        for view in level:
            for sign, pattern, meaning in ESCAPES:
                if sign not in view.text:
                    continue
                other = view.undone(pattern, meaning)
                if other.text not in seen:
                    seen.add(other.text)
                    made.append(other)
        yield from made
        level = made
