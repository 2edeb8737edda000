"""The JSON record reports: all successes in one file, all failures in the other, as LoadDensity lays them out, times added.

A file is an object from `Success_Test1`, … or `Failure_Test1`, … to the fields of a hit, indented by four; `{}` where there is
no hit. Texts are text and measurements numbers; `status_code` is text, as its readers know it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from loadflow.engine.records.run import Run
from loadflow.engine.reports.hit_fields import NUMBERS
from loadflow.engine.reports.pieces import Constant, Piece
from loadflow.engine.reports.record_files import RecordFormat, record_texts, write_record_files

__all__ = ["json_records", "write_json_report"]


def write_json_report(runs: Sequence[Run], success: Path, failure: Path) -> tuple[Path, Path]:
    """Write the two files, hits in the order they ended, and return where they are; folders are made.

    Raises RunError when they can't be written or there is no run.

    >>> run = Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")  # doctest: +SKIP
    >>> write_json_report([run], Path("records_success.json"), Path("records_failure.json"))  # doctest: +SKIP
    """
    return write_record_files(runs, success, failure, JSON)


def json_records(runs: Sequence[Run]) -> tuple[dict[str, object], dict[str, object]]:
    """What the two files hold, as objects. Raises CommandError for more than 100,000 hits, RunError for no run."""
    success, failure = record_texts(runs, JSON, "LD_generate_json")
    return json.loads(success), json.loads(failure)


def _record(name: Sequence[Piece], fields: Sequence[tuple[str, Sequence[Piece]]]) -> list[Piece]:
    pieces: list[Piece] = [Constant('\n    "'), *name, Constant('": {')]
    for key, value in fields:
        quote = Constant("" if key in NUMBERS else '"')
        pieces += [Constant(f'\n        "{key}": '), quote, *value, quote, Constant(",")]
    return [*pieces[:-1], Constant("\n    }")]


def _escape(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


JSON = RecordFormat(escape=_escape, head=lambda runs: "{", record=_record, between=",", tail="\n}\n", empty="}\n")
