"""The elements of a JUnit document, as CI servers read them (Jenkins, GitLab, GitHub's reporters): values in, text out.

There is no one standard; what is written here is what their readers and the schemas in use have in common: `testsuites` over
`testsuite` over `properties` and `testcase`, in a case at most one of `skipped`, `error` and `failure`, then `system-out`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from loadflow.engine.reports.xml_text import xml_attribute, xml_text

__all__ = ["Case", "Counts", "Problem", "Suite", "case_xml", "suite_head", "suites_head"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a case did not pass."""

    element: Literal["failure", "error", "skipped"]
    kind: str
    message: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    group: str  # its classname
    name: str
    time_s: float
    problem: Problem | None = None
    output: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Counts:
        elements = [case.problem.element for case in cases if case.problem]
        return cls(len(cases), *(elements.count(element) for element in ("failure", "error", "skipped")))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tests + other.tests, self.failures + other.failures, self.errors + other.errors, self.skipped + other.skipped)


@dataclass(frozen=True, slots=True)
class Suite:
    """`started_unix_s` is written as UTC without a zone, the form that all schemas allow."""

    number: int
    name: str
    hostname: str
    started_unix_s: float
    time_s: float
    counts: Counts
    properties: Mapping[str, str] = field(default_factory=dict)


def time_text(seconds: float) -> str:
    """Seconds with the three decimals that the schema of Jenkins' xUnit plug-in allows at most."""
    return f"{seconds:.3f}"


def suites_head(name: str, time_s: float, counts: Counts) -> str:
    # without `skipped`: schemas in use know it on a testsuite only
    attributes = {"name": name, "tests": counts.tests, "failures": counts.failures, "errors": counts.errors, "time": time_text(time_s)}
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites{_attributes(attributes)}>\n'


def suite_head(suite: Suite) -> str:
    counts = suite.counts
    attributes = {
        "name": suite.name,
        "id": suite.number,
        "tests": counts.tests,
        "failures": counts.failures,
        "errors": counts.errors,
        "skipped": counts.skipped,
        "time": time_text(suite.time_s),
        "timestamp": datetime.fromtimestamp(suite.started_unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "hostname": suite.hostname,
    }
    properties = "".join(f"\t\t\t<property{_attributes({'name': name, 'value': value})}/>\n" for name, value in suite.properties.items())
    return f"\t<testsuite{_attributes(attributes)}>\n\t\t<properties>\n{properties}\t\t</properties>\n"


def case_xml(case: Case) -> str:
    attributes = {"classname": case.group, "name": case.name, "time": time_text(case.time_s)}
    inside = (_problem(case.problem) if case.problem else "") + (
        f"\t\t\t<system-out>{xml_text(case.output)}</system-out>\n" if case.output else ""
    )
    opened = f"\t\t<testcase{_attributes(attributes)}"
    return f"{opened}>\n{inside}\t\t</testcase>\n" if inside else f"{opened}/>\n"


def _problem(problem: Problem) -> str:
    if problem.element == "skipped":
        return f"\t\t\t<skipped{_attributes({'message': problem.message})}/>\n"
    attributes = _attributes({"type": problem.kind, "message": problem.message})
    return f"\t\t\t<{problem.element}{attributes}>{xml_text(problem.body or problem.message)}</{problem.element}>\n"


def _attributes(values: Mapping[str, object]) -> str:
    return "".join(f' {name}="{xml_attribute(str(value))}"' for name, value in values.items())
