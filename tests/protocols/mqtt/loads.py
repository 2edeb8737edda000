"""A load of mqtt_user, as its tests write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.load.harness import Outcomes, load

__all__ = ["mqtt"]


def mqtt(folder: Path, engine: str, broker: str, *steps: dict[str, Any], **arguments: Any) -> Outcomes:
    return load(folder, list(steps), user="mqtt_user", engine=engine, host=broker, **arguments)
