"""LD_register_csv_source: use a CSV file, or a database, for ${csv.NAME.COLUMN}."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands.ld_register_csv_sources import register_csv_sources
from loadflow.engine.script.command import QUICK, Command

__all__ = ["COMMAND", "register_csv_source"]


def register_csv_source(
    name: str,
    file_path: str | None = None,
    cycle: bool | None = None,
    mode: str | None = None,
    seed: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    per: str | None = None,
    quote: str | None = None,
    database: JsonObject | None = None,
) -> None:
    """Bind rows to `${csv.name.column}`: of a file, CSV with a header row, JSON lines (.jsonl) or a JSON list of objects (.json), or of a
    database.

    `mode`: cycle (default; from the start again at the end), once (a step that needs a row after the last one fails) or
    random (seeded by `seed`). `cycle=False` is the older way to say once. `delimiter`: what separates the cells (default: a comma).
    `encoding`: of the file (default: UTF-8), for example latin-1. `per`: "user" if each user keeps one row for all of its steps.
    `quote`: what stands around cells (default: a double quote), "" if nothing does.
    `database`, instead of `file_path`: `{"url": "${secret.users_db}", "query": "SELECT …"}`. Each load that follows asks once, before it
    starts.
    """
    optional = {
        "file_path": file_path,
        "cycle": cycle,
        "mode": mode,
        "seed": seed,
        "delimiter": delimiter,
        "encoding": encoding,
        "per": per,
        "quote": quote,
        "database": database,
    }
    register_csv_sources([{"name": name, **{key: value for key, value in optional.items() if value is not None}}])


COMMAND = Command(
    "LD_register_csv_source",
    register_csv_source,
    "Use a CSV file, or a database, for ${csv.NAME.COLUMN}.",
    QUICK,
    dry=True,
    sets=True,
    group="values",
    returns="null",
    example={"name": "users", "file_path": "users.csv", "mode": "once"},
)
