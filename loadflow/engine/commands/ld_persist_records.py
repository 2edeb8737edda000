"""LD_persist_records: store the runs so far in a database; returns the run's id."""

from __future__ import annotations

import json

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands.stored_place import stored_place
from loadflow.engine.script.command import STORE, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["COMMAND", "persist_records"]


def persist_records(
    database_path: str | None = None, label: str | None = None, metadata: JsonObject | None = None, *, url: str | None = None
) -> int | list[int]:
    """Store every run since the last LD_clear_records; returns the id of the run, or the list of ids when there are several.

    `database_path` is a file of SQLite, made when missing; `url` a database URL (`postgresql://user:password@host/database`).
    All is stored or nothing, and a run that is stored already is not stored again: its id is returned, and a label or
    metadata that is given replaces what was there. `metadata` is a JSON object, kept as it is. Raises CommandError when there is no
    run to store, RunError when the database is locked, full or out of reach; then it can simply be called again.

    >>> persist_records("runs.db", label="nightly", metadata={"commit": "4f2a"})  # doctest: +SKIP
    17
    """
    place = stored_place(database_path, url)
    session = current_session()
    runs, about = session.runs, _json_object(metadata)
    if not (session.loads if session.rehearsing else runs):
        raise CommandError([Mistake("", "there is no run to store", "LD_start_test comes first, and LD_clear_records after this")])
    if session.rehearsing:
        return []
    from loadflow.engine.store.write import persist

    ids = persist(place, runs, label=label, metadata=about)
    return ids[0] if len(ids) == 1 else ids


def _json_object(metadata: object) -> dict[str, object] | None:
    """Raises CommandError if it is not a JSON object; NaN and infinity are not JSON."""
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise CommandError([Mistake("metadata", f"is a {type(metadata).__name__}", 'give an object, such as {"commit": "4f2a"}')])
    try:
        result: dict[str, object] = json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CommandError([Mistake("metadata", f"can't be written as JSON ({error})", "use text, numbers, lists and objects")]) from None
    return result


COMMAND = Command(
    "LD_persist_records",
    persist_records,
    "Store the runs so far in a database; returns the run's id.",
    STORE,
    dry=True,
    group="store",
    returns="number: the run's id; a list of ids for several runs",
    example={"database_path": "runs.db", "label": "nightly"},
)
