"""LD_load_har: return a HAR file as JSON."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.recording import har_file
from loadflow.engine.script.command import FILES, Command

__all__ = ["COMMAND", "load_har"]


def load_har(file_path: str) -> JsonObject:
    """The parsed HAR in a file, with or without a byte order mark. Large ones are better given to the other two by their path."""
    return har_file.load_har(file_path)


COMMAND = Command(
    "LD_load_har",
    load_har,
    "Return a HAR file as JSON.",
    FILES,
    dry=True,
    group="recordings",
    returns="object: the recording",
    example={"file_path": "checkout.har"},
)
