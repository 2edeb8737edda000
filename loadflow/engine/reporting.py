"""The commands that summarise and report the current session's runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from loadflow.engine.records.given import summary_of_records
from loadflow.engine.records.run import summary_of
from loadflow.engine.reports.csv_report import write_csv_report
from loadflow.engine.reports.html import render_html, write_html_report
from loadflow.engine.reports.json_report import json_records, write_json_report
from loadflow.engine.reports.junit import write_junit_report
from loadflow.engine.reports.summary_json import write_summary_report
from loadflow.engine.reports.xml_report import write_xml_report, xml_records
from loadflow.engine.session import current_session

__all__ = [
    "clear_records",
    "generate_csv_report",
    "generate_html",
    "generate_html_report",
    "generate_json",
    "generate_json_report",
    "generate_junit_report",
    "generate_summary_report",
    "generate_xml",
    "generate_xml_report",
    "summary",
]

ARTIFACT_VARIABLE = "TEST_PIONEER_ARTIFACT_DIR"  # where the harness that LoadDensity comes with collects a script's files


def summary(success: list[dict[str, Any]] | None = None, failures: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The summary of all runs since the last LD_clear_records, as `Summary.to_json` gives it.

    With `success` or `failures`, lists of records such as a JSON report holds, it is the summary of these instead.
    """
    if success is not None or failures is not None:
        return summary_of_records(success or [], failures or []).to_json()
    return summary_of(current_session().runs).to_json()


def clear_records() -> dict[str, str]:
    """Let later summaries and reports start from nothing. Run folders stay, and so does their part in the verdict."""
    current_session().clear_records()
    return {"status": "cleared"}


def generate_html() -> str:
    """The HTML report of the runs so far, as text."""
    runs = current_session().runs
    return render_html(summary_of(runs), (second for run in runs for second in run.seconds()))


def generate_html_report(html_name: str = "default_name") -> str:
    """Write `<html_name>.html` below the report folder; returns its path."""
    return str(write_html_report(current_session().runs, _path(html_name, ".html")))


def generate_summary_report(report_name: str = "loaddensity-summary") -> str:
    """Write `<report_name>.json` below the report folder; returns its path."""
    return str(write_summary_report(current_session().runs, _path(report_name, ".json")))


def generate_csv_report(csv_name: str = "default_name") -> str:
    """Write `<csv_name>.csv`, a line for each hit in the order they ended; returns its path."""
    return str(write_csv_report(current_session().runs, _path(csv_name, ".csv")))


def generate_json() -> tuple[dict[str, Any], dict[str, Any]]:
    """Every hit as a record, successes and failures; for 100,000 hits and less, because it is all in memory."""
    return json_records(current_session().runs)


def generate_json_report(json_file_name: str = "default_name") -> tuple[str, str]:
    """Write `<json_file_name>_success.json` and `<json_file_name>_failure.json`; returns their paths."""
    success, failure = write_json_report(
        current_session().runs, _path(json_file_name, "_success.json"), _path(json_file_name, "_failure.json")
    )
    return str(success), str(failure)


def generate_xml() -> tuple[str, str]:
    """Every hit as a record in XML, successes and failures; for 100,000 hits and less, because it is all in memory."""
    return xml_records(current_session().runs)


def generate_xml_report(xml_file_name: str = "default_name") -> tuple[str, str]:
    """Write `<xml_file_name>_success.xml` and `<xml_file_name>_failure.xml`; returns their paths."""
    success, failure = write_xml_report(current_session().runs, _path(xml_file_name, "_success.xml"), _path(xml_file_name, "_failure.xml"))
    return str(success), str(failure)


def generate_junit_report(report_name: str = "loaddensity-junit", per_request: bool = False) -> str:
    """Write `<report_name>.xml` for CI servers: a test case for each name, or for each request; returns its path."""
    return str(write_junit_report(current_session().runs, _path(report_name, ".xml"), per_request=per_request))


def _path(name: str, suffix: str) -> Path:
    """The suffix is appended to whatever name was given, dots and all; an absolute name stays where it says.

    A relative one goes below the session's report folder. Where none was chosen it goes below $TEST_PIONEER_ARTIFACT_DIR, if
    that is set and the name does not lead out of it.
    """
    session = current_session()
    file = f"{name}{suffix}"
    artifacts = os.environ.get(ARTIFACT_VARIABLE)
    if artifacts and session.report_dir == Path() and Path(os.path.normpath(file)).parts[:1] != ("..",):
        return Path(artifacts) / file
    return session.report_dir / file
