"""The JUnit report: load tests among a CI server's test results, one suite per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from loadflow.engine.records.run import Run
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.timings import TTFB
from loadflow.engine.reports.junit_cases import HitCases, group_of, name_cases, threshold_cases, verdict_case
from loadflow.engine.reports.junit_xml import Counts, Suite, case_xml, suite_head, suites_head
from loadflow.engine.reports.pieces import render
from loadflow.engine.reports.run_hits import chronological
from loadflow.engine.reports.writing import report_files

__all__ = ["write_junit_report"]


def write_junit_report(runs: Sequence[Run], path: Path, *, per_request: bool = False) -> Path:
    """Write the report and return where it is; folders are made.

    Each run is a suite: a case for its verdict, and one for each name or, with `per_request`, one for each hit, where a
    failed one fails its case even if the run may have some. Raises RunError when the file can't be written or there is no run.

    >>> write_junit_report([Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")], Path("junit.xml"))  # doctest: +SKIP
    """
    suites = [_RunSuite(number, run, per_request) for number, run in enumerate(chronological(runs))]
    counts, time_s = Counts(), 0.0
    for suite in suites:
        counts, time_s = counts + suite.counts, time_s + suite.summary.duration_s
    with report_files([path]) as (file,):
        file.write(_bytes(suites_head("loadflow", time_s, counts)))
        for suite in suites:
            suite.write(file)
        file.write(b"</testsuites>\n")
    return path


class _RunSuite:
    def __init__(self, number: int, run: Run, per_request: bool) -> None:
        self.summary = run.summary()
        self._run = run
        self._number = number
        self._hits = HitCases(run) if per_request and self.summary.overall.count else None
        cases = [verdict_case(self.summary), *threshold_cases(self.summary)]
        if self._hits is None:
            cases += name_cases(run, self.summary)
        self._cases = [replace(case, group=group_of(run, case.group)) for case in cases]
        self.counts = Counts.of(self._cases) + (self._hits.counts() if self._hits else Counts())

    def write(self, file: BinaryIO) -> None:
        facts = self._run.facts
        file.write(
            _bytes(
                suite_head(
                    Suite(
                        number=self._number,
                        name=facts.label or facts.script or facts.id or "load test",
                        hostname=str(facts.environment.get("host") or "localhost"),
                        started_unix_s=facts.started_unix_s,
                        time_s=self.summary.duration_s,
                        counts=self.counts,
                        properties=_properties(self._run, self.summary),
                    )
                )
            )
        )
        for case in self._cases:
            file.write(_bytes(case_xml(case)))
        for pieces, rows in self._hits or ():
            file.writelines(render(pieces, rows))
        file.write(b"\t</testsuite>\n")


def _properties(run: Run, summary: Summary) -> dict[str, str]:
    facts, overall = run.facts, summary.overall
    return {
        "verdict": str(summary.verdict.kind),
        "run": facts.id,
        "folder": facts.folder,
        "script": facts.script,
        "target": facts.target,
        "protocol": facts.protocol,
        "engine": facts.engine,
        "users": str(facts.users),
        "max_failure_rate": str(run.max_failure_rate),
        "hits": str(overall.count),
        "failures": str(overall.failures),
        "retries": str(overall.retries),
        "rate_per_s": f"{overall.rate_per_s:.3f}",
        **_rate_properties(summary),
        **_ttfb_properties(summary),
        **{f"{name}_ms": f"{getattr(overall.latency, f'{name}_ms'):.3f}" for name in ("mean", "p50", "p90", "p95", "p99", "p999", "max")},
    }


def _rate_properties(summary: Summary) -> dict[str, str]:
    rate, service = summary.rate, summary.overall.service
    if rate is None or service is None:
        return {}
    counts = {f"passes_{name}": count for name, count in summary.passes.to_json().items()} | {"late": summary.overall.late}
    times = {f"service_{name}_ms": f"{getattr(service, f'{name}_ms'):.3f}" for name in ("p50", "p99", "max")}
    return {**{name: str(count) for name, count in counts.items()}, **times}


def _ttfb_properties(summary: Summary) -> dict[str, str]:
    ttfb = summary.overall.timings.get(TTFB)
    return {f"ttfb_{name}_ms": f"{getattr(ttfb, f'{name}_ms'):.3f}" for name in ("p50", "p95", "p99", "max")} if ttfb else {}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
