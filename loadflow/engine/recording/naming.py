"""Which values look generated, and the names of steps: few, so that a report has a row for each page and not for each hit."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

__all__ = ["identifier", "looks_generated", "step_name"]

UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
HEX = re.compile(r"(?=.*[0-9])[0-9a-f]{8,}", re.IGNORECASE)
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~+/=:|-]{7,}")
DATE = re.compile(r"\d{4}-\d{2}(-\d{2}.*)?")
ID_PLACE = "{id}"
LONGEST_NAME = 120
_DISTINCT = 6  # characters; "aaaaaaa1" is a filler


def looks_generated(value: str) -> bool:
    """Whether a server made the value up, so that it will be another one in the next run.

    >>> [looks_generated(text) for text in ("f3a9c1d27b", "48213377", "checkout", "2024-05-01T10:00:00Z", "application/json")]
    [True, True, False, False, False]
    """
    if value.isascii() and value.isdigit():
        return len(value) >= 6
    if UUID.fullmatch(value) or HEX.fullmatch(value):
        return True
    if not TOKEN.fullmatch(value) or DATE.fullmatch(value) or len(set(value)) < _DISTINCT or "://" in value:
        return False
    digits, letters = sum(one.isdigit() for one in value), sum(one.isalpha() for one in value)
    mixed = re.search(r"[a-z][A-Z]", value) is not None and len(value) >= 16
    return (digits >= 2 and letters >= 2 and not re.fullmatch(r"\D+[/-]?v?\d+([.-]\d+)*", value)) or (
        mixed and letters >= 10 and "/" not in value
    )


def step_name(url: str, home: str, varying: Collection[str] = ()) -> str:
    """The path of `url`, segments that differ from run to run as `{id}`; with its host when that is not `home`.

    `varying` are further values to hide, those that a step sends from a variable.

    >>> step_name("https://shop.example/orders/48213/items?page=2", "shop.example")
    '/orders/{id}/items'
    """
    parts = urlsplit(url)
    segments = [_segment(one, varying) for one in parts.path.split("/")]
    path = "/".join(segments)[:LONGEST_NAME] or "/"
    return path if parts.netloc == home else f"{parts.netloc}{path}"


def _segment(segment: str, varying: Collection[str]) -> str:
    plain = unquote(segment)
    is_id = (plain.isascii() and plain.isdigit()) or plain in varying or looks_generated(plain) or "${" in plain
    return ID_PLACE if is_id else segment


def identifier(text: str, taken: Collection[str], *, upper: bool = False) -> str:
    """A name for a variable made of `text`, unlike those `taken`.

    >>> identifier("X-CSRF-Token", {"x_csrf_token"})
    'x_csrf_token_2'
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").lower()[:40] or "value"
    name = f"value_{name}" if name[0].isdigit() else name
    name = name.upper() if upper else name
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
