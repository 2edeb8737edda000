"""Values in a text of any form: in scripts of a page, in URLs inside of JSON, in attributes; each recognised by the name before it.

The name and the signs up to the value make the pattern: `token: "`, `"nonce":"`, `&quot;id&quot;:&quot;`, `code=`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from loadflow.engine.recording.dynamic import is_strong
from loadflow.engine.recording.found_value import Found, tried

__all__ = ["found_in_text"]

MOST_PLACES = 3  # of one value in one text: each pattern is tried on the whole of it
LONGEST_BEFORE = 100
_TOKEN = re.compile(r"[\w.~+%-]{6,}", re.ASCII)
_QUOTED = (re.compile(r'"([^"\\\s]{3,4096})"'), re.compile(r"'([^'\\\s]{3,4096})'"))
# a name, and what stands between it and its value: quotes, also escaped ones, entities, signs
_NAMED = re.compile(r"""(?<![\w.-])([A-Za-z_$][\w.$-]{0,63})((?:\\?["']|&\#?\w{2,6};|[\s:=(,\[{?]){1,20})$""", re.ASCII)
# attributes, which many tags have, and words that say nothing
_ANY_TAGS = frozenset({"value", "content", "href", "src", "action", "id", "class", "name", "data", "type", "var", "let", "const", "return"})
_STOP = "\"'&<>\\s,;)}\\\\"


def found_in_text(text: str, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """Each wanted value that is in the text, once."""
    there = set(wanted).intersection(_TOKEN.findall(text))
    for quoted in _QUOTED:
        there.update(value for value in quoted.findall(text) if value in wanted)
    for value in there:
        yield value, _found(text, position, value)


def _found(text: str, position: int, value: str) -> Found:
    start = -1
    for _ in range(MOST_PLACES):
        start = text.find(value, start + 1)
        if start < 0:
            break
        named = _NAMED.search(text, max(0, start - LONGEST_BEFORE), start)
        if named is None or named[1].lower() in _ANY_TAGS or is_strong(named[1]):
            continue
        end = text[start + len(value) : start + len(value) + 1]
        until = re.escape(end) if end in ('"', "'") and text[start - 1 : start] == end else _STOP
        pattern = f"(?:^|[^\\w.-]){re.escape(named[1])}{_loose(named[2])}([^{until}]+)"
        extract = tried({"from": "regex", "pattern": pattern}, text, value)
        if extract is not None:
            return Found(position, "text", named[1], extract)
    return Found(position, "text", "")


def _loose(signs: str) -> str:
    """The signs as a pattern that does not count blanks."""
    return r"\s*".join(re.escape(part) for part in re.split(r"\s+", signs))
