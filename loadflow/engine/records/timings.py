"""Where a hit's time goes: when the first byte of its answer came, and what was before and behind it. The names are those of HAR files.

A hit looks a name up (`dns`), connects (`connect`, with the tunnel through a proxy), agrees on keys (`tls`), sends its request (`send`),
waits for the first byte of the answer (`wait`), and reads the rest (`receive`). The first three are there only where a connection was
made for the hit. Of a hit that followed redirects the first four are those of all its requests together, and the first byte is that of
the last answer, so that all of them together are the hit's service time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadflow.engine.records.outcome import HitFlag

if TYPE_CHECKING:  # it brings numpy; thresholds are parsed without it
    import numpy as np
    import numpy.typing as npt

    from loadflow.engine.records.hitlog import Rows

__all__ = ["EVENT_GAP", "FIRST_EVENT", "TIMINGS", "TTFB", "HitTimings", "timings_of"]

TTFB = "ttfb"  # from a hit's start to the first byte of its answer
FIRST_EVENT = "first_event"  # of a stream of events: from a hit's start to its first
EVENT_GAP = "event_gap"  # and from each to the next
TIMINGS = (TTFB, "dns", "connect", "tls", "send", "wait", "receive", FIRST_EVENT, EVENT_GAP)
NS_PER_MS = 1e6


@dataclass(slots=True)
class HitTimings:
    """Of one hit, while it is made. `first_byte_ns` is a time on the monotonic clock, 0 where no byte came; the others are lengths."""

    first_byte_ns: int = 0
    dns_ns: int = 0
    connect_ns: int = 0
    tls_ns: int = 0
    send_ns: int = 0
    agreed: str = ""  # version and cipher of TLS, where a connection was made


def timings_of(rows: Rows) -> Iterator[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.int64]]]:
    """Each of TIMINGS that some rows, of hits and of events, have: which rows those are, and its nanoseconds in each of them."""
    events = (rows["flags"] & HitFlag.EVENT) != 0
    if events.any():
        for name, has in ((FIRST_EVENT, events & (rows["status"] == 1)), (EVENT_GAP, events & (rows["status"] > 1))):
            if has.any():
                yield name, has, (rows["end_ns"] - rows["start_ns"])[has]
    first_ns = rows["first_byte_ns"]
    answered = first_ns > 0
    made = _is_set(rows, "connect_ms") | _is_set(rows, "dns_ms")
    connected = bool(made.any())
    if connected:
        yield "dns", made, _ns(rows["dns_ms"][made])
        for name in ("connect", "tls"):
            has = _is_set(rows, f"{name}_ms")
            if has.any():
                yield name, has, _ns(rows[f"{name}_ms"][has])
    if not answered.any():
        return
    if not answered.all():
        rows, first_ns = rows[answered], first_ns[answered]
    ttfb_ns = first_ns - rows["start_ns"]
    send_ns = _ns(rows["send_ms"])
    before_ns = sum((_ns(rows[f"{name}_ms"]) for name in ("dns", "connect", "tls")), send_ns) if connected else send_ns
    yield TTFB, answered, ttfb_ns
    yield "send", answered, send_ns
    yield "wait", answered, ttfb_ns - before_ns
    yield "receive", answered, rows["end_ns"] - first_ns


def _is_set(rows: Rows, field: str) -> npt.NDArray[np.bool_]:
    bits: npt.NDArray[np.uint16] = rows[field].view("<u2")  # no number is below 0, and numpy compares these ten times as fast
    return bits > 0


def _ns(milliseconds: npt.NDArray[np.float16]) -> npt.NDArray[np.int64]:
    return (milliseconds.astype("f4") * NS_PER_MS).astype("i8")
