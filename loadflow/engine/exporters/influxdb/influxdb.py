"""InfluxDB: a point for each name and second, and one for each load and second, as lines that a courier carries."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

from loadflow.engine.exporters.influxdb.line import Field, line
from loadflow.engine.exporters.shared.counts import Loads, Names, bounds_of, intervals_of
from loadflow.engine.exporters.shared.courier import Courier
from loadflow.engine.exporters.shared.exporter import Exporter
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.timings import TTFB
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["InfluxdbSink", "Writer"]

NS_PER_MS = 1e6
QUANTILES = (0.5, 0.9, 0.95, 0.99)
LOAD_MEASUREMENT = "loaddensity_load"
INTERVAL_MEASUREMENT = "loaddensity_interval"


class Writer(Protocol):
    def __call__(self, lines: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class InfluxdbSink(Exporter):
    """Queues the lines of each second; `write` gets them on a thread of the sink's own."""

    kind: ClassVar[str] = "InfluxDB"

    def __init__(
        self,
        writer: Writer,
        *,
        measurement: str,
        tags: Mapping[str, str],
        max_series: int,
        queue_points: int,
        batch_points: int,
        flush_s: float,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._writer = writer
        self._now_s = now_s
        self._measurement = measurement
        self._tags = dict(tags)
        self._flush_s = flush_s
        self._loads = Loads()
        self._names = Names(max_series)
        self._closing = threading.Lock()
        self._closed = False
        self._courier: Courier[str] = Courier("InfluxDB", writer, queue=queue_points, batch=batch_points)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self._courier.put(list(self._lines(run, snapshot)))

    def run_ended(self, run: Run, summary: Summary) -> None:
        """A point for each number whose interval can be said."""
        tags, unix_ms = {**self._tags, **self._loads.of(run).labels}, round(self._now_s() * 1_000)
        points = ((one.metric, dict[str, Field](bounds_of(one))) for one in intervals_of(summary))
        self._courier.put([line(INTERVAL_MEASUREMENT, {**tags, "metric": metric}, fields, unix_ms) for metric, fields in points])

    def close(self) -> dict[str, object]:
        with self._closing:
            done, self._closed = self._closed, True
        if done:
            return {}
        delivery = self._courier.close(self._flush_s)
        self._writer.close()
        return {"points_written": delivery.delivered, "points_dropped": delivery.dropped}

    def _lines(self, run: Run, snapshot: Snapshot) -> Iterator[str]:
        load = self._loads.of(run)
        tags = {**self._tags, **load.labels}
        # a load may end within its last second: a point of the future would be left out of questions up to now
        unix_ms = round(min(snapshot.unix_s, self._now_s()) * 1_000)
        errors = _errors(snapshot.delta, lambda name: self._names.of(load, name).name)
        for series, totals in self._names.capped(load, snapshot.delta).items():
            name = series.name
            fields = {**_fields(totals), **({"error": errors[name]} if name in errors else {})}
            yield line(self._measurement, {**tags, "request_type": name.method, "name": name.name}, fields, unix_ms)
        health = snapshot.health
        of_load: dict[str, Field] = {
            "users": health.users,
            "in_flight": health.in_flight,
            "late": sum(one.late for one in snapshot.delta.series.values()),
            "due": snapshot.delta.passes.due,
            "dropped": snapshot.delta.passes.dropped,
            "generator_cpu": float(health.cpu),
            "generator_lag_ms": float(health.lag_ms),
        }
        yield line(LOAD_MEASUREMENT, tags, of_load, unix_ms)


def _fields(totals: SeriesTotals) -> dict[str, Field]:
    times = totals.response()
    p50, p90, p95, p99 = (times.quantile_ns(q) / NS_PER_MS for q in QUANTILES)
    service = totals.service
    at_a_rate = {"service_ms": service.mean_ns / NS_PER_MS, "service_p95_ms": service.quantile_ns(0.95) / NS_PER_MS}
    ttfb = totals.timings.get(TTFB)
    first_byte = {"ttfb_ms": ttfb.mean_ns / NS_PER_MS, "ttfb_p95_ms": ttfb.quantile_ns(0.95) / NS_PER_MS} if ttfb else {}
    return {
        **(at_a_rate if service.count else {}),
        **first_byte,
        "latency_ms": times.mean_ns / NS_PER_MS,
        "latency_min_ms": times.min_ns / NS_PER_MS,
        "latency_p50_ms": p50,
        "latency_p90_ms": p90,
        "latency_p95_ms": p95,
        "latency_p99_ms": p99,
        "latency_max_ms": times.max_ns / NS_PER_MS,
        "response_bytes": round(totals.received_bytes / totals.hits) if totals.hits else 0,
        "success": totals.failures == 0,
        "hits": totals.hits,
        "failures": totals.failures,
        "late": totals.late,
        "retries": totals.retries,
        "sent_bytes": totals.sent_bytes,
        "received_bytes": totals.received_bytes,
    }


def _errors(totals: Totals, shared: Callable[[SeriesName], SeriesName]) -> dict[SeriesName, str]:
    """The most frequent error text of each name, as `shared` has it."""
    counted: dict[SeriesName, Counter[str]] = {}
    for (name, error), count in totals.errors.items():
        counted.setdefault(shared(name), Counter())[error.text] += count.count
    return {name: texts.most_common(1)[0][0] for name, texts in counted.items()}
