"""The CSV report: one line per hit, in the order they ended (RFC 4180: CRLF, quotes doubled; UTF-8 without a mark)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from loadflow.engine.records.run import Run
from loadflow.engine.reports.hit_fields import CSV_KEYS, HitFields
from loadflow.engine.reports.pieces import Constant, Piece, render
from loadflow.engine.reports.run_hits import RunHits, chronological
from loadflow.engine.reports.writing import report_files

__all__ = ["write_csv_report"]

MUST_QUOTE = re.compile(r'[",;\t\r\n]')  # a semicolon or a tab begins another cell where a spreadsheet separates by it
# What a spreadsheet takes for the begin of a formula (OWASP, CSV Injection), full-width signs too; a number is none
FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20](?!(?<=[+-])[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z)")


def write_csv_report(runs: Sequence[Run], path: Path) -> Path:
    """Write every hit of the runs, one run after the other, and return where it is; folders are made.

    The header's first eight columns are those of LoadDensity. Runs without a hit give the header alone. Raises RunError when
    the file can't be written or there is no run.

    >>> write_csv_report([Run.open("loadflow-runs/20261121-042800-smoke-1f2e3d4c")], Path("hits.csv"))  # doctest: +SKIP
    """
    ordered = chronological(runs)
    with report_files([path]) as (file,):
        file.write(f"{','.join(CSV_KEYS)}\r\n".encode())
        for run in ordered:
            hits_of_run = RunHits(run)
            fields = HitFields(hits_of_run, quoted)
            for hits in hits_of_run:
                columns = [[*fields.pieces(key, hits), Constant(",")] for key in CSV_KEYS]
                pieces: list[Piece] = [*chain.from_iterable(columns)]
                pieces[-1] = Constant("\r\n")
                file.writelines(render(pieces, len(hits)))
    return path


def quoted(text: str) -> str:
    """A cell's text; an apostrophe before what would be a formula, which spreadsheets show as text then.

    >>> print(quoted('a "b", c'), quoted("plain"), quoted("=1+1"), quoted("-5.5"))
    "a ""b"", c" plain '=1+1 -5.5
    """
    if FORMULA.match(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if MUST_QUOTE.search(text) else text
