"""When is hit number n due? Arrival rates, as one pure question with one exact answer.

A pace is a rate over time, R(t), in segments within which it is constant or changes linearly. A(t), its integral, is the number of
hits that are due by t, so hit n (counted from 1) is due at A⁻¹(n), and ⌊A(t)⌋ hits are due by any t. Nothing ticks and nothing adds
up: each time is computed from n alone, in whole numbers, so there is no drift at 0.2/s or 100,000/s, in a second or in a week.

Two processes, or two engines, that know a pace and n agree on when hit n is due, so process i of k takes hits i+1, i+1+k, i+1+2k, …
and together they make exactly the hits that one would.
"""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Literal

from loadflow.engine.base.json_value import JsonMapping, JsonObject

__all__ = ["LATE_NS", "DueCount", "DueTimes", "Pace", "Segment", "Spacing", "beyond", "cut", "exactly", "peak_per_s"]

Spacing = Literal["even", "poisson"]

NS = 10**9
UNIT = 10**9  # A is counted in billionths of a hit: gaps between random arrivals are no whole hits
# A hit is late when it starts this long after it was due: more than a healthy event loop needs, less than a person notices.
LATE_NS = 10_000_000
WRITTEN = 12  # characters of a float that a person wrote; one that was computed has more
SIMPLE = 10**6  # the largest denominator of what it was computed as
REMEMBERED = 16_384  # of given times: more than an engine may be ahead
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
    changes: tuple[tuple[int, float], ...] = ()  # (second, factor) of each change that was made while it ran; `segments` have them already

    @property
    def duration_s(self) -> float:
        whole = sum((exactly(segment.duration_s) for segment in self.segments), Fraction(0))
        return float(max(whole - self.from_s, Fraction(0)))

    def later(self, from_s: int) -> Pace:
        """The same hits with the same numbers, of which only those are made that are due after `from_s` more seconds."""
        return replace(self, from_s=self.from_s + from_s)

    def faster(self, factor: float, at_s: int) -> Pace:
        """The same up to second `at_s`, with the same hits, and from then on `factor` times the rate.

        >>> Pace((Segment(10, 100, 100),)).faster(1.5, 4).segments
        (Segment(duration_s=4.0, from_per_s=100, to_per_s=100), Segment(duration_s=6.0, from_per_s=150.0, to_per_s=150.0))
        """
        before, after = cut(self.segments, at_s), beyond(self.segments, at_s)
        times = exactly(factor)
        scaled = (Segment(one.duration_s, float(exactly(one.from_per_s) * times), float(exactly(one.to_per_s) * times)) for one in after)
        return replace(self, segments=(*before, *scaled), changes=(*self.changes, (at_s, factor)))

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

    def arrivals(self, index: int = 0, count: int = 1) -> DueTimes:
        """The due times of the hits that process `index` of `count` makes, in nanoseconds, never falling."""
        return DueTimes(self, index, count)

    def totals(self, index: int, count: int) -> Iterator[int]:
        """What A reaches, in billionths of a hit, when each hit of process `index` of `count` is due. It does not end."""
        if self.spacing == "even":
            return itertools.count((index + 1) * UNIT, count * UNIT)
        return islice(_random_sums(self.seed or 0), index, None, count)

    def count(self) -> DueCount:
        """How many hits are due by a time (nanoseconds), to be asked for times that never fall."""
        return DueCount(self)

    def to_json(self) -> JsonObject:
        return {
            "segments": [[one.duration_s, one.from_per_s, one.to_per_s] for one in self.segments],
            "spacing": self.spacing,
            "seed": self.seed,
            "max_in_flight": self.max_in_flight,
            "max_lateness_s": self.max_lateness_s,
            **({"from_s": self.from_s} if self.from_s else {}),
            **({"changes": [list(one) for one in self.changes]} if self.changes else {}),
        }

    @classmethod
    def from_json(cls, data: JsonMapping) -> Pace:
        changes = tuple((second, factor) for second, factor in data.get("changes", ()))
        return cls(**{**data, "segments": tuple(Segment(*one) for one in data["segments"]), "changes": changes})


class DueTimes(Iterator[int]):
    """The due times of one process's hits, see `Pace.arrivals`. What was given lately is remembered, so that it can be taken back."""

    def __init__(self, pace: Pace, index: int, count: int) -> None:
        self._given: deque[int] = deque(maxlen=REMEMBERED)
        self._totals = pace.totals(index, count)
        self._walk_by(pace)

    def __next__(self) -> int:
        return next(self._walk)

    def take(self, most: int) -> array[int]:
        """The next ones, as 64-bit numbers; fewer than `most` at the end."""
        return array("q", islice(self._walk, most))

    def change(self, pace: Pace, at_ns: int) -> None:
        """Hits that are due after `at_ns` are due as `pace` has it, also the last REMEMBERED of those whose times were given already.

        Up to `at_ns` both paces are the same.
        """
        back = [total for total in self._given if total > self._inverse.end or self._inverse.ns(total) - self._from_ns > at_ns]
        self._given.clear()
        self._totals = itertools.chain(back, self._totals)
        self._walk_by(pace)

    def _walk_by(self, pace: Pace) -> None:
        self._inverse = _Inverse(pace.segments)
        self._from_ns = from_ns = pace.from_s * NS
        times = self._inverse.walk(self._noted(self._totals))
        self._walk = (time_ns - from_ns for time_ns in times if time_ns > from_ns) if from_ns else times

    def _noted(self, totals: Iterator[int]) -> Iterator[int]:
        for total in totals:
            self._given.append(total)
            yield total


class DueCount:
    """How many hits of a pace are due by a time in nanoseconds; each question's time is not before the last one's."""

    def __init__(self, pace: Pace) -> None:
        self._times = pace.arrivals()
        self._by: Callable[[float], int] = self._walked
        self._coming = next(self._times, None)
        self._count = 0
        if pace.spacing == "even" and not pace.from_s:
            self._search(pace)

    def __call__(self, at_ns: float) -> int:
        return self._by(at_ns)

    def change(self, pace: Pace, at_ns: int) -> None:
        """From `at_ns` on, which is later than any time that was asked for, `pace` counts; up to then both are the same."""
        if self._by != self._walked:
            self._search(pace)
            return
        self._times.change(pace, at_ns)
        if self._coming is None or self._coming > at_ns:
            self._coming = next(self._times, None)

    def _search(self, pace: Pace) -> None:
        inverse = _Inverse(pace.segments)
        numbers = range(1, inverse.hits + 1)
        self._by = lambda at_ns: bisect_right(numbers, at_ns, key=lambda n: inverse.ns(n * UNIT))

    def _walked(self, at_ns: float) -> int:
        while self._coming is not None and self._coming <= at_ns:
            self._coming = next(self._times, None)
            self._count += 1
        return self._count


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


def beyond(segments: Iterable[Segment], from_s: float) -> tuple[Segment, ...]:
    """What of `segments` lies after `from_s`: with `cut`, the whole."""
    kept = []
    skipped = exactly(from_s)
    for segment in segments:
        duration = exactly(segment.duration_s)
        if skipped <= 0:
            kept.append(segment)
        elif skipped < duration:
            begin, end = exactly(segment.from_per_s), exactly(segment.to_per_s)
            kept.append(Segment(float(duration - skipped), float(begin + (end - begin) * skipped / duration), segment.to_per_s))
        skipped -= duration
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
    def end(self) -> int:
        """What A reaches in the end, in billionths of a hit."""
        return self._ends[-1] if self._ends else 0

    @property
    def hits(self) -> int:
        return self.end // UNIT

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
