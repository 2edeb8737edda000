"""The commands that summarise and report the current session's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadflow.engine.records.run import summary_of
from loadflow.engine.reports.html import render_html, write_html_report
from loadflow.engine.reports.summary_json import write_summary_report
from loadflow.engine.session import current_session

__all__ = ["clear_records", "generate_html", "generate_html_report", "generate_summary_report", "summary"]


def summary() -> dict[str, Any]:
    """The summary of all runs since the last LD_clear_records, as `Summary.to_json` gives it."""
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


def _path(name: str, suffix: str) -> Path:
    """The suffix is appended to whatever name was given, dots and all; an absolute name stays where it says."""
    return current_session().report_dir / f"{name}{suffix}"
