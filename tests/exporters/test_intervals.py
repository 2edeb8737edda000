"""Once a load has ended, every exporter says between what its numbers lie: the same as the run's summary."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.resources import Resource

from loadflow.engine.exporters.influxdb.influxdb import InfluxdbSink
from loadflow.engine.exporters.otlp.opentelemetry import Readings
from loadflow.engine.exporters.shared.counts import Counts
from loadflow.engine.exporters.statsd.statsd import StatsdExporter
from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import Summary
from tests.builders import build_run, facts, make_rows

METRICS = {"p50", "p95", "p99", "mean", "failure_rate", "rate"}


class Kept:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, lines: Sequence[str]) -> None:
        self.lines += lines

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Summary]:
    """A load of a minute."""
    rows = make_rows(20_000, seconds=60, series=2, failure_rate=0.01)
    run = build_run(tmp_path_factory.mktemp("ended") / "run", rows, run_facts=facts(planned_s=60.0))
    return run, run.summary()


def known(summary: Summary) -> dict[str, list[float]]:
    assert summary.trust is not None
    every = summary.trust.precision.overall.intervals.values()
    return {one.metric: [one.low, one.value, one.high] for one in every if one.low is not None and one.high is not None}


def test_influxdb_has_a_point_for_each_metric(ended: tuple[Run, Summary]) -> None:
    kept = Kept()
    limits = {"max_series": 10, "queue_points": 100, "batch_points": 10, "flush_s": 60.0}
    sink = InfluxdbSink(kept, measurement="load", tags={"team": "a"}, **limits)  # type: ignore[arg-type]
    sink.run_ended(*ended)
    sink.close()
    found = {}
    for line in kept.lines:
        tags, fields, _ = line.split(" ")
        assert tags.startswith("loaddensity_interval,")
        metric = dict(one.split("=") for one in tags.split(",")[1:])["metric"]
        values = dict(one.split("=") for one in fields.split(","))
        found[metric] = [float(values[bound]) for bound in ("low", "value", "high")]
    assert found.keys() == METRICS
    assert found == {metric: pytest.approx(values) for metric, values in known(ended[1]).items()}


@pytest.mark.parametrize("tags", [None, {"team": "a"}])
def test_statsd_has_a_gauge_for_each_end(tags: dict[str, str] | None, ended: tuple[Run, Summary]) -> None:
    kept = Kept()
    exporter = StatsdExporter(kept, prefix="x", tags=tags, max_series=10, queue_lines=100, batch_lines=10, flush_s=60.0)
    exporter.run_ended(*ended)
    exporter.close()
    gauges = dict(line.split("|")[0].split(":", 1) for line in kept.lines)
    for metric, values in known(ended[1]).items():
        found = [float(gauges[f"x.load.interval.{metric}.{bound}"]) for bound in ("low", "value", "high")]
        assert found == pytest.approx(values, rel=1e-3, abs=1e-6)


def test_otlp_has_a_gauge_with_metric_and_bound(ended: tuple[Run, Summary]) -> None:
    counts = Counts(10)
    counts.ended(*ended)
    (scope,) = Readings(counts, Resource.create({}), 0).at(1).resource_metrics[0].scope_metrics
    (metric,) = [one for one in scope.metrics if one.name == "loaddensity.interval"]
    points = {(one.attributes["metric"], one.attributes["bound"]): one.value for one in metric.data.data_points}
    for name, values in known(ended[1]).items():
        assert [points[name, bound] for bound in ("low", "value", "high")] == values
