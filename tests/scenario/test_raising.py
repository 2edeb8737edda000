"""What a function raises that no program should meet in a load: its pass fails and says so, the engine goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadflow.engine.records.outcome import Outcome
from loadflow.engine.scenario.loading import ALLOW
from tests.scenario.test_per_hit import BOTH, made
from tests.targets.fixture import Target

RAISED = [
    ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("raise SystemExit", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise asyncio.CancelledError", "CancelledError"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("raise StopIteration(5)", "StopIteration: 5"),
    ("raise BaseException('odd')", "BaseException: odd"),
]


@pytest.mark.parametrize("engine", BOTH)
def test_a_function_may_raise_anything(engine: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    target.reset()
    for kind in ("def", "async def"):
        tasks = []
        for number, (line, _) in enumerate(RAISED):
            ask = "await client.get('/ok')" if kind != "def" else "client.get('/ok')"
            tasks.append(f"@task\n{kind} raises_{number}(self, client):\n    {ask}\n    {line}\n")
        (folder := tmp_path / kind.split()[0]).mkdir()
        after = f"@task\n{kind} after(self, client):\n    {ask}\n    BRANCH[0]\n"
        done = made(folder, target, "\n".join([*tasks, after]), engine, iterations=len(RAISED) + 1)
        assert done.error is None
        failed = {hit.name: hit.error.partition(" (line")[0] for hit in done.hits if hit.outcome is not Outcome.OK}
        told = {f"raises_{number}": text for number, (_, text) in enumerate(RAISED)}
        assert "StopIteration" in failed.pop("raises_5"), "in generators it becomes a RuntimeError (PEP 479)"
        told.pop("raises_5")
        assert failed == told
        assert done.outcome("after") is Outcome.OK
