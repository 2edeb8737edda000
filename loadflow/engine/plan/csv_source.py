"""A file of rows as a plan names it: where it is, and how its rows are dealt out; and the query that gives such a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CsvSource", "Mode", "Query"]

Mode = Literal["cycle", "once", "random"]


@dataclass(frozen=True, slots=True)
class Query:
    """What a database is asked before a load. Both may hold placeholders until then, as the URL should where it has a password."""

    url: str
    query: str


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A named CSV or JSON file and how its rows are handed out.

    `cycle` starts over at the end, `once` gives every row to one step only, `random` draws with replacement.
    `per`: whether a row is taken for each step that asks for one, or once for a user, who keeps it for all of his steps.
    `seed` is for `random`; None takes the plan's seed, and real randomness where the plan has none.
    """

    name: str
    file_path: str
    mode: Mode = "cycle"
    seed: int | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    per: Literal["step", "user"] = "step"
    quote: str = '"'  # around cells that hold delimiters, quotes or line ends; "": none has a meaning
    database: Query | None = None  # whose answer the rows will be; None: the file is there, and so it is in every plan
    fetched_from: str = ""  # the database whose rows the file holds, for this load alone; "": it is a file of the script
