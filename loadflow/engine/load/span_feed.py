"""The parent's side of traces: whether a load has any, and the spans on their way from its engine processes to the session's exporters."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from loadflow.engine.load_test.user_types import user_type_of
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.records.run import Run
from loadflow.engine.records.spans import SpanReader
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session

__all__ = ["SpanFeed", "trace_rule"]

LOG = logging.getLogger("loadflow.exporters")


def trace_rule(session: Session, protocols: Sequence[str]) -> TraceRule | None:
    """Which hits of a load of these user types the session's exporters want to have traced; None: none."""
    rule = next((exporter.traces for exporter in session.exporters.values() if exporter.traces is not None), None)
    if rule is None:
        return None
    silent = [name for name in protocols if (one := user_type_of(name)) is None or not one.traced]
    if silent:
        LOG.warning("hits of %s are not traced: no traceparent is sent; http_user and fast_http_user do", " and ".join(silent))
    return None if len(silent) == len(protocols) else rule


class SpanFeed:
    """Gives each span that an engine process has written to the observers, once. Without traces there is no file to read."""

    def __init__(self, run: Run, shards: int, observers: Sequence[Observer]) -> None:
        self._run = run
        self._traced = shards > 0
        self._readers = [SpanReader(run.spans_path(shard)) for shard in range(shards)]
        self._observers = observers

    def open(self, shard: int) -> None:
        """There is one more log."""
        if self._traced:
            self._readers.append(SpanReader(self._run.spans_path(shard)))

    def take(self) -> None:
        """What was written since the last call."""
        for reader in self._readers:
            while batch := reader.read():
                for observer in self._observers:
                    observer.spans(self._run, batch)
