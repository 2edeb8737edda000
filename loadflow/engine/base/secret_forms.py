"""How a secret may stand in a text where no escape can be undone to find it: in Base64 at any of three offsets, and in hex."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, quote_plus

__all__ = ["SHORTEST", "Form", "forms_of"]

SHORTEST_NUMBER = 6  # digits: shorter ones are counts and statuses
SHORTEST = 4  # characters: masking every "1" or "abc" would shred the texts and hide nothing

LONGEST_KEPT = 200  # characters
KEPT = 256  # values whose forms are kept: those of one with 40 characters take 22 kB


@dataclass(frozen=True, slots=True)
class Form:
    """`beside`: how many characters before and behind it hold bits of the secret too, which differ by what stands there."""

    text: str
    beside: int = 0


def forms_of(value: object) -> tuple[Form, ...]:
    """What to look for in a text, and in the views of it, to find `value`. () if it is not a secret.

    >>> [form.text for form in forms_of("s3cret")][:5]
    ['s3cret', 'czNjcmV0', 'MzY3Jld', 'zM2NyZX', '733363726574']
    """
    # a long one is as long in each of its forms: thousands of them are not kept
    return _forms_of.__wrapped__(value) if isinstance(value, str) and len(value) > LONGEST_KEPT else _forms_of(value)


@lru_cache(maxsize=KEPT)
def _forms_of(value: object) -> tuple[Form, ...]:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ()
    text = str(value)
    if len(text) < (SHORTEST if isinstance(value, str) else SHORTEST_NUMBER) or "${" in text:
        return ()
    forms = [Form(text), Form(text.replace(" ", "+"))]  # a form writes spaces so
    for written in _written(text):
        forms += _coded(written)
    for once in _coded(text):
        forms += [Form(twice.text, once.beside + twice.beside) for twice in _coded(once.text)]
    return tuple({form.text: form for form in reversed(forms)}.values())[::-1]


def _written(text: str) -> dict[str, None]:
    """`text`, and as it may have been escaped before it was coded: by the usual writers, which escape no more than they must."""
    quoted = (quote(text, safe="", errors="replace"), quote(text, errors="replace"), quote_plus(text, errors="replace"))
    dumped = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    escaped = (html.escape(text), html.escape(text, quote=False))
    return dict.fromkeys(
        (
            text,
            *quoted,
            *(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), one) for one in quoted),
            *dumped,
            *(one.replace("/", "\\/") for one in dumped),
            re.sub("[&<>]", lambda match: f"\\u{ord(match[0]):04x}", dumped[0]),
            re.sub("[&<>/'+=]", lambda match: f"\\u{ord(match[0]):04x}", dumped[0]),
            re.sub("[&<>/'+=]", lambda match: f"\\u{ord(match[0]):04X}", dumped[0]),
            *escaped,
            *(one.replace("/", "&#x2F;") for one in escaped),
            *("".join(one if one.isalnum() else f"&#x{ord(one):{case}};" for one in text) for case in "xX"),
            "".join(one if one.isalnum() else f"&#{ord(one)};" for one in text),
            repr(text)[1:-1],
        )
    )


def _coded(text: str) -> Iterator[Form]:
    raw = text.encode("utf-8", "surrogatepass")
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + raw).decode()
        first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6  # the characters that hold bits of the secret alone
        form = Form(coded[first:last], 1 if offset or last * 6 != (offset + len(raw)) * 8 else 0)
        yield form
        if "+" in form.text or "/" in form.text:
            yield Form(form.text.replace("+", "-").replace("/", "_"), form.beside)
    yield Form(raw.hex())
    yield Form(raw.hex().upper())
