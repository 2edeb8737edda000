"""The whole report in one sentence, for readers who make decisions and don't read percentiles: what, how it went, compared with what."""

from __future__ import annotations

from datetime import UTC, datetime

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import latency_text, percent_text, rate_text, span_text
from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.plan.pace import Pace
from loadflow.engine.records.compare import ChangeKind
from loadflow.engine.records.summary import Summary
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.since import EarlierRun, Since

__all__ = ["compared_words", "in_short"]

CHARACTERS = 120  # of a label, a target, a build
VERDICTS = {
    VerdictKind.PASSED: "passed",
    VerdictKind.FAILED: "failed",
    VerdictKind.INCONCLUSIVE: "has no certain result",
    VerdictKind.INTERRUPTED: "was stopped early",
    VerdictKind.ERROR: "ended with an error",
}

TURNS = (ChangeKind.WORSE, ChangeKind.BETTER)


def in_short(summary: Summary, since: Since | None) -> str:
    sentence = f"{_what(summary)} {VERDICTS[summary.verdict.kind]}: {_went(summary)}"
    return f"{sentence}; {compared_words(since)}." if since else f"{sentence}."


def compared_words(since: Since) -> str:
    if since.good is None:
        return f"there is nothing to compare it with: {clip(since.why, CHARACTERS)}"
    against = f"compared with the last good run, {_run_words(since.good)},"
    by_kind = {kind: [row for row in since.rows if row.verdict is kind] for kind in ChangeKind}
    parts = [f"{_listed([f'{_word(row.metric)} ({row.change})' for row in by_kind[kind]])} got {kind}" for kind in TURNS if by_kind[kind]]
    if same := by_kind[ChangeKind.SAME]:
        everything = len(same) == len(since.rows)
        parts.append("everything is the same" if everything else f"{_listed([_word(row.metric) for row in same])} stayed the same")
    if by_kind[ChangeKind.UNCLEAR]:
        short = any(row.why.startswith("too short to say") for row in since.rows)
        of_all = len(by_kind[ChangeKind.UNCLEAR]) == len(since.rows)
        parts.append("it is too short to say what changed" if short else "nothing is clear" if of_all else "the rest is unclear")
    return f"{against} {', '.join(parts) or 'there is nothing to compare'}"


def _word(metric: str) -> str:
    return "failures" if metric == "Failed" else metric.lower()


def _listed(words: list[str]) -> str:
    """
    >>> _listed(["p50", "p95", "p99"])
    'p50, p95 and p99'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _what(summary: Summary) -> str:
    if not summary.runs:
        return "The load test"
    first = summary.runs[0]
    if len(summary.runs) > 1:
        return f"The load test of {counted(len(summary.runs), 'run')}"
    target = f" of {clip(first.target, CHARACTERS)}" if first.target else ""
    return f"The load test “{clip(first.label or first.script or first.id, CHARACTERS)}”{target}{_build_words(first.revision)}"


def _went(summary: Summary) -> str:
    overall = summary.overall
    if overall.count == 0:
        return "no request was made"
    failed = "none failed" if overall.failures == 0 else f"{percent_text(overall.failure_rate)} failed"
    return (
        f"{counted(overall.count, 'request')} {_how(summary)} in {span_text(summary.duration_s)}, {failed}, "
        f"95 % took at most {latency_text(overall.latency.p95_ms)}"
    )


def _how(summary: Summary) -> str:
    if summary.rate is not None:
        data = summary.runs[0].plan.get("pace") if len(summary.runs) == 1 else None
        rates = {rate for one in Pace.from_json(data).segments for rate in (one.from_per_s, one.to_per_s)} if data else set()
        asked = f"{rates.pop():,g}" if len(rates) == 1 else rate_text(summary.rate.asked_per_s)
        return f"at a rate of {asked}/s"
    users = summary.users_peak or sum(run.users for run in summary.runs[:1])
    return f"by {counted(users, 'user')}"


def _run_words(run: EarlierRun) -> str:
    try:
        when = datetime.fromtimestamp(run.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        when = clip(run.id, CHARACTERS)
    return f"{when}{_build_words(run.revision)}"


def _build_words(revision: str) -> str:
    return f" (build {clip(revision, CHARACTERS)})" if revision else ""
