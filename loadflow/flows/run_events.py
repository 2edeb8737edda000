"""What a run sends to Prefect's event feed, for automations.

`loadflow.run.started`; at the end `loadflow.run.finished` and, for triggers that look at one verdict, `loadflow.run.<verdict>`, with the
numbers. The labels of the resource say verdict, label, script and target too, so that `match` can distinguish runs; deployment and flow
run are related, with their names.
"""

from __future__ import annotations

import math
from collections import Counter

from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.records.evidence import evidence_digest
from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.threshold import ThresholdState
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import current_session

__all__ = ["BREACHED", "FINISHED", "STARTED", "SUSPECT", "not_run", "run_finished", "run_judged", "run_started", "verdict_event"]

BREACHED = "loadflow.threshold.breached"
STARTED = "loadflow.run.started"
FINISHED = "loadflow.run.finished"
SUSPECT = "loadflow.suspect"
CAMPAIGN = "loadflow-campaign"
CAPACITY = "loadflow-capacity"
DUET = "loadflow-duet"  # the format of what LD_duet gives
INTERVALS = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99", "failure_rate": "failure_rate", "rate_per_s": "rate"}


def verdict_event(kind: str) -> str:
    """The event of one verdict: passed, failed, inconclusive, interrupted or error; "skipped" for a run that made no load on purpose."""
    return f"loadflow.run.{kind}"


def not_run(kind: str, name: str, message: str) -> None:
    """The event of a flow run that made no load: "error", because its script can't be run, or "skipped"."""
    resource = {"prefect.resource.id": f"loadflow.flow-run.{flow_run.id}", "prefect.resource.name": name, "loadflow.verdict": kind}
    emit_event(
        verdict_event(kind),
        resource=resource,
        related=_related(),
        payload={"verdict": kind, "reasons": [redactor_of(current_session()).text(message)]},
    )


def run_started(run: Run) -> None:
    facts = run.facts
    _emit(STARTED, run, {"users": facts.users, "planned_s": facts.planned_s})


def run_finished(run: Run, summary: Summary) -> None:
    latency = summary.overall.latency
    kind = str(summary.verdict.kind)
    numbers = {
        "verdict": kind,
        "reasons": list(summary.verdict.reasons[:5]),
        "requests": summary.overall.count,
        "failures": summary.overall.failures,
        "rate_per_s": _finite(summary.overall.rate_per_s),
        "p50_ms": _finite(latency.p50_ms),
        "p95_ms": _finite(latency.p95_ms),
        "p99_ms": _finite(latency.p99_ms),
        "duration_s": _finite(summary.duration_s),
        "evidence": evidence_digest(run.folder),
        **_intervals(summary),
    }
    for event in (FINISHED, verdict_event(kind)):
        _emit(event, run, numbers, verdict=kind)
    for one in summary.thresholds:
        if one.state is ThresholdState.FAILED:
            numbers = {"limit": _finite(one.limit), "observed": None if one.observed is None else _finite(one.observed)}
            _emit(BREACHED, run, {"threshold": one.expression, "scope": one.scope, "samples": one.samples, "unit": one.unit, **numbers})


def run_judged(judgement: JsonMapping) -> None:
    """The event of a run that was held against the nights before, or of a duet: `loadflow.suspect` where it is worth a duet."""
    kind = str(judgement["verdict"])
    redactor = redactor_of(current_session())
    if judgement["format"] == DUET:
        event, run = f"loadflow.duet.{kind}", judgement["suspect"] or judgement["legs"][-1]["run"]
        told = {key: judgement[key] for key in ("metric", "pairs", "change", "suspect")}
    elif judgement["format"] == CAMPAIGN:
        event, run = "loadflow.campaign", next((one["run"] for one in reversed(judgement["cells"]) if one["run"]), "none")
        counts = Counter(one["verdict"] for one in judgement["cells"])
        told = {"cells": len(judgement["cells"]), "verdicts": dict(counts), "page": judgement["page"]}
    elif judgement["format"] == CAPACITY:
        event, run = "loadflow.capacity", judgement["probes"][-1]["run"]
        told = {key: judgement[key] for key in ("capacity_per_s", "low", "high", "limit", "at_least", "confirmed")}
    elif kind in ("suspect", "worse"):
        event, run = SUSPECT if kind == "suspect" else "loadflow.worse", judgement["run"]
        worst = next(one for one in judgement["metrics"] if one["verdict"] == kind)
        told = {key: worst[key] for key in ("name", "metric", "value", "change")} | {"first_bad": judgement["first_bad"]}
    else:
        return
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"loadflow.run.{run}",
            "prefect.resource.name": redactor.text(judgement["label"]),
            "loadflow.label": redactor.text(judgement["label"]),
            "loadflow.verdict": kind,
        },
        related=_related(),
        payload=redactor.value({"run": run, "label": judgement["label"], "revision": judgement.get("revision", ""), **told}),
    )


def _intervals(summary: Summary) -> dict[str, list[float | None]]:
    """`p95_ms_interval`: from and to, and so on; nothing where a run was too short to say."""
    if summary.trust is None:
        return {}
    known = summary.trust.precision.overall.intervals
    return {
        f"{key}_interval": [_finite(one.low), _finite(one.high)]
        for key, metric in INTERVALS.items()
        if (one := known.get(metric)) is not None and one.low is not None and one.high is not None
    }


def _emit(event: str, run: Run, payload: JsonObject, verdict: str = "") -> None:
    facts = run.facts
    redactor = redactor_of(current_session())
    labels = {"verdict": verdict, "label": facts.label, "script": facts.script, "target": facts.target}
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"loadflow.run.{facts.id}",
            "prefect.resource.name": redactor.text(facts.label or facts.script),
            **{f"loadflow.{name}": redactor.text(value) for name, value in labels.items() if value},
        },
        related=_related(),
        payload=redactor.value({"run": facts.id, "script": facts.script, "label": facts.label, "target": facts.target, **payload}),
    )


def _related() -> list[dict[str, str]]:
    return [
        {"prefect.resource.id": f"prefect.{kind}.{one.id}", "prefect.resource.role": kind, "prefect.resource.name": str(one.name or "")}
        for kind, one in (("flow-run", flow_run), ("deployment", deployment))
        if one.id
    ]


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
