"""When is hit number n due? Arrival rates, as one pure question with one exact answer.

A pace is a rate over time, R(t), in segments within which it is constant or changes linearly. A(t), its integral, is the number of
hits that are due by t, so hit n (counted from 1) is due at A⁻¹(n), and ⌊A(t)⌋ hits are due by any t. Nothing ticks and nothing adds
up: each time is computed from n alone, in whole numbers, so there is no drift at 0.2/s or 100,000/s, in a second or in a week.

Two processes, or two engines, that know a pace and n agree on when hit n is due, so process i of k takes hits i+1, i+1+k, i+1+2k, …
and together they make exactly the hits that one would.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, Literal

__all__ = ["LATE_NS", "Pace", "Segment", "Spacing", "cut", "exactly"]

Spacing = Literal["even", "poisson"]

NS = 10**9
UNIT = 10**9  # A is counted in billionths of a hit: gaps between random arrivals are no whole hits
# A hit is late when it starts this long after it was due: more than a healthy event loop needs, less than anyone would tell apart.
LATE_NS = 10_000_000
SIMPLE = 10**6  # the largest denominator that a float is taken to have been written with

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

    @property
    def duration_s(self) -> float:
        return float(sum((exactly(segment.duration_s) for segment in self.segments), Fraction(0)))

    @property
    def peak_per_s(self) -> float:
        return max((max(segment.from_per_s, segment.to_per_s) for segment in self.segments), default=0.0)

    @property
    def hits(self) -> int:
        """How many hits are due in all; with random gaps, how many there are on average."""
        return math.floor(sum((_area(segment) for segment in self.segments), Fraction(0)))

    def due_ns(self, n: int) -> int | None:
        """Nanoseconds from the start until hit `n` (from 1) is due: the first at which A(t) ≥ n. None past the last hit.

        With random gaps, all of those before `n` are made again: ask `arrivals` for many.
        """
        if n < 1:
            raise ValueError("hits are numbered from 1")
        if self.spacing == "even":
            return _Inverse(self.segments).inverse_ns(n * UNIT)
        return next(islice(self.arrivals(), n - 1, None), None)

    def arrivals(self, index: int = 0, count: int = 1) -> Iterator[int]:
        """The due times of the hits that process `index` of `count` makes, in nanoseconds, never falling."""
        sums = range(UNIT, (self.hits + 1) * UNIT, UNIT) if self.spacing == "even" else _random_sums(self.seed or 0)
        return _Inverse(self.segments).walk(islice(sums, index, None, count))

    def rate_at(self, elapsed_s: float) -> float:
        """R(t), for showing; a border belongs to the next segment; 0.0 after the last."""
        begin = 0.0
        for segment in self.segments:
            if elapsed_s < begin + segment.duration_s:
                share = (elapsed_s - begin) / segment.duration_s
                return segment.from_per_s + (segment.to_per_s - segment.from_per_s) * share
            begin += segment.duration_s
        return 0.0

    def due_by(self, elapsed_s: float) -> float:
        """A(t): how many hits are due in the first `elapsed_s` seconds, fractions included."""
        return float(sum((_area(segment) for segment in cut(self.segments, elapsed_s)), Fraction(0)))

    def to_json(self) -> dict[str, Any]:
        return {
            "segments": [[one.duration_s, one.from_per_s, one.to_per_s] for one in self.segments],
            "spacing": self.spacing,
            "seed": self.seed,
            "max_in_flight": self.max_in_flight,
            "max_lateness_s": self.max_lateness_s,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pace:
        return cls(**{**data, "segments": tuple(Segment(*one) for one in data["segments"])})


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
    """A⁻¹, prepared: segments as whole numbers."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._parts: list[tuple[int, Callable[[int], int]]] = []  # up to which sum, and the inverse up to there
        begin, done = Fraction(0), Fraction(0)
        for segment in segments:
            area = _area(segment)
            if area > 0:
                inverse = _inverse(segment, begin * NS, done)
                self._parts.append((math.floor((done + area) * UNIT), inverse))
            begin += exactly(segment.duration_s)
            done += area
        self._ends = [end for end, _ in self._parts]

    def inverse_ns(self, total: int) -> int | None:
        """The first nanosecond at which A(t) has reached `total` billionths of a hit; None when it never does."""
        part = bisect_left(self._ends, total)
        return self._parts[part][1](total) if part < len(self._parts) else None

    def walk(self, totals: Iterable[int]) -> Iterator[int]:
        """`inverse_ns` of each of `totals`, which never fall, up to the last that is reached."""
        parts = iter(self._parts)
        end, inverse = next(parts, (-1, int))
        for total in totals:
            while total > end:
                following = next(parts, None)
                if following is None:
                    return
                end, inverse = following
            yield inverse(total)


def _inverse(segment: Segment, begin_ns: Fraction, done: Fraction) -> Callable[[int], int]:
    """A⁻¹ within one segment that begins at `begin_ns` with `done` hits before it.

    In v, the time since its begin in 1/w ns, so that begin and duration D are whole; rates a and b with denominator q:
    A - done = (2·D·aq·v + (bq - aq)·v²) / (2·D·q·w·10⁹). The first whole v at which this reaches a value is found by the root
    in its stable form, K / (B + √(B² + cK)), in whole numbers, which is off by 1 at most, and set right.
    """
    duration = exactly(segment.duration_s) * NS
    begin_rate, end_rate = exactly(segment.from_per_s), exactly(segment.to_per_s)
    w = math.lcm(duration.denominator, begin_ns.denominator)
    q = math.lcm(begin_rate.denominator, end_rate.denominator)
    length, offset = int(duration * w), int(begin_ns * w)
    half = length * int(begin_rate * q)  # B
    slope = int((end_rate - begin_rate) * q)  # c
    per_unit = 2 * length * q * w * (NS // UNIT)
    before = math.floor(done * UNIT * per_unit)
    isqrt = math.isqrt

    def constant(total: int) -> int:
        v = -((before - per_unit * total) // (2 * half))
        return -((-v - offset) // w)

    def ramp(total: int) -> int:
        k = per_unit * total - before
        v = k // (half + isqrt(half * half + slope * k))
        while v > 0 and (2 * half + slope * (v - 1)) * (v - 1) >= k:
            v -= 1
        while (2 * half + slope * v) * v < k:
            v += 1
        return -((-v - offset) // w)

    return ramp if slope else constant


def _area(segment: Segment) -> Fraction:
    return (exactly(segment.from_per_s) + exactly(segment.to_per_s)) / 2 * exactly(segment.duration_s)


def exactly(value: float) -> Fraction:
    """The number that a float stands for: 29/100 for 0.29, 100/3 for 33.333333333333336. So 0.29/s make 29 hits in 100 s, not 28."""
    if value == int(value):
        return Fraction(int(value))
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
