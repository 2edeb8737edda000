"""Traces: which hits are drawn, the `traceparent` that they carry to the target, and the span that is written of each.

The field is that of W3C Trace Context, version 00: https://www.w3.org/TR/trace-context/#traceparent-header. A hit that is not drawn
carries none, so the target decides about it by itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol, Self

from loadflow.engine.base.redact import Redactor
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.records.names import NAME_CAP, TEXT_CAP
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.spans import HitSpan, SpanWriter

__all__ = ["TRACEPARENT", "Sampler", "SpanNotes", "Trace", "Traceable", "Tracer"]

TRACEPARENT = "traceparent"
PATH_CAP = 1_000  # characters of a path
ROUGHLY = 4  # what is cut is masked first, as a secret must not be cut in two; but it is cut roughly before


class Traceable(Protocol):
    """A rendered request that can carry a field more."""

    host: str
    port: int
    target: str  # path and query

    def with_field(self, name: str, value: str) -> Self | None:
        """None: the script has given it a field of this name, which wins."""
        ...


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids of one sampled hit."""

    trace_id: str
    span_id: str
    host: str
    port: int
    path: str


class Sampler:
    """Draws hits, never more than `rule.per_s` a second: as many at once at the start, and after that as they come free."""

    def __init__(self, rule: TraceRule, rng: Random) -> None:
        self._rule = rule
        self._rng = rng
        self._most = max(1.0, rule.per_s)
        self._free = self._most
        self._last_ns = 0
        self.over_cap = 0

    def draws(self, now_ns: int) -> bool:
        if self._rng.random() >= self._rule.sample_rate:
            return False
        self._free = min(self._most, self._free + (now_ns - self._last_ns) * self._rule.per_s / 1e9)
        self._last_ns = now_ns
        if self._free < 1:
            self.over_cap += 1
            return False
        self._free -= 1
        return True


class SpanNotes:
    """Writes one process's spans. Times are nanoseconds since the run's start, as in the hit log; `start` says when that was."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._writer = SpanWriter(path)
        self._redactor = redactor
        self._origin_unix_ns = 0

    def start(self, origin_unix_ns: int) -> None:
        self._origin_unix_ns = origin_unix_ns

    def ended(
        self,
        trace: Trace,
        method: str,
        name: str,
        user: int,
        due_ns: int,
        start_ns: int,
        end_ns: int,
        status: int,
        flags: int,
        failure: tuple[Outcome, str] | None,
        held: Sequence[object],
    ) -> None:
        """Write the hit's span. `held`: this user's secret values, which are masked."""
        redactor = self._redactor.knowing(held) if held else self._redactor
        outcome, error = failure or (Outcome.OK, "")
        self._writer.span(
            HitSpan(
                trace_id=trace.trace_id,
                span_id=trace.span_id,
                method=method,
                name=_shown(redactor, name, NAME_CAP),
                host=trace.host,
                port=trace.port,
                path=_shown(redactor, trace.path, PATH_CAP),
                user=user,
                due_unix_ns=self._origin_unix_ns + due_ns,
                start_unix_ns=self._origin_unix_ns + start_ns,
                end_unix_ns=self._origin_unix_ns + end_ns,
                status=status,
                outcome=outcome,
                error=_shown(redactor, error, TEXT_CAP),
                retry=bool(flags & HitFlag.RETRY),
            )
        )

    def over_cap(self, count: int) -> None:
        """How many hits were drawn and not traced."""
        if count:
            self._writer.over_cap(count)

    def close(self) -> None:
        self._writer.close()


class Tracer:
    """One process's traces: draws hits, and counts the notes of hits that were drawn beyond the limit."""

    def __init__(self, rule: TraceRule, notes: SpanNotes) -> None:
        self.notes = notes
        self._sampler = Sampler(rule, Random())

    def traced(self, request: Any, now_ns: int) -> tuple[object, Trace | None]:
        """The request as it is to be sent, and its trace if it has one: only a Traceable can."""
        if not hasattr(request, "with_field") or not self._sampler.draws(now_ns):
            return request, None
        self._tell_over_cap()
        trace_id, span_id = os.urandom(16).hex(), os.urandom(8).hex()
        carrying = request.with_field(TRACEPARENT, f"00-{trace_id}-{span_id}-01")
        if carrying is None:
            return request, None
        path = request.target.partition("?")[0]
        return carrying, Trace(trace_id, span_id, request.host, request.port, path)

    def close(self) -> None:
        self._tell_over_cap()
        self.notes.close()

    def _tell_over_cap(self) -> None:
        self.notes.over_cap(self._sampler.over_cap)
        self._sampler.over_cap = 0


def _shown(redactor: Redactor, text: str, most: int) -> str:
    text = redactor.text(text[: ROUGHLY * most])
    return text if len(text) <= most else text[: most - 1] + "…"
