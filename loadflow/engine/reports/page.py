"""What the HTML report says, as plain text and numbers ready to be placed: bounded whatever the run was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import count_text, latency_text, percent_text, rate_text, size_text, span_text, utc_text
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.plan.pace import Pace
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.passes import RateSummary
from loadflow.engine.records.summary import ErrorSummary, Latency, RunFacts, SeriesSummary, Summary
from loadflow.engine.records.timings import FIRST_EVENT, TTFB
from loadflow.engine.reports.bounds import SAMPLE_CHARACTERS, Budget, clip, sample_parts

__all__ = [
    "Banner",
    "Cell",
    "apart_rows",
    "banner_of",
    "environments",
    "error_groups",
    "key_figures",
    "line_of",
    "load_words",
    "name_rows",
    "run_facts",
    "running_banner",
    "threshold_rows",
    "timing_rows",
    "top_failure",
]

MOST_NAMES = 1_000
MOST_ERRORS = 200
MOST_SAMPLES = 5  # of one error
MOST_RUNS = 20
MOST_REASONS = 12
MOST_THRESHOLDS = 200
MOST_APART = 300  # names in the table of successes and failures apart
MOST_TIMINGS = 100  # names in the table of where the time goes
MOST_VALUES = 20  # of one sample
MOST_BLOCKS = 8
MOST_ENVIRONMENT = 100
NAMES_BYTES = 800_000
ERRORS_BYTES = 500_000
SAMPLES_BYTES = 800_000
PLANS_BYTES = 300_000
SHORT = 60
LONG = 500

WORDS = {
    VerdictKind.PASSED: ("✓", "Passed"),
    VerdictKind.FAILED: ("✕", "Failed"),
    VerdictKind.INCONCLUSIVE: ("?", "Inconclusive"),
    VerdictKind.INTERRUPTED: ("‖", "Interrupted"),
    VerdictKind.ERROR: ("!", "Error"),
}


TIMING_WORDS = {
    "ttfb": "first byte",
    "dns": "DNS",
    "connect": "connect",
    "tls": "TLS",
    "send": "send",
    "wait": "wait",
    "receive": "receive",
    "first_event": "first event",
    "event_gap": "between events",
}


@dataclass(frozen=True, slots=True)
class Banner:
    css: str
    sign: str
    heading: str
    reasons: Sequence[str]
    more: int


@dataclass(frozen=True, slots=True)
class Cell:
    """`sort` is the number the column is sorted by; None: sorted by the text. `curve`: the number of a name's curves on the page."""

    text: str
    sort: float | int | None = None
    css: str = ""
    curve: int | None = None


def banner_of(summary: Summary) -> Banner:
    sign, heading = WORDS[summary.verdict.kind]
    reasons = [clip(_sentence(reason), LONG) for reason in summary.verdict.reasons]
    if summary.verdict.kind is VerdictKind.PASSED and not reasons:
        failures = (
            "none failed" if summary.overall.failures == 0 else f"{count_text(summary.overall.failures)} failed, which the script allows"
        )
        reasons = [f"{counted(summary.overall.count, 'request')} in {span_text(summary.duration_s)}; {failures}."]
    return Banner(str(summary.verdict.kind), sign, heading, reasons[:MOST_REASONS], max(0, len(reasons) - MOST_REASONS))


def running_banner() -> Banner:
    return Banner("running", "●", "Running", (), 0)


def line_of(summary: Summary) -> str:
    """The whole run on one line: the main figures when it passed, else the first reason with the most frequent failure."""
    if summary.verdict.kind is not VerdictKind.PASSED:
        return "; ".join(filter(None, (str(summary.verdict), top_failure(summary))))
    overall = summary.overall
    return (
        f"passed: {counted(overall.count, 'request')} in {span_text(summary.duration_s)} ({rate_text(overall.rate_per_s)}/s), "
        f"p95 {latency_text(overall.latency.p95_ms)}, {count_text(overall.failures)} failed"
    )


def top_failure(summary: Summary) -> str:
    """The most frequent failure, as in "20 × status 404 on GET /x"; "" when nothing failed."""
    if not summary.errors:
        return ""
    top = summary.errors[0]
    return f"{count_text(top.count)} × {clip(top.message or top.kind, SHORT)} on {top.method} {clip(top.name, SHORT)}"


def threshold_rows(summary: Summary) -> list[tuple[str, str, str, str, str]]:
    """(state, expression, where, observed, samples), what failed first; bounded."""
    order = {"failed": 0, "inconclusive": 1, "passed": 2}
    shown = sorted(summary.thresholds, key=lambda one: order[str(one.state)])[:MOST_THRESHOLDS]
    return [
        (
            str(one.state),
            clip(one.expression, SHORT),
            clip(one.scope.removeprefix("of "), LONG) or "all",
            one.observed_text,
            count_text(one.samples),
        )
        for one in shown
    ]


