"""The XML record reports: all successes in one file, all failures in the other, as LoadDensity lays them out, times added.

The root is `xml_data`, with an element `Success_Test1`, … or `Failure_Test1`, … for each hit and one inside it for each of its
fields; a comment before it says which runs they are of, how many hits these have and how they were judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loadflow.engine.base.counted import counted
from loadflow.engine.records.run import Run
from loadflow.engine.reports.pieces import Constant, Piece
from loadflow.engine.reports.record_files import RecordFormat, record_texts, write_record_files
from loadflow.engine.reports.xml_text import xml_comment, xml_text

__all__ = ["write_xml_report", "xml_records"]


def write_xml_report(runs: Sequence[Run], success: Path, failure: Path) -> tuple[Path, Path]:
    """Write the two files, hits in the order they ended, and return where they are; folders are made.

    Characters that XML can't hold are replaced by U+FFFD. Raises RunError when they can't be written or there is no run.

    >>> run = Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")  # doctest: +SKIP
    >>> write_xml_report([run], Path("records_success.xml"), Path("records_failure.xml"))  # doctest: +SKIP
    """
    return write_record_files(runs, success, failure, XML)


def xml_records(runs: Sequence[Run]) -> tuple[str, str]:
    """What the two files hold. Raises CommandError for more than 100,000 hits, RunError for no run."""
    return record_texts(runs, XML, "LD_generate_xml")


def _head(runs: Sequence[Run]) -> str:
    about = "; ".join(f"run {run.facts.id}: {counted(run.totals().hits, 'hit')}, {run.summary().verdict}" for run in runs)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {xml_comment(about)} -->\n<xml_data>'


def _record(name: Sequence[Piece], fields: Sequence[tuple[str, Sequence[Piece]]]) -> list[Piece]:
    pieces: list[Piece] = [Constant("\n\t<"), *name, Constant(">")]
    for key, value in fields:
        pieces += [Constant(f"\n\t\t<{key}>"), *value, Constant(f"</{key}>")]
    return [*pieces, Constant("\n\t</"), *name, Constant(">")]


XML = RecordFormat(escape=xml_text, head=_head, record=_record, between="", tail="\n</xml_data>\n", empty="</xml_data>\n")
