"""A number with its noun, for every message that counts something: "1 hit", "2 hits", "1,234 retries"."""

from __future__ import annotations

__all__ = ["a", "counted", "noun_for"]


def noun_for(count: int, one: str, many: str = "") -> str:
    """`one` for exactly 1, else `many`. Without `many` the plural is made from the last word of `one`.

    >>> [noun_for(count, "pass") for count in (0, 1, 2)]
    ['passes', 'pass', 'passes']
    >>> noun_for(2, "retry"), noun_for(2, "more key"), noun_for(2, "hit was", "hits were")
    ('retries', 'more keys', 'hits were')
    """
    if count == 1:
        return one
    if many:
        return many
    if one.endswith(("s", "x", "ch", "sh")):
        return f"{one}es"
    if one.endswith("y") and one[-2:-1] not in "aeiou":
        return f"{one[:-1]}ies"
    return f"{one}s"


def counted(count: int, one: str, many: str = "") -> str:
    """`count` with commas, and its noun as `noun_for` gives it.

    >>> counted(1, "user"), counted(1234, "user"), counted(1, "user has", "users have")
    ('1 user', '1,234 users', '1 user has')
    """
    return f"{count:,} {noun_for(count, one, many)}"


def a(noun: str) -> str:
    """The noun with its article, by its first letters.

    >>> a("key"), a("HTTP method"), a("user type"), a("Enum")
    ('a key', 'an HTTP method', 'a user type', 'an Enum')
    """
    is_an = noun.startswith((*"aeiouAEIOU", "HTTP")) and not noun.lower().startswith(("us", "uni"))
    return f"{'an' if is_an else 'a'} {noun}"
