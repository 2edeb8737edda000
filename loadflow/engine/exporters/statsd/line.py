"""StatsD's lines: `name:value|type`, and Datadog's tags behind them. Any text becomes one line and one name.

https://github.com/statsd/statsd/blob/master/docs/metric_types.md
https://docs.datadoghq.com/extend/dogstatsd/datagram_shell/
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

from loadflow.engine.records.names import printable

__all__ = ["counter", "gauge", "metric_word"]

LONGEST_WORD = 200  # characters of one part of a name, or of a tag's value
# what separates the parts of a line or of a name, and what servers take for something else in a path of folders
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_NOT_IN_TAG_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_NOT_IN_TAG_VALUES = re.compile("[,|#\x00-\x1f\x7f\x85\u2028\u2029]+")


def metric_word(text: str) -> str:
    """A text as one part of a metric's name.

    >>> metric_word("GET /cart/${id}?a=1")
    'GET_cart_id_a_1'
    """
    return _NOT_IN_NAMES.sub("_", text[:LONGEST_WORD]).strip("_") or "_"


def counter(name: str, value: int, tags: Mapping[str, str] | None = None) -> str:
    """Add to a counter.

    >>> counter("loadflow.hits", 3, {"name": "/a,b", "env": "ci"})
    'loadflow.hits:3|c|#name:/a_b,env:ci'
    """
    return _line(name, str(value), "c", tags)


def gauge(name: str, value: float, tags: Mapping[str, str] | None = None) -> str:
    """The value from now on; a number that is none, or below 0 (to StatsD a sign means a change), counts as 0.

    >>> gauge("loadflow.latency_ms", 12.5)
    'loadflow.latency_ms:12.5|g'
    """
    number = value if math.isfinite(value) and value > 0 else 0
    return _line(name, f"{number:.6f}".rstrip("0").rstrip("."), "g", tags)


def _line(name: str, value: str, kind: Literal["c", "g"], tags: Mapping[str, str] | None) -> str:
    words = ",".join(f"{_NOT_IN_TAG_NAMES.sub('_', key)}:{_tag_value(text)}" for key, text in (tags or {}).items() if text)
    return f"{name}:{value}|{kind}|#{words}" if words else f"{name}:{value}|{kind}"


def _tag_value(text: str) -> str:
    return _NOT_IN_TAG_VALUES.sub("_", printable(text[:LONGEST_WORD]))
