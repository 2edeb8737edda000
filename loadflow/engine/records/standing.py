"""When a loop of the generator stood, and at what: one line each in a run's `standing.ndjson`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.records.judge import Warning_

__all__ = ["Standing", "note_standing", "read_standings", "standing_warnings"]

MOST_KEPT = 100
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """Times in seconds: since the run's start, and how long it had stood when it was noticed."""

    shard: int
    since_s: float
    stood_s: float
    doing: str


def note_standing(path: Path, standing: Standing) -> None:
    if path.exists() and len(read_standings(path)) >= MOST_KEPT:
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(standing)) + "\n")


def read_standings(path: Path) -> list[Standing]:
    """Those that were written to their end; [] where no loop stood."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Standing(**read_json(line)) for line in lines if line.endswith("\n")]


def standing_warnings(standings: Sequence[Standing]) -> Iterator[Warning_]:
    if not standings:
        return
    shown = "; ".join(f"at {one.since_s:.1f} s: {one.doing}" for one in standings[:SHOWN])
    more = f"; and {len(standings) - SHOWN:,} more" if len(standings) > SHOWN else ""
    times = "once" if len(standings) == 1 else f"{len(standings):,} times"
    yield Warning_(
        "loop-stood",
        f"An event loop of the generator stood still for a second or more, {times}: {shown}{more}.",
        "It sent and timed nothing in that time: lower max_body_bytes, use fewer assertions and extracts in these "
        "steps, or remove the steps.",
    )
