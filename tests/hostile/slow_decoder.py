"""Makes a text in Latin-1 take two seconds of Python to decode, as a quadratic charset did."""

from __future__ import annotations

import time

__all__ = ["make_slow"]

STANDS_S = 2.0


def make_slow() -> None:
    from loadflow.engine.protocols.http import reply as http_reply

    decode = http_reply.text_in

    def quadratic(charset: str, body: bytes | bytearray) -> str:
        # of the clock, which the watch looks at, and of the processor, which the answer's budget counts
        stands_s = STANDS_S if charset == "latin_1" else 0.0
        until_s, works_until_s = time.monotonic() + stands_s, time.thread_time() + stands_s
        while time.monotonic() < until_s or time.thread_time() < works_until_s:
            pass
        return decode(charset, body)

    http_reply.text_in = quadratic
