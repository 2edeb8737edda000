"""Prometheus' protobuf exposition, for scrapers that ask for it: the one form in which they take native histograms.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIEnvironment

from loadflow.engine.exporters.prometheus.wire import double, message, signed, text, unsigned, varint
from loadflow.engine.exporters.shared.buckets import Exponential

if TYPE_CHECKING:
    from prometheus_client.core import Metric, Sample

__all__ = ["CONTENT_TYPE", "Labels", "Spread", "asks_for_protobuf", "exposition", "with_native"]

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
TYPES = {"counter": 0, "gauge": 1, "summary": 2, "histogram": 4}
ZERO_THRESHOLD = 2.0**-128  # as client libraries have it
Labels = tuple[tuple[str, str], ...]
Spread = Mapping[tuple[str, Labels], Exponential]  # by family and labels
App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def with_native(app: App, families: Callable[[], tuple[Iterable[Metric], Spread]]) -> App:
    """`app`, but for scrapers that like protobuf best: they get `families`, whose histograms have the given exponential buckets too."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING") or not asks_for_protobuf(environ.get("HTTP_ACCEPT", "")):
            return app(environ, start_response)
        body = exposition(*families())
        headers = [("Content-Type", CONTENT_TYPE)]
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, 1)
            headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", headers)
        return [body]

    return answer


def asks_for_protobuf(accept: str) -> bool:
    """Whether no other form is liked better.

    >>> asks_for_protobuf("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.5")
    True
    """
    best, best_q = "", 0.0
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        given = dict(part.partition("=")[::2] for part in parameters)
        try:
            q = float(given.get("q", "1"))
        except ValueError:
            continue
        if q > best_q:
            right = given.get("proto") == "io.prometheus.client.metricfamily" and given.get("encoding") == "delimited"
            best, best_q = kind if right or "protobuf" not in kind else "", q
    return best == "application/vnd.google.protobuf"


def exposition(families: Iterable[Metric], spread: Spread) -> bytes:
    """Families one after the other, each behind its length."""
    written = (_family(family, spread) for family in families if family.samples)
    return b"".join(varint(len(one)) + one for one in written)


def _family(family: Metric, spread: Spread) -> bytes:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    head = text(1, name) + text(2, family.documentation) + unsigned(3, TYPES[family.type])
    if family.type in ("counter", "gauge"):
        number = 3 if family.type == "counter" else 2
        metrics = [_labels(one.labels) + message(number, double(1, one.value)) for one in family.samples]
    elif family.type == "summary":
        metrics = [_labels(labels) + message(4, _count_and_sum(samples)) for labels, samples in _by_labels(family)]
    else:
        metrics = [
            _labels(labels) + message(7, _histogram(samples, spread.get((family.name, labels)))) for labels, samples in _by_labels(family)
        ]
    return head + b"".join(message(4, one) for one in metrics)


def _by_labels(family: Metric) -> Iterable[tuple[Labels, list[Sample]]]:
    """The samples of one summary or histogram together."""
    found: dict[Labels, list[Sample]] = {}
    for sample in family.samples:
        found.setdefault(tuple((key, word) for key, word in sample.labels.items() if key != "le"), []).append(sample)
    return found.items()


def _labels(labels: Mapping[str, str] | Labels) -> bytes:
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return b"".join(message(1, text(1, key) + text(2, word)) for key, word in pairs)


def _count_and_sum(samples: Iterable[Sample]) -> bytes:
    values = {one.name.rpartition("_")[2]: one.value for one in samples}
    return unsigned(1, int(values["count"])) + double(2, values["sum"])


def _histogram(samples: list[Sample], native: Exponential | None) -> bytes:
    classic = (one for one in samples if one.name.endswith("_bucket"))
    buckets = b"".join(message(3, unsigned(1, int(one.value)) + double(2, float(one.labels["le"]))) for one in classic)
    written = _count_and_sum(one for one in samples if not one.name.endswith("_bucket")) + buckets
    if native is None:
        return written
    written += signed(5, native.scale) + double(6, ZERO_THRESHOLD) + unsigned(7, native.zero_count)
    if native.counts:
        # Prometheus numbers a bucket by its upper bound, OpenTelemetry by its lower one
        written += message(12, signed(1, native.offset + 1) + unsigned(2, len(native.counts)))
        before = 0
        for count in native.counts:
            written += signed(13, count - before)
            before = count
    return written
