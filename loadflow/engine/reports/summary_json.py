"""The summary as a file for machines; `summary_schema.json` beside this module is its published shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from loadflow.engine.base.files import write_atomically
from loadflow.engine.records.run import Run
from loadflow.engine.records.summing import summary_of
from loadflow.errors import RunError

__all__ = ["summary_schema", "write_summary_report"]


def write_summary_report(runs: Sequence[Run], path: Path) -> Path:
    """Write `Summary.to_json` of one run, or of several taken together, and return where it is; folders are made.

    Raises RunError when the file can't be written, or a run can't be read.

    >>> write_summary_report([Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")], Path("summary.json"))  # doctest: +SKIP
    """
    if not runs:
        raise RunError("there is no run to summarise; give at least one run folder")
    text = json.dumps(summary_of(runs).to_json(), indent=2, ensure_ascii=False)
    try:
        write_atomically(path, text + "\n")
    except OSError as error:
        raise RunError(f"the summary {path} can't be written ({error}); choose a folder that can be written and has room") from error
    return path


def summary_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of the summary.

    >>> summary_schema()["title"]
    'loadflow summary'
    """
    text = (files("loadflow.engine.reports") / "summary_schema.json").read_text(encoding="utf-8")
    schema: dict[str, object] = json.loads(text)
    return schema
