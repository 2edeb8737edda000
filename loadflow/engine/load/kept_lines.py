"""What a search or a campaign has finished, a line of JSON each: its only state, from which it goes on after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from loadflow.engine.base.appending import append_line
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.private import opener
from loadflow.engine.base.regular_file import read_regular
from loadflow.errors import RunError

__all__ = ["keep_line", "kept_lines"]


def kept_lines(path: Path) -> list[JsonObject]:
    """The whole lines of the file, in order; none where there is no file. A line that a crash has torn is left out."""
    found = []
    for line in read_regular(path).splitlines() if path.exists() else ():
        try:
            found.append(read_json(line))
        except ValueError:  # what it was about was not finished
            continue
    return [one for one in found if isinstance(one, dict)]


def keep_line(path: Path, line: Mapping[str, object]) -> None:
    """Raises RunError where the file can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", opener=opener) as file:
            append_line(file, json.dumps(line))
    except OSError as error:
        raise RunError(f"{path} can't be written ({error.strerror}); set LOADFLOW_RUNS_DIR to a folder that can") from error
