"""A file is read entry by entry: what responses hold does not stay in memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

from loadflow.engine.recording.convert import convert_har
from tests.recording.build import entry

MIB = 1 << 20


def test_ten_megabytes_of_responses_need_less_than_four_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.har"
    with path.open("w", encoding="utf-8") as file:
        file.write('{"log": {"version": "1.2", "entries": [')
        for number in range(100):
            answer = json.dumps({"token": f"q7Wd83kLm{number:03}", "items": [{"id": f"{number}x{item:05}"} for item in range(4500)]})
            one = entry(url=f"http://h/items/{number}", headers={"X-Token": f"q7Wd83kLm{number - 1:03}"}, answer=answer)
            file.write(f"{',' if number else ''}{json.dumps(one)}")
        file.write("]}}")
    assert path.stat().st_size > 10 * MIB
    convert_har({"log": {"entries": [entry()]}})  # what is imported is no part of it
    tracemalloc.start()
    try:
        made = convert_har(str(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(made.tasks), len(made.report.correlated)) == (100, 99)
    assert peak < 4 * MIB, f"{peak / MIB:.1f} MiB"