def load_words(summary: Summary) -> tuple[str, str]:
    """Which kind of load it was, and what latency therefore means."""
    service = summary.overall.service
    if service is None and summary.rate is None:
        return (
            _loop_words(summary),
            "Response time = service time, from sending a request to the end of its answer. Each user waits for an answer before "
            "it sends the next request, so a slow target gets fewer requests: these latencies do not include the waiting that this causes.",
        )
    return (
        _rate_words(summary),
        "Response time counts from the moment a request was due, so it includes waiting that the target caused."
        + (f" Service time counts from sending (p99 {latency_text(service.p99_ms)})." if service else ""),
    )


def _rate_words(summary: Summary) -> str:
    """With the rate, where one run says so."""
    if summary.rate is None or len(summary.runs) != 1 or not (data := summary.runs[0].plan.get("pace")):
        return "Arrival rate"
    pace = Pace.from_json(data)
    rates = {rate for one in pace.segments for rate in (one.from_per_s, one.to_per_s)}
    rate = f"{max(rates):,g}/s" if len(rates) == 1 else f"from {min(rates):,g}/s to {max(rates):,g}/s"
    gaps = ", random gaps" if pace.spacing == "poisson" else ""
    return f"Arrival rate, {rate}{gaps}, at most {count_text(pace.max_in_flight)} in flight"


def _loop_words(summary: Summary) -> str:
    """With the users and how they come, where one run says so."""
    if len(summary.runs) != 1:
        return "Users in a closed loop"
    run = summary.runs[0]
    shape, spawn = run.plan.get("load_shape"), run.plan.get("spawn_rate")
    words = f"{counted(run.users, 'user')} in a closed loop"
    if isinstance(shape, str) and shape:
        return f"{words}, load shape {clip(shape, SHORT)}"
    return f"{words}, started at {spawn:g} per second" if isinstance(spawn, int | float) and 0 < spawn < run.users else words


def run_facts(summary: Summary) -> tuple[list[list[tuple[str, str]]], int]:
    """(term, text) pairs of each run, and how many runs are left out."""
    kind = load_words(summary)[0]
    found = [_facts_of(run, kind, summary if len(summary.runs) == 1 else None) for run in summary.runs[:MOST_RUNS]]
    return found, max(0, len(summary.runs) - MOST_RUNS)


def key_figures(summary: Summary, in_flight: int | None = None, *, sizes: bool = True) -> list[tuple[str, str, str]]:
    """(label, figure, small print). `in_flight`: the most requests at once, where that is known. `sizes` False: bytes are not."""
    overall, latency, service = summary.overall, summary.overall.latency, summary.overall.service
    ttfb = overall.timings.get(TTFB)
    rate = rate_text(overall.rate_per_s)
    asked = summary.rate
    figures = [
        *([("Of asked", percent_text(asked.achieved), _achieved_words(asked))] if asked else []),
        ("Requests", count_text(overall.count), f"in {span_text(summary.duration_s)}"),
        ("Rate", f"{rate}/s", "requests per second of the load's time"),
        ("Failed", percent_text(overall.failure_rate), f"{count_text(overall.failures)} of {count_text(overall.decided)}"),
        ("Median", latency_text(latency.p50_ms), "p50 response time"),
        ("p95", latency_text(latency.p95_ms), "95 % were faster"),
        ("p99", latency_text(latency.p99_ms), f"from sending: {latency_text(service.p99_ms)}" if service else "99 % were faster"),
        *([("First byte", latency_text(ttfb.p95_ms), f"p95 from sending, median {latency_text(ttfb.p50_ms)}")] if ttfb else []),
        ("Slowest", latency_text(latency.max_ms), f"mean {latency_text(latency.mean_ms)}"),
        *([] if asked else [("Users", count_text(summary.users_peak), "the most at the same time")]),
        *([("In flight", count_text(in_flight), "the most requests at the same time")] if asked and in_flight is not None else []),
        *([("Received", size_text(overall.received_bytes), f"sent {size_text(overall.sent_bytes)}")] if sizes else []),
    ]
    if overall.events:
        first = overall.timings[FIRST_EVENT]
        figures.append(
            ("First event", latency_text(first.p95_ms), f"p95 of {counted(first.count, 'stream')}, median {latency_text(first.p50_ms)}")
        )
        figures.append(("Events", f"{rate_text(overall.events_per_s)}/s", f"{counted(overall.events, 'event')} of all streams"))
    if overall.tokens:
        small = f"one stream: {rate_text(overall.tokens_per_s_each)}/s" if overall.tokens_per_s_each else "of all streams"
        figures.append(("Tokens", f"{rate_text(overall.tokens_per_s)}/s", small))
    if (knee := summary.knee) is not None:
        small = "the first one broke a limit" if knee.held is None else f"step {knee.held.step} of {knee.steps} held every limit"
        figures.append(("Knee", "none" if knee.held is None else f"{rate_text(knee.held.asked_per_s)}/s", small))
    if overall.retries:
        figures.append(("Retries", count_text(overall.retries), "attempts after a failed attempt"))
    if overall.late:
        figures.append(("Late", count_text(overall.late), "sent after they were due"))
    if asked and asked.dropped:
        figures.append(("Dropped", count_text(asked.dropped), "passes from which nothing was sent"))
    if summary.passes.cut_off:
        figures.append(("Cut off", count_text(summary.passes.cut_off), "passes that ended before their last step"))
    return figures


