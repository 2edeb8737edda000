"""capacity-LABEL.ndjson: what each search asked, its finished probes, and what it found. There is no other state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.history.capacity import Probe
from loadflow.engine.history.forecast import Measured
from loadflow.engine.load.kept_lines import keep_line, kept_lines

__all__ = ["KeptSearch"]

VERSION = 1


class KeptSearch:
    """A search without an end that asked the same is gone on with. `asked`: the digest of the search; `alike`: the one that it has in
    common with searches of other nights."""

    def __init__(self, runs_dir: Path, name: str, asked: str, alike: str) -> None:
        words = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")[:60]
        self.path = runs_dir / f"capacity-{words}.ndjson"
        self.probes: list[Probe] = []
        self._alike = alike
        lines = kept_lines(self.path)
        self._ends = [line for line in lines if line.get("kind") == "found"]
        begins = [number for number, line in enumerate(lines) if line.get("kind") == "asked"]
        last = lines[begins[-1] :] if begins else []
        if last and last[0].get("digest") == asked and not any(line["kind"] == "found" for line in last):
            self.probes = [Probe(**_probe(line["probe"])) for line in last if line["kind"] == "probe"]
        else:
            keep_line(self.path, {"kind": "asked", "version": VERSION, "digest": asked})

    def add(self, probe: Probe) -> None:
        self.probes.append(probe)
        keep_line(self.path, {"kind": "probe", "probe": asdict(probe)})

    def end(self, result: Mapping[str, object]) -> None:
        line = {"kind": "found", "alike": self._alike, "found": {key: value for key, value in result.items() if key != "probes"}}
        keep_line(self.path, line)
        self._ends.append(line)

    def measured(self) -> list[Measured]:
        """The capacities that searches of the same load found, in the order of the file, with this one where it has ended."""
        found = [line["found"] for line in self._ends if line.get("alike") == self._alike]
        return [Measured(float(one["at"]), float(one["capacity_per_s"])) for one in found if _is_known(one)]


def _is_known(found: JsonMapping) -> bool:
    """Whether it has a capacity with an interval, however wide."""
    return not found["at_least"] and bool(found["low"]) and found["high"] is not None and found["capacity_per_s"] > 0


def _probe(data: JsonMapping) -> JsonObject:
    return {**data, "over": {text: tuple(pair) for text, pair in data["over"].items()}}
