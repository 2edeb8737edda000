"""InfluxDB's line protocol, escaped so that any text is one line and one value for every server that reads it.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from loadflow.engine.records.names import printable

__all__ = ["TEXT_CAP", "line"]

TEXT_CAP = 512  # characters of a text field
# a line ends at a line feed, some servers also split at its kin; none of these says anything in a name
_CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
_SPECIAL = re.compile(r"([,= ])")
# A backslash before one of these would escape it, and servers differ in what two of them mean: such a one can't be written.
_BACKSLASHES = re.compile(r"\\+(?=[,= ]|$)|\\{2,}")
_QUOTED = re.compile(r'(["\\])')

Field = float | int | bool | str


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], unix_ms: int) -> str:
    r"""One point, with a time in nanoseconds. Tags without text and numbers that are none are left out; fields must not be empty then.

    >>> line("m", {"name": "/a b", "none": ""}, {"n": 2, "ok": True, "say": 'a "word"'}, 5)
    'm,name=/a\\ b n=2i,ok=true,say="a \\"word\\"" 5000000'
    """
    words = [_plain(measurement, "([, ])")]
    words += [f"{_tag(key)}={_tag(value)}" for key, value in sorted(tags.items()) if value]
    values = ",".join(f"{_tag(key)}={_value(value)}" for key, value in fields.items() if _is_there(value))
    return f"{','.join(words)} {values} {unix_ms * 1_000_000}"


def _tag(text: str) -> str:
    return _plain(text, _SPECIAL)


def _plain(text: str, special: str | re.Pattern[str]) -> str:
    """In tags nothing is quoted, so a slash stands for the backslashes that can't be written."""
    text = _CONTROLS.sub(" ", printable(text))
    return re.sub(special, r"\\\1", _BACKSLASHES.sub("/", text))


def _is_there(value: Field) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _value(value: Field) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    return f'"{_QUOTED.sub(_escaped, _CONTROLS.sub(" ", printable(value[:TEXT_CAP])))}"'


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"
