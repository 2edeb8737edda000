"""Where this machine's calibration is kept, and how it gets there and back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.machine.calibration import Calibration, Ceiling, ceiling_for
from loadflow.engine.machine.facts import this_machine
from loadflow.errors import RunError

__all__ = ["CALIBRATION_VARIABLE", "calibration_path", "ceiling_of_run", "read_calibration", "write_calibration"]

CALIBRATION_VARIABLE = "LOADFLOW_CALIBRATION"


def calibration_path(environment: Mapping[str, str]) -> Path:
    """Where LOADFLOW_CALIBRATION says; else in the folder for caches (XDG Base Directory Specification 0.8, a relative path is none).

    >>> str(calibration_path({"XDG_CACHE_HOME": "/var/cache/ann"}))
    '/var/cache/ann/loadflow/calibration.json'
    """
    if given := environment.get(CALIBRATION_VARIABLE):
        return Path(given).expanduser()
    cache = Path(environment.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path("~/.cache").expanduser()) / "loadflow" / "calibration.json"


def read_calibration(path: Path) -> Calibration | None:
    """None where there is none. Raises RunError for a file that can't be read."""
    try:
        return Calibration.from_json(read_json(read_regular(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"the calibration {path} can't be read ({error}); `loadflow calibrate` makes it anew") from error


def write_calibration(path: Path, calibration: Calibration) -> None:
    """By rename; folders are made. Raises RunError."""
    try:
        write_atomically(path, json.dumps(calibration.to_json(), indent=2) + "\n")
    except OSError as error:
        raise RunError(
            f"the calibration {path} can't be written ({error.strerror}); set {CALIBRATION_VARIABLE} to a file that can"
        ) from error


def ceiling_of_run(engine: str, protocol: str, loops: int, asked_per_s: float | None) -> Ceiling | None:
    """The ceiling of a run on this machine; None: it was not calibrated for such a load. One that can't be read says so in `unused`."""
    try:
        calibration = read_calibration(calibration_path(os.environ))
    except RunError as error:
        return Ceiling(unused=str(error))
    if calibration is None:
        return None
    return ceiling_for(calibration, this_machine(), engine=engine, protocol=protocol, loops=loops, asked_per_s=asked_per_s)