def _achieved_words(asked: RateSummary) -> str:
    return f"{count_text(asked.started)} of {counted(asked.due, 'pass')}"


def name_rows(summary: Summary, curves: Mapping[SeriesName, int]) -> tuple[list[str], list[list[Cell]], list[Cell], int]:
    """(column heads, rows, the row of all, names left out); the busiest names when there are too many."""
    retries, late, service = summary.overall.retries > 0, summary.overall.late > 0, summary.overall.service is not None
    heads = ["Method", "Name", "Requests", "Failed", "Failed %", "Rate /s", "Min", "Mean", "p50", "p90", "p95", "p99", "p99.9", "Max"]
    heads += ["Service p50", "Service p99"] if service else []
    heads += ["Received", "Sent", *(["Retries"] if retries else []), *(["Late"] if late else [])]
    names = Budget(NAMES_BYTES)
    shown = _busiest(summary, MOST_NAMES)
    rows = [_row(one, names, curves.get(SeriesName(one.method, one.name)), retries=retries, late=late, service=service) for one in shown]
    return (
        heads,
        rows,
        _row(summary.overall, Budget(SHORT), None, retries=retries, late=late, service=service),
        len(summary.series) - len(shown),
    )


def apart_rows(summary: Summary) -> tuple[list[tuple[str, str, list[tuple[str, Latency]]]], int]:
    """(method, name, [(which hits, latency)]) of the names that have more than one kind of hits, and how many are left out."""
    found = []
    for one in [summary.overall, *_busiest(summary, len(summary.series))]:
        kinds = [(kind, latency) for kind, latency in (("successes", one.succeeded), ("failures", one.failed)) if latency.count]
        if one.service is not None:
            kinds.append(("service time", one.service))
        if len(kinds) > 1:
            found.append((clip(one.method, SHORT // 2), clip(one.name, SHORT), kinds))
    return found[:MOST_APART], max(0, len(found) - MOST_APART)


def timing_rows(summary: Summary) -> tuple[list[tuple[str, str, list[tuple[str, Latency]]]], int]:
    """(method, name, [(what the time went to, its lengths)]) of all hits and of the names of which that is known, and how many are left
    out."""
    known = [one for one in [summary.overall, *_busiest(summary, len(summary.series))] if one.timings]
    if len(known) == 2:
        known = known[1:]  # one name: all hits together are the same
    found = [
        (clip(one.method, SHORT // 2), clip(one.name, SHORT), [(TIMING_WORDS[timing], times) for timing, times in one.timings.items()])
        for one in known
    ]
    return found[:MOST_TIMINGS], max(0, len(found) - MOST_TIMINGS)


def error_groups(summary: Summary) -> tuple[list[dict[str, object]], int, int]:
    """Groups by count, falling; how many groups are left out, and the hits in them."""
    texts, samples = Budget(ERRORS_BYTES), Budget(SAMPLES_BYTES)
    groups = [_group(error, summary, texts, samples) for error in summary.errors[:MOST_ERRORS]]
    rest = summary.errors[MOST_ERRORS:]
    return groups, len(rest), sum(error.count for error in rest)


def environments(summary: Summary) -> list[JsonObject]:
    """Environment and plan of each run."""
    budget = Budget(PLANS_BYTES)
    found = []
    for run in summary.runs[:MOST_RUNS]:
        plan = json.dumps(run.plan, indent=2, ensure_ascii=False, default=str) if run.plan else ""
        text = budget.take(plan, PLANS_BYTES // 6)
        facts = []
        for key, value in list(run.environment.items())[:MOST_ENVIRONMENT]:
            said = budget.take(str(value), LONG)
            if said is not None:
                facts.append((clip(str(key), SHORT), said))
        found.append(
            {
                "label": clip(run.label or run.id, SHORT),
                "facts": facts,
                "plan": text,
                "cut": text != plan,
                "more": len(run.environment) - len(facts),
                "folder": clip(run.folder, LONG),
            }
        )
    return found


def _busiest(summary: Summary, most: int) -> list[SeriesSummary]:
    """In the order of the summary while all fit, else by count."""
    if len(summary.series) <= MOST_NAMES:
        return list(summary.series)
    return sorted(summary.series, key=lambda one: -one.count)[:most]


def _facts_of(run: RunFacts, kind: str, alone: Summary | None) -> list[tuple[str, str]]:
    planned = span_text(run.planned_s) if run.planned_s else "open end"
    pairs = [
        ("Script", run.script),
        ("Label", run.label),
        ("Target", run.target),
        ("Kind of load", kind),
        ("At most in flight" if run.plan.get("pace") else "Users", count_text(run.users)),
        ("Duration", f"{span_text(alone.duration_s)} of load, planned: {planned}" if alone else f"planned: {planned}"),
        ("Protocol and engine", " · ".join(part for part in (run.protocol, run.engine, run.why_not_native) if part)),
        ("Started", utc_text(run.started_unix_s)),
        ("Build", run.revision),
        *([("TLS", ", ".join(run.tls))] if run.tls else []),
        ("Run", run.id),
    ]
    return [(term, clip(text, LONG) or "–") for term, text in pairs]


def _row(one: SeriesSummary, names: Budget, curve: int | None, *, retries: bool, late: bool, service: bool) -> list[Cell]:
    latency = one.latency
    times = (
        latency.min_ms,
        latency.mean_ms,
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.p999_ms,
        latency.max_ms,
    )
    name = names.take(one.name, LONG)
    return [
        Cell(clip(one.method, SHORT // 2)),
        Cell(clip(one.name, SHORT) if name is None else name, css="name", curve=curve),
        Cell(count_text(one.count), one.count),
        Cell(count_text(one.failures), one.failures, "bad" if one.failures else ""),
        Cell(percent_text(one.failure_rate), round(one.failure_rate, 7), "bad" if one.failures else ""),
        Cell(rate_text(one.rate_per_s), round(one.rate_per_s, 4)),
        *(Cell(latency_text(ms), round(ms, 4)) for ms in times),
        *(Cell(latency_text(ms), round(ms, 4)) for ms in _service_ms(one, service)),
        Cell(size_text(one.received_bytes), one.received_bytes),
        Cell(size_text(one.sent_bytes), one.sent_bytes),
        *([Cell(count_text(one.retries), one.retries)] if retries else []),
        *([Cell(count_text(one.late), one.late)] if late else []),
    ]


def _service_ms(one: SeriesSummary, wanted: bool) -> tuple[float, ...]:
    service = one.service or one.latency  # a name whose hits never waited: both are the same
    return (service.p50_ms, service.p99_ms) if wanted else ()


def _group(error: ErrorSummary, summary: Summary, texts: Budget, samples: Budget) -> dict[str, object]:
    shown = []
    for sample in error.samples[:MOST_SAMPLES]:
        values, blocks = sample_parts(sample)
        taken_values = [(clip(key, SHORT), samples.take(text, LONG)) for key, text in values[:MOST_VALUES]]
        taken_blocks = [(clip(title, SHORT), samples.take(text, SAMPLE_CHARACTERS), len(text)) for title, text in blocks[:MOST_BLOCKS]]
        if any(text is None for _, text in taken_values) or any(text is None for _, text, _ in taken_blocks):
            break
        left_out = max(0, len(values) - MOST_VALUES) + max(0, len(blocks) - MOST_BLOCKS)
        shown.append({"values": taken_values, "blocks": taken_blocks, "more": left_out})
    message = texts.take(error.message, LONG + 1)
    name = texts.take(f"{error.method} {error.name}".strip(), LONG)
    return {
        "kind": error.kind,
        "message": clip(error.message, SHORT) if message is None else message,
        "name": clip(f"{error.method} {error.name}".strip(), SHORT) if name is None else name,
        "count": count_text(error.count),
        "share": percent_text(error.count / summary.overall.failed.count) if summary.overall.failed.count else "",
        "first": span_text(error.first_s),
        "last": span_text(error.last_s),
        "samples": shown,
        "more_samples": len(error.samples) - len(shown),
    }


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:]
