"""HAR files (HTTP Archive 1.2), read whole or entry by entry."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loadflow.errors import CommandError, Mistake

__all__ = ["Entries", "entries_of", "load_har"]

# Gives the entries from the first one on, each time it is called.
Entries = Callable[[], Iterator[Any]]

_HINT = "export it again from the browser or proxy, as HAR"


def load_har(file_path: str) -> dict[str, Any]:
    """The whole HAR in the file, with or without a byte order mark; raises CommandError for what is no HAR.

    For files of many megabytes give the path itself to `har_to_action_json`: it reads entry by entry.
    """
    try:
        har = json.loads(Path(file_path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise _unreadable(file_path, error) from None
    except UnicodeDecodeError as error:
        raise _wrong(file_path, f"is no UTF-8 text: byte {error.start} is wrong") from None
    except (ValueError, RecursionError) as error:
        raise _wrong(file_path, f"is no JSON: {error}") from None
    entries_of(har, file_path)
    return dict(har)


def entries_of(har: object, source: str = "") -> Entries:
    """How to go through the entries of a HAR: a parsed one, or the path of a file, of which one entry at a time is in memory.

    A parsed one is checked now, a file when it is read: CommandError.
    """
    if isinstance(har, str | Path):
        return lambda: _stream(str(har))
    log = har.get("log") if isinstance(har, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise _wrong(source, "is no HAR: it has no list log.entries")
    return lambda: iter(entries)


def _stream(path: str) -> Iterator[Any]:
    import ijson

    try:
        with Path(path).open("rb") as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            start = file.tell()
            empty = True
            for entry in ijson.items(file, "log.entries.item", use_float=True):
                empty = False
                yield entry
            if empty:
                file.seek(start)
                if not any(event == "start_array" and prefix == "log.entries" for prefix, event, _ in ijson.parse(file)):
                    raise _wrong(path, "is no HAR: it has no list log.entries")
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ijson.JSONError, UnicodeDecodeError, OverflowError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise _wrong(path, f"is no JSON, or was cut off: {reason}") from None


def _unreadable(path: str, error: OSError) -> CommandError:
    return CommandError([Mistake("", f"can't be read: {error.strerror or error}", "check the path and its permissions")], path)


def _wrong(path: str, message: str) -> CommandError:
    return CommandError([Mistake("", message, _HINT)], path or "har")
