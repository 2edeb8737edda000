"""A recording is converted entry by entry: what is held does not grow with its responses."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from loadflow.engine.recording.convert import Options, convert
from tests.recording.generated import write_recording

MEGABYTES = 12


def test_memory_is_a_fraction_of_the_file(tmp_path: Path) -> None:
    """`benchmarks/har.py` measures 100 MB; here the peak of a small one, whose responses are nearly all of it."""
    path = tmp_path / "large.har"
    entries = write_recording(path, MEGABYTES)
    tracemalloc.start()
    done = convert(str(path), Options.of())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(done.tasks) == entries > 100
    assert len(done.report.correlated) == (entries + 2) // 4  # each cursor that a JSON page gave
    assert peak < MEGABYTES * 1e6 / 2
