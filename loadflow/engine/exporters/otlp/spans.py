"""Sampled hits as OTLP spans, carried to the receiver by a thread of their own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.exporters.shared.courier import Courier
from loadflow.engine.exporters.shared.trouble import Unreachable
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.spans import HitSpan, SpanBatch

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Spans", "span_of"]

log = logging.getLogger("loadflow.exporters")
SCOPE = "loadflow"
QUEUE = 10_000  # spans that wait while the receiver is away: some 10 MB
BATCH = 512  # of one request, as the SDK's own processor


class Spans:
    """Never waits for the receiver. Spans that a full queue had no room for are counted, as are hits over the limit of a second."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource
        self._over_cap = 0
        self._courier: Courier[tuple[Run, HitSpan]] = Courier("OpenTelemetry traces", self._export, queue=QUEUE, batch=BATCH)

    def put(self, run: Run, batch: SpanBatch) -> None:
        if batch.over_cap and not self._over_cap:
            log.warning("OpenTelemetry traces: more hits are drawn than traces_per_s allows; the others are not traced")
        self._over_cap += batch.over_cap
        self._courier.put((run, span) for span in batch.spans)

    def close(self, timeout_s: float) -> dict[str, int]:
        result = self._courier.close(timeout_s)
        self._exporter.shutdown()
        return {"spans": result.delivered, "spans_dropped": result.dropped, "hits_over_traces_per_s": self._over_cap}

    def _export(self, spans: Sequence[tuple[Run, HitSpan]]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        made = [span_of(run, span, self._resource) for run, span in spans]
        if self._exporter.export(made) is not SpanExportResult.SUCCESS:
            raise Unreachable("an export failed")  # the SDK logs why, and tried again by itself for as long as its timeout says


def span_of(run: Run, span: HitSpan, resource: Resource) -> ReadableSpan:
    """One hit in the SDK's own form, named and described as OpenTelemetry's conventions for HTTP clients say.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
    """
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    failed = span.outcome is not Outcome.OK
    return ReadableSpan(
        name=f"{span.method} {span.name}",
        context=SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)),
        resource=resource,
        attributes=_attributes(run, span),
        events=[Event("due", timestamp=span.due_unix_ns)] if span.due_unix_ns < span.start_unix_ns else [],
        kind=SpanKind.CLIENT,
        status=Status(StatusCode.ERROR, span.error) if failed else Status(StatusCode.UNSET),
        start_time=span.start_unix_ns,
        end_time=span.end_unix_ns,
        instrumentation_scope=InstrumentationScope(SCOPE),
    )


def _attributes(run: Run, span: HitSpan) -> JsonObject:
    failed = span.outcome is not Outcome.OK
    return {
        "http.request.method": span.method,
        "server.address": span.host,
        "server.port": span.port,
        "url.path": span.path,
        **({"http.response.status_code": span.status} if span.status else {}),
        # by the conventions a refused status is its own kind of error
        **({"error.type": str(span.status) if span.outcome is Outcome.STATUS else span.outcome.label} if failed else {}),
        "loadflow.outcome": span.outcome.label,
        "loadflow.run": run.facts.id,
        "loadflow.scenario": run.facts.script,
        **({"loadflow.population": run.facts.population} if run.facts.population else {}),
        "loadflow.name": span.name,
        "loadflow.user": span.user,
        "loadflow.waited_ms": (span.start_unix_ns - span.due_unix_ns) / 1e6,
        "loadflow.retry": span.retry,
    }
