"""JSON of an answer, within bounds: the target decides what is in it, and a loop that parses one answer serves no other user."""

from __future__ import annotations

import gc
import json
import re
from itertools import accumulate
from typing import Any

from loadflow.engine.base.counted import counted
from loadflow.engine.protocols.running.charsets import json_text
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["BYTES_PER_VALUE", "MOST_LEVELS", "read_json"]

MOST_LEVELS = 500  # deeper JSON counts as none; Python's own bound moves with its release and with the stack
MOST_DIGITS = 4300  # of a whole number; longer ones are floats, and infinite
BYTES_PER_VALUE = 16  # of max_body_bytes per value that a body may contain; parsing a million values takes half a second
USUAL_BYTES = 16 * 2**20  # max_body_bytes where a plan says nothing else
MARKS = (b"[", b"{", b",", b":")  # each value but the first stands behind one
MANY_BYTES = 65_536  # Python's collector looks at each list and object of a growing tree again and again; it waits for large ones

_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def read_json(data: str | bytes | bytearray, most_bytes: int = USUAL_BYTES) -> Any:
    """Raises ValueError if `data` is not JSON or is nested too deeply; HitFailure if it has too many values.

    `most_bytes`: the plan's max_body_bytes, where the answer can be as large. The ValueError is a UnicodeDecodeError for bytes that are
    no Unicode.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    most_values = most_bytes // BYTES_PER_VALUE
    if len(raw) > most_values and sum(map(raw.count, MARKS)) > most_values:
        raise HitFailure(
            Outcome.TOO_LARGE,
            f"the JSON holds more than {counted(most_values, 'value')}, one for every {BYTES_PER_VALUE} bytes of max_body_bytes",
        )
    try:
        if len(raw) < MANY_BYTES:
            found = _parsed(data if isinstance(data, str) else json_text(data))
        else:
            found = _without_collector(data if isinstance(data, str) else json_text(data))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if len(raw) > MOST_LEVELS and raw.count(b"[") + raw.count(b"{") > MOST_LEVELS and _levels(raw) > MOST_LEVELS:
        raise ValueError("nested too deeply")
    return found


def _without_collector(text: str) -> object:
    was_on = gc.isenabled()
    gc.disable()
    try:
        return _parsed(text)
    finally:
        if was_on:
            gc.enable()


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a whole number of more digits than Python turns into one
        return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _levels(raw: bytes | bytearray) -> int:
    """How deeply whole JSON is nested. In UTF-16 and UTF-32 too: there zeros stand between, and go with all the rest."""
    if b"\\" in raw:
        raw = raw.replace(b"\0", b"").replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = re.sub(rb'"[^"]*"', b"", bytes(raw).translate(None, _NO_BRACKETS))
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
