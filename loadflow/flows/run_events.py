"""What a run tells Prefect's event feed, for automations: `loadflow.run.started` and `loadflow.run.finished`, with the numbers."""

from __future__ import annotations

import math
from typing import Any

from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.threshold import ThresholdState
from loadflow.engine.redact import Redactor

__all__ = ["BREACHED", "FINISHED", "STARTED", "run_finished", "run_started"]

BREACHED = "loadflow.threshold.breached"
STARTED = "loadflow.run.started"
FINISHED = "loadflow.run.finished"


def run_started(run: Run) -> None:
    facts = run.facts
    _emit(STARTED, run, {"users": facts.users, "planned_s": facts.planned_s})


def run_finished(run: Run, summary: Summary) -> None:
    latency = summary.overall.latency
    _emit(
        FINISHED,
        run,
        {
            "verdict": str(summary.verdict.kind),
            "reasons": [Redactor().text(reason) for reason in summary.verdict.reasons[:5]],
            "requests": summary.overall.count,
            "failures": summary.overall.failures,
            "rate_per_s": _finite(summary.overall.rate_per_s),
            "p50_ms": _finite(latency.p50_ms),
            "p95_ms": _finite(latency.p95_ms),
            "p99_ms": _finite(latency.p99_ms),
            "duration_s": _finite(summary.duration_s),
        },
    )
    for one in summary.thresholds:
        if one.state is ThresholdState.FAILED:
            numbers = {"limit": _finite(one.limit), "observed": None if one.observed is None else _finite(one.observed)}
            _emit(BREACHED, run, {"threshold": one.expression, "scope": one.scope, "samples": one.samples, "unit": one.unit, **numbers})


def _emit(event: str, run: Run, payload: dict[str, Any]) -> None:
    facts = run.facts
    related = [
        {"prefect.resource.id": f"prefect.{kind}.{identity}", "prefect.resource.role": kind}
        for kind, identity in (("flow-run", flow_run.id), ("deployment", deployment.id))
        if identity
    ]
    emit_event(
        event,
        resource={"prefect.resource.id": f"loadflow.run.{facts.id}", "prefect.resource.name": facts.label or facts.script},
        related=related,
        payload={"run": facts.id, "script": facts.script, "label": facts.label, "target": facts.target, **payload},
    )


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
