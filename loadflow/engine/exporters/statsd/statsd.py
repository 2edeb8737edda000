"""StatsD: counters and gauges of each name and second, as lines that a courier carries."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

from loadflow.engine.exporters.shared.counts import Load, Loads, Names, Series, bounds_of, intervals_of
from loadflow.engine.exporters.shared.courier import Courier
from loadflow.engine.exporters.shared.exporter import Exporter
from loadflow.engine.exporters.statsd.line import counter, gauge, metric_word
from loadflow.engine.records.health import Health
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.totals import SeriesTotals

__all__ = ["StatsdExporter", "Writer"]

NS_PER_MS = 1e6
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Writer(Protocol):
    def __call__(self, lines: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class StatsdExporter(Exporter):
    """Queues the lines of each second; `writer` gets them on a thread of the exporter's own. `tags` None: plain StatsD, without tags."""

    kind: ClassVar[str] = "StatsD"

    def __init__(
        self,
        writer: Writer,
        *,
        prefix: str,
        tags: Mapping[str, str] | None,
        max_series: int,
        queue_lines: int,
        batch_lines: int,
        flush_s: float,
    ) -> None:
        self._writer = writer
        self._prefix = prefix
        self._tags = tags
        self._flush_s = flush_s
        self._loads = Loads()
        self._names = Names(max_series)
        self._words = _Words()
        self._closing = threading.Lock()
        self._closed = False
        self._courier: Courier[str] = Courier("StatsD", writer, queue=queue_lines, batch=batch_lines)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self._courier.put(list(self._lines(run, snapshot)))

    def run_ended(self, run: Run, summary: Summary) -> None:
        """Gauges keep their last value, so those of a load that is over are set to 0; those of intervals are known from now on."""
        load = self._loads.of(run)
        intervals = (
            gauge(f"{self._prefix}.load.interval.{one.metric}.{bound}", value, self._load_tags(load))
            for one in intervals_of(summary)
            for bound, value in bounds_of(one)
        )
        self._courier.put([*self._of_load(load, Health()), *intervals])

    def close(self) -> dict[str, object]:
        with self._closing:
            done, self._closed = self._closed, True
        if done:
            return {}
        delivery = self._courier.close(self._flush_s)
        self._writer.close()
        return {"lines_written": delivery.delivered, "lines_dropped": delivery.dropped}

    def _lines(self, run: Run, snapshot: Snapshot) -> Iterator[str]:
        load = self._loads.of(run)
        for series, totals in self._names.capped(load, snapshot.delta).items():
            if self._tags is None:
                where, tags = f"{self._prefix}.request.{self._words.of(series)}", None
            else:
                where = f"{self._prefix}.request"
                tags = {**(self._load_tags(load) or {}), "request_type": series.name.method, "name": series.name.name}
            yield from _of_series(where, totals, tags)
        passes = snapshot.delta.passes
        for name, count in (("due", passes.due), ("dropped", passes.dropped)):
            yield counter(f"{self._prefix}.load.{name}", count, self._load_tags(load))
        yield from self._of_load(load, snapshot.health)

    def _of_load(self, load: Load, health: Health) -> Iterator[str]:
        values = {
            "users": health.users,
            "in_flight": health.in_flight,
            "generator_cpu": health.cpu,
            "generator_lag_ms": health.lag_ms,
        }
        for name, value in values.items():
            yield gauge(f"{self._prefix}.load.{name}", value, self._load_tags(load))

    def _load_tags(self, load: Load) -> dict[str, str] | None:
        return None if self._tags is None else {**self._tags, **load.labels}


class _Words:
    """The part of a metric's name that stands for a request: two requests never share one, or the gauges of one would hide the other's."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def of(self, series: Series) -> str:
        key = (series.name.method, series.name.name)
        if key not in self._of:
            plain = word = ".".join(metric_word(one) for one in key if one)
            number = 1
            while word in self._taken:
                number += 1
                word = f"{plain}_{number}"
            self._taken.add(word)
            self._of[key] = word
        return self._of[key]


def _of_series(where: str, totals: SeriesTotals, tags: Mapping[str, str] | None) -> Iterator[str]:
    counts = {
        "hits": totals.hits,
        "failures": totals.failures,
        "late": totals.late,
        "retries": totals.retries,
        "sent_bytes": totals.sent_bytes,
        "received_bytes": totals.received_bytes,
    }
    for name, count in counts.items():
        yield counter(f"{where}.{name}", count, tags)
    times = totals.response()
    yield gauge(f"{where}.latency_ms.mean", times.mean_ns / NS_PER_MS, tags)
    yield gauge(f"{where}.latency_ms.max", times.max_ns / NS_PER_MS, tags)
    for name, quantile in QUANTILES.items():
        yield gauge(f"{where}.latency_ms.{name}", times.quantile_ns(quantile) / NS_PER_MS, tags)
