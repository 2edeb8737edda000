"""An engine whose loop stands says so, with the step and what it is at, and its run is inconclusive, on both engines.

The answer that made it stand has used up the work that one answer may make, and fails with that reason.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.process import launch
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.standing import read_standings
from tests.load.harness import get, load, raw
from tests.services import need
from tests.targets.fixture import Target


@pytest.mark.parametrize("engine", ["native", pytest.param("locust", marks=pytest.mark.long)])
def test_a_loop_that_stands_is_told_with_what_it_is_at_and_is_a_doubt(
    engine: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "native":
        need(is_built(), "the native core is not built")
    monkeypatch.setitem(launch.MODULES, engine, f"tests.hostile.slow_{engine}")
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("LOADFLOW_LAG_LIMIT_MS", "150")  # a gap is then 1.5 s; the decoder takes 2 s
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part))
    body = b"h\xe9" * 10_000  # large enough for its work to be measured
    slow = raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    step = get(slow, name="slow text", assertions=[{"type": "not_regex", "pattern": "never there"}])
    user = "native" if engine == "native" else None
    done = load(tmp_path, [get("/ok"), step, get("/ok", name="after")], user=user, host=target.url, max_failure_rate=0.5)
    standings = read_standings(done.run.standing_path)
    assert any("GET slow text" in one.doing and "quadratic" in one.doing for one in standings), standings
    (warning,) = [one for one in done.summary["warnings"] if one["code"] == "loop-stood"]
    assert "quadratic (hostile/slow_decoder.py:" in warning["message"]
    assert "has not moved for" in done.run.log_path(0).read_text()
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    assert "generator-limited: it stood still for" in done.summary["verdict"]["reasons"][0]
    assert done.summary["generator"]["lag_peak_ms"] > 1_500
    assert done.counts() == {"/ok": 1, "slow text": 1, "after": 1}
    slow_hit = next(hit for hit in done.hits if hit.name == "slow text")
    assert slow_hit.outcome is Outcome.TOO_LARGE
    assert slow_hit.error == "assertions and extracts took over 1,000 ms of work with this answer"
    assert done.outcome("after") is Outcome.OK
