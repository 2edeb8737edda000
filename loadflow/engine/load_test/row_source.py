"""Where a load's rows come from: a file, or a database that is asked before the load."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from loadflow.engine.plan import csv_source
from loadflow.engine.protocols.running.charsets import CHARSETS
from loadflow.engine.script.mistakes import Fault, shorten, wrong
from loadflow.engine.script.part import Choice, Flag, Int, Name, Part, Text
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["CsvSource", "DatabaseQuery"]

ENCODINGS = frozenset(codecs.lookup(name).name for name in CHARSETS)  # by Python's own names, some of which differ: iso8859-1
DATABASE_URL = re.compile(r"[A-Za-z][\w.-]*(\+[\w.-]+)?://")
DATABASE_FORMS = "write it as SQLAlchemy does, such as postgresql://user:password@host/database or sqlite:///data/users.db"


def _charset(name: str) -> str:
    try:
        known = codecs.lookup(name).name in ENCODINGS
    except (LookupError, ValueError):
        known = False
    if not known:
        raise wrong(f"{shorten(name)} is not a text encoding", "write it as Python does: utf-8, utf-16, latin-1, cp1252, shift_jis, …")
    return name


def _database_url(text: str) -> str:
    if not has_placeholder(text) and not DATABASE_URL.match(text):
        raise wrong("is not the URL of a database", DATABASE_FORMS)
    return text


class DatabaseQuery(Part):
    """A query that is made once, before the load. `url` as SQLAlchemy writes it, by a secret where it holds a password."""

    noun: ClassVar[str] = "a database query"
    url: Annotated[Name, AfterValidator(_database_url)]
    query: Name


class CsvSource(Part):
    """Rows for `${csv.NAME.COLUMN}`: of a file, CSV with a header or JSON objects, or of a database. `per` user: each user keeps one row
    for all steps.

    `cycle` false is the older way to write mode once.
    """

    noun: ClassVar[str] = "a csv source"
    name: Name
    file_path: Name | None = None
    database: DatabaseQuery | None = None
    mode: Annotated[str, Choice("mode of a csv source", ("cycle", "once", "random"))] = "cycle"
    cycle: Flag | None = None
    seed: Int | None = None
    delimiter: Annotated[Text, Field(pattern=r'^[^"\r\n]$')] = ","
    quote: Annotated[Text, Field(pattern=r"^[^\r\n]?$", description='Around cells; "": no sign is')] = '"'
    encoding: Annotated[Name, AfterValidator(_charset)] = "utf-8"
    per: Annotated[str, Choice("per of a csv source", ("step", "user"))] = "step"

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        mode, cycle = raw.get("mode"), raw.get("cycle")
        if isinstance(cycle, bool) and isinstance(mode, str) and (mode == "cycle") is not cycle:
            yield Fault(("cycle",), f"contradicts mode {mode!r}", "keep mode and remove cycle")
        if raw.get("quote") == raw.get("delimiter", ","):
            yield Fault(("quote",), "is the delimiter too", "give each a sign of its own")
        if raw.get("database") is None and raw.get("file_path") is None:
            yield Fault(("file_path",), "is missing", 'name a file of rows, or a "database" with its url and query')
        elif raw.get("database") is not None:
            for key in ("file_path", "delimiter", "quote", "encoding"):
                if raw.get(key) is not None:
                    yield Fault((key,), "has no meaning for a database", "leave it out")

    def source(self) -> csv_source.CsvSource:
        """As a plan names it; of a database, before its rows are in a file."""
        mode: Any = "once" if self.cycle is False else self.mode
        per: Any = self.per
        query = None if self.database is None else csv_source.Query(self.database.url, self.database.query)
        return csv_source.CsvSource(self.name, self.file_path or "", mode, self.seed, self.delimiter, self.encoding, per, self.quote, query)
