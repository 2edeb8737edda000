"""When is hit number n due? Arrival rates, as one pure question with one exact answer.

A pace is a rate over time, R(t), in segments within which it is constant or changes linearly. A(t), its integral, is the number of
hits that are due by t, so hit n (counted from 1) is due at A⁻¹(n), and ⌊A(t)⌋ hits are due by any t. Nothing ticks and nothing adds
up: each time is computed from n alone, in whole numbers, so there is no drift at 0.2/s or 100,000/s, in a second or in a week.

Two processes, or two engines, that know a pace and n agree on when hit n is due, so process i of k takes hits i+1, i+1+k, i+1+2k, …
and together they make exactly the hits that one would.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Any, Literal

__all__ = ["LATE_NS", "Pace", "Segment", "Spacing", "cut", "exactly", "peak_per_s"]

Spacing = Literal["even", "poisson"]

NS = 10**9
UNIT = 10**9  # A is counted in billionths of a hit: gaps between random arrivals are no whole hits
# A hit is late when it starts this long after it was due: more than a healthy event loop needs, less than anyone would tell apart.
LATE_NS = 10_000_000
WRITTEN = 12  # characters of a float that a person wrote; one that was computed has more
SIMPLE = 10**6  # the largest denominator of what it was computed as
MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Segment:
    """For `duration_s` the rate goes in a straight line from `from_per_s` to `to_per_s` hits per second."""

    duration_s: float
    from_per_s: float
    to_per_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """`spacing` even: hit n is due at A⁻¹(n). poisson: at A⁻¹ of the sum of n random gaps with a mean of one hit, made from `seed`.

    >>> pace = Pace((Segment(10, 0, 100),))
    >>> pace.hits, pace.due_ns(5), pace.due_ns(501)
    (500, 1000000000, None)
    """

    segments: tuple[Segment, ...]
    spacing: Spacing = "even"
    seed: int | None = None
    max_in_flight: int = 1  # passes at once; a hit that is due then waits, and is late
    max_lateness_s: float | None = None  # a hit that could not start for so long is dropped; None: it waits until the end of the load
    from_s: int = 0  # times count from this second on, and what was due before it is left out

    @property
    def duration_s(self) -> float:
        whole = sum((exactly(segment.duration_s) for segment in self.segments), Fraction(0))
        return float(max(whole - self.from_s, Fraction(0)))

    def later(self, from_s: int) -> Pace:
        """The same hits with the same numbers, of which only those are made that are due after `from_s` more seconds."""
        return replace(self, from_s=self.from_s + from_s)

    @property
    def hits(self) -> int:
        """How many hits are due in all; with random gaps, how many there are on average."""
        return _Inverse(self.segments).hits

    def due_ns(self, n: int) -> int | None:
        """Nanoseconds from the start until hit `n` (from 1) is due: the first at which A(t) ≥ n. None past the last hit.

        With random gaps, all of those before `n` are made again: ask `arrivals` for many.
        """
        if n < 1:
            raise ValueError("hits are numbered from 1")
        if self.spacing == "even":
            inverse = _Inverse(self.segments)
            return inverse.ns(n * UNIT) if n <= inverse.hits else None
        return next(islice(self.arrivals(), n - 1, None), None)

    def arrivals(self, index: int = 0, count: int = 1) -> Iterator[int]:
        """The due times of the hits that process `index` of `count` makes, in nanoseconds, never falling."""
        times = self._all_arrivals(index, count)
        if not self.from_s:
            return times
        from_ns = self.from_s * NS
        return (time_ns - from_ns for time_ns in times if time_ns > from_ns)

    def _all_arrivals(self, index: int, count: int) -> Iterator[int]:
        inverse = _Inverse(self.segments)
        if self.spacing == "even":
            return inverse.walk(range((index + 1) * UNIT, (inverse.hits + 1) * UNIT, count * UNIT))
        return inverse.walk(islice(_random_sums(self.seed or 0), index, None, count))

    def count(self) -> Callable[[float], int]:
        """How many hits are due by a time (nanoseconds), to be asked for times that never fall."""
        if self.spacing == "even":
            inverse = _Inverse(self.segments)
            numbers = range(1, inverse.hits + 1)
            return lambda at_ns: bisect_right(numbers, at_ns, key=lambda n: inverse.ns(n * UNIT))
        times = self.arrivals()
        coming = next(times, None)
        count = 0

        def walked(at_ns: float) -> int:
            nonlocal coming, count
            while coming is not None and coming <= at_ns:
                coming = next(times, None)
                count += 1
            return count

        return walked

    def to_json(self) -> dict[str, Any]:
        return {
            "segments": [[one.duration_s, one.from_per_s, one.to_per_s] for one in self.segments],
            "spacing": self.spacing,
            "seed": self.seed,
            "max_in_flight": self.max_in_flight,
            "max_lateness_s": self.max_lateness_s,
            **({"from_s": self.from_s} if self.from_s else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pace:
        return cls(**{**data, "segments": tuple(Segment(*one) for one in data["segments"])})


def peak_per_s(segments: Iterable[Segment]) -> float:
    """The highest rate of at least one segment."""
    return max(max(one.from_per_s, one.to_per_s) for one in segments)


def cut(segments: Iterable[Segment], limit_s: float) -> tuple[Segment, ...]:
    """What of `segments` lies before `limit_s`."""
    kept = []
    left = exactly(limit_s)
    for segment in segments:
        duration = exactly(segment.duration_s)
        if left <= 0:
            break
        if duration <= left:
            kept.append(segment)
        else:
            begin, end = exactly(segment.from_per_s), exactly(segment.to_per_s)
            kept.append(Segment(float(left), segment.from_per_s, float(begin + (end - begin) * left / duration)))
        left -= duration
    return tuple(kept)


class _Inverse:
    """A⁻¹, in whole numbers.

    Time in 1/w ns and rates in 1/q per second, so that all borders and rates are whole; A in units of which 2·q·w are a billionth of
    a hit. With a and b the rates at the ends of a segment of length d, A grows by (a + b)·d over it, and by 2·a·v + (b - a)·v²/d up to
    a time v after its begin.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        exact = [(exactly(one.duration_s) * NS, exactly(one.from_per_s), exactly(one.to_per_s)) for one in segments]
        self._w = w = math.lcm(*(duration.denominator for duration, _, _ in exact))
        q = math.lcm(*(rate.denominator for _, *rates in exact for rate in rates))
        self._per_unit = 2 * q * w
        self._parts: list[tuple[int, int, int, int, int]] = []  # begin, A there, length, rates at the ends
        self._ends: list[int] = []  # A at the end of each part, in whole billionths
        begin = done = 0
        for duration, first, last in exact:
            length = duration.numerator * (w // duration.denominator)
            a, b = (rate.numerator * (q // rate.denominator) for rate in (first, last))
            if (a + b) * length > 0:
                self._parts.append((begin, done, length, a, b))
                done += (a + b) * length
                self._ends.append(done // self._per_unit)
            begin += length

    @property
    def hits(self) -> int:
        return self._ends[-1] // UNIT if self._ends else 0

    def ns(self, total: int) -> int:
        """The first nanosecond at which A(t) has reached `total` billionths of a hit, which it does."""
        return self._within(bisect_left(self._ends, total))(total)

    def walk(self, totals: Iterable[int]) -> Iterator[int]:
        """`ns` of each of `totals`, which never fall, up to the last that is reached."""
        part, end = -1, -1
        inverse: Callable[[int], int] = int
        for total in totals:
            while total > end:
                part += 1
                if part == len(self._parts):
                    return
                end = self._ends[part]
                inverse = self._within(part)
            yield inverse(total)

    def _within(self, part: int) -> Callable[[int], int]:
        """A⁻¹ in one segment: the first whole v by the root in its stable form, K / (B + √(B² + cK)), which is off by 1 at most."""
        begin, done, length, a, b = self._parts[part]
        w, per_unit, isqrt = self._w, self._per_unit, math.isqrt
        half, slope = a * length, b - a  # B and c; K is `length` times what is missing

        def constant(total: int) -> int:
            v = -((done - per_unit * total) // (2 * a))
            return -((-v - begin) // w)

        def ramp(total: int) -> int:
            k = (per_unit * total - done) * length
            v = k // (half + isqrt(half * half + slope * k))
            while v > 0 and (2 * half + slope * (v - 1)) * (v - 1) >= k:
                v -= 1
            while (2 * half + slope * v) * v < k:
                v += 1
            return -((-v - begin) // w)

        return ramp if slope else constant


def exactly(value: float) -> Fraction:
    """The number that a float stands for: 29/100 for 0.29, 100/3 for 33.333333333333336. So 0.29/s make 29 hits in 100 s, not 28."""
    if value == int(value):
        return Fraction(int(value))
    text = repr(float(value))
    if len(text) <= WRITTEN:
        return Fraction(text)
    simple = Fraction(value).limit_denominator(SIMPLE)
    return simple if float(simple) == value else Fraction(value)


def _random_sums(seed: int) -> Iterator[int]:
    """Sums of exponential gaps with a mean of one hit, in billionths; the same in every process and engine that has the seed.

    The bits are SplitMix64's (Steele, Lea, Flood, 2014), which is short enough to be written again anywhere.
    """
    state = seed & MASK
    total = 0
    log = math.log
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
        z ^= z >> 31
        total += round(-log(((z >> 11) + 1) / 2**53) * UNIT)
        yield total
