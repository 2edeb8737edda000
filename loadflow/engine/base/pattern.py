"""Patterns that scripts may hold: RE2's, whose time depends only on the length of the text, never on its content."""

from __future__ import annotations

import re
from functools import lru_cache

import re2

__all__ = ["Pattern", "compile_pattern"]

LONGEST = 4_000  # characters of a pattern
MEMORY_BYTES = 8 << 20  # RE2 refuses what compiles to more
# what Python's own `re` supports and RE2 does not, because no linear-time method is known
_UNTAKEN = (
    (re.compile(r"\(\?<?[=!]"), "look-ahead and look-behind are not taken"),
    (re.compile(r"\\[1-9]|\\k<|\(\?P="), "back-references are not taken"),
    (re.compile(r"\(\?>|[*+?}]\+"), "possessive and atomic groups are not taken"),
    (re.compile(r"\\Z"), r"\Z is not taken: write \z"),
)


class Pattern:
    """A compiled pattern. `groups` is how many groups in brackets it has."""

    __slots__ = ("_compiled", "groups")

    def __init__(self, compiled: re2._Regexp) -> None:
        self._compiled = compiled
        self.groups: int = compiled.groups

    def find(self, text: str, group: int = 0) -> str | None:
        """What the group holds in the first match; None where nothing matches, or the match leaves the group out."""
        # as bytes: positions in a str would be counted from its start, and half a surrogate pair can't be encoded
        match = self._compiled.search(text.encode("utf-8", "replace"))
        found = None if match is None else match.group(group)
        return None if found is None else found.decode("utf-8", "replace")

    def is_in(self, text: str) -> bool:
        return self._compiled.search(text.encode("utf-8", "replace")) is not None


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Pattern:
    """Raises ValueError, with a text for the author, if it is not a pattern.

    >>> compile_pattern('id="([0-9]+)"').find('<a id="17">', 1)
    '17'
    """
    if len(pattern) > LONGEST:
        raise ValueError(f"is longer than {LONGEST:,} characters")
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.log_errors = False
    try:
        return Pattern(re2.compile(pattern.encode(), options))
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    except re2.error as error:
        why = error.args[0] if error.args else "it can't be compiled"
        words = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        known = next((said for shape, said in _UNTAKEN if shape.search(pattern)), "")
        raise ValueError(f"is not a pattern that RE2 takes: {words}{f'; {known}' if known else ''}") from None
