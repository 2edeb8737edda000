"""Why a server did not take what it was sent, in two kinds: it may later, or it never will. No text has a secret in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

__all__ = ["Refused", "Unreachable", "trouble_of", "unreachable", "without_user"]

TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
LONGEST_REASON = 500


class Unreachable(Exception):
    """The server is away or busy: the same things may be taken later. `wait_s`: when it asked to be left alone for a time."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Refused(Exception):
    """The server has no use for these things, now or later. `lost`: how many; None: all."""

    def __init__(self, text: str, lost: int | None = None) -> None:
        super().__init__(text)
        self.lost = lost


def trouble_of(where: str, status: int, headers: Mapping[str, str], body: str) -> Unreachable | Refused:
    """What an answer other than success means for the data that was sent."""
    reason = re.sub(r"\s+", " ", body)[:LONGEST_REASON].strip()
    text = f"{where} answered with status {status}" + (f": {reason}" if reason else "")
    if status in TEMPORARY:
        wait = headers.get("Retry-After", "")
        return Unreachable(text, float(wait) if wait.isdigit() else 0.0)
    return Refused(text)


def unreachable(where: str, error: BaseException) -> Unreachable:
    """In few words: those of libraries have addresses in memory in them, which differ each time."""
    cause = error
    while (inner := cause.__cause__ or cause.__context__ or getattr(cause, "reason", None)) and isinstance(inner, BaseException):
        cause = inner
    return Unreachable(f"{where} can't be reached ({getattr(cause, 'strerror', None) or type(cause).__name__})")


def without_user(url: str) -> tuple[str, str, str]:
    """The URL without user and password, the same without its query too, and `user:password`, or ""."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=host)
    return urlunsplit(bare), urlunsplit(bare._replace(query="", fragment="")), unquote(user)
