"""The database that a command reads from or writes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadflow.engine.session.session import current_session

if TYPE_CHECKING:
    from loadflow.engine.store.place import Place

__all__ = ["stored_place"]


def stored_place(database_path: str | None, url: str | None) -> Place:
    """The database that was named, or else the session's."""
    from loadflow.engine.store.place import place_of

    named = database_path is not None or url is not None
    return place_of(database_path, url if named else current_session().store_url)
