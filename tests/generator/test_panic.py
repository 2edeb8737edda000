"""A mistake in the native core ends the run as an error: soon, with all hits until then, and with nothing left running."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.process import launch
from loadflow.engine.records.judge import EndReason
from loadflow.errors import EngineError
from tests.load.harness import get, load
from tests.services import need
from tests.targets.fixture import Target

pytestmark = pytest.mark.real_engines  # an engine of its own

PASSES = 60  # of all users, until one meets the mistake
CREWS: list[tuple[str, dict[str, int]]] = [
    ("one core", {}),
    ("one of three threads", {"threads": 3}),
    ("one of two processes", {"processes": 2}),
]
ROWS = [pytest.param(crew, id=name, marks=[] if "processes" in crew else [pytest.mark.long]) for name, crew in CREWS]


@pytest.fixture
def a_mistake_in_the_last_core(monkeypatch: pytest.MonkeyPatch) -> None:
    need(is_built(), "the native core is not built")
    monkeypatch.setitem(launch.MODULES, "native", "tests.generator.poisoned_worker")
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part))


@pytest.mark.parametrize("crew", ROWS)
def test_a_panic_ends_the_run_and_keeps_its_hits(
    crew: dict[str, int], a_mistake_in_the_last_core: None, target: Target, tmp_path: Path
) -> None:
    """Every request that the target received is a row; the load of an hour ends in seconds."""
    target.reset()
    rows = tmp_path / "rows.csv"
    rows.write_text("go\n" + "no\n" * PASSES + "yes\n" * PASSES, encoding="utf-8")  # each core takes its share of either
    shards = crew.get("threads", 1) * crew.get("processes", 1)
    steps = [
        get("/ok", name="poisoned", run_if={"equals": ["${csv.rows.go}", "yes"]}),
        get("/ok", name="sound"),
    ]
    others = set(psutil.Process().children(recursive=True))  # the target
    began = time.monotonic()
    done = load(
        tmp_path,
        steps,
        user="native",
        host=target.url,
        user_count=shards,
        iterations=1_000_000,
        test_time=3600,
        csv_sources=[{"name": "rows", "file_path": str(rows), "mode": "cycle"}],
        **crew,
    )
    assert time.monotonic() - began < 60
    assert isinstance(done.error, EngineError)
    assert "the native core broke: index out of bounds" in str(done.error)
    assert "the native core broke" in done.run.end().message
    assert done.run.end().reason is EndReason.ENGINE_LOST
    assert done.run.summary().verdict.kind is VerdictKind.ERROR
    assert done.run.totals().hits == len(done.hits) == target.counts()["/ok"] == done.error.hits
    assert max(shard for shard, rows in done.run.iter_hits() if len(rows)) == shards - 1  # those of the core that broke, too
    assert (done.run.folder / "report.html").exists()
    assert "index out of bounds" in "".join(path.read_text() for path in done.run.folder.glob("engine-*.log"))
    assert set(psutil.Process().children(recursive=True)) <= others
