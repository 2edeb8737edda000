"""`loadflow calibrate` from end to end, and a run that is held against what it found."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from loadflow.cli import diagnosis
from loadflow.cli.calibrate import lines_of
from loadflow.engine.calibration.measuring import calibrate
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.machine.calibration import Calibration
from loadflow.engine.machine.facts import this_machine
from loadflow.engine.machine.kept import write_calibration
from loadflow.engine.records.run import Run
from loadflow.engine.reports.summary_json import summary_schema
from loadflow.engine.session.observer import Observer
from loadflow.errors import Interrupted
from tests.cli.running import load, loadflow, start, steps_script
from tests.machine.machines import calibration, engine, machine
from tests.targets.fixture import Target
from tests.waiting import HANG_S

BUILT = ["native", "locust"] if is_built() else ["locust"]


def test_a_machine_is_measured_and_what_came_of_it_is_kept_and_shown(tmp_path: Path) -> None:
    places = {"LOADFLOW_CALIBRATION": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    missing = loadflow(tmp_path, "calibrate", "--show", **places)
    assert missing.code == 5
    assert "run `loadflow calibrate`" in missing.stderr
    done = loadflow(tmp_path, "calibrate", "--seconds", "1", "--json", **places)
    assert done.code == 0, done.stderr
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == ["timers …", *(f"engine {name} …" for name in BUILT)]
    found = Calibration.from_json(done.json)
    assert found.machine == this_machine()
    assert list(found.engines) == BUILT
    assert found.target == ("native" if is_built() else "asyncio")
    for one in found.engines.values():
        assert one.hits_per_s > 50  # 50 connections that were answered once would be that already
        assert one.cpu_ms_per_1000_hits == pytest.approx(one.generator_cpu / one.hits_per_s * 1e6)
        assert one.target_cpu > 0
        assert 0 <= one.late.p50_ms <= one.late.p99_ms <= one.late.max_ms
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()] == [Path("cache/loadflow/calibration.json")]
    assert loadflow(tmp_path, "calibrate", "--show", "--json", **places).json == done.json
    shown = loadflow(tmp_path, "calibrate", "--show", **places)
    assert all(f"engine {name}: " in shown.stdout for name in BUILT)


class Asking(Observer):
    """Wants the end from the second load on, as after a Ctrl-C whose exception a library swallowed between two loads."""

    loads = 0

    def run_started(self, run: Run) -> None:
        self.loads += 1

    def stop_requested(self) -> str:
        return "Ctrl-C" if self.loads > 1 else ""


def test_an_end_that_was_asked_for_between_two_loads_ends_it() -> None:
    asking = Asking()
    with pytest.raises(Interrupted, match="Ctrl-C"):
        calibrate(1, observers=[asking])
    assert asking.loads == 2


def test_ctrl_c_ends_it_and_keeps_nothing(tmp_path: Path) -> None:
    with start(tmp_path, "calibrate", "--seconds", "60", LOADFLOW_CALIBRATION=str(tmp_path / "calibration.json")) as process:
        assert process.stderr is not None
        while "engine" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 4
    assert "error: the calibration was interrupted" in said
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_is_too_high_for_the_machine_is_told_before_the_load_and_in_the_summary(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, calibration(this_machine(), native=engine(20.0), locust=engine(20.0)))
    kept = load("/ok", host=target.url, rate=15, user_count=5, max_in_flight=5)
    del kept[1]["spawn_rate"], kept[1]["wait_time"]
    done = loadflow(tmp_path, "run", "--direct", "--json", steps_script(tmp_path, kept), LOADFLOW_CALIBRATION=str(path))
    assert done.code == 0, done.stderr
    message = "The rate asks for up to 15 hits/s, 75% of what this machine can make with this number of processes and threads"
    assert done.stderr.index(message) < done.stderr.index("5 users on")
    (run,) = (tmp_path / "runs").glob("*/")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    Draft202012Validator(summary_schema()).validate(summary)
    assert [one["code"] for one in summary["warnings"] if one["message"].startswith(message)] == ["rate-near-ceiling"]
    kept_with_run = summary["runs"][0]["calibration"]
    assert (kept_with_run["measured_at"], kept_with_run["hits_per_s"], kept_with_run["asked_per_s"]) == (
        calibration().measured_at,
        20.0,
        15.0,
    )


DOCTOR: list[tuple[str, Calibration | None, str, str]] = [
    ("none", None, "note", "`loadflow calibrate` measures"),
    ("of another machine", calibration(machine(host="elsewhere")), "note", "not used, for it is of the host elsewhere"),
    ("of another version", calibration(this_machine()), "note", "by loadflow 0.0.9, this is 0.1.0"),
    ("good", calibration(this_machine()), "ok", "2026-11-21T08:00:00+00:00: native 1,000 hits/s, locust 1,000 hits/s"),
]


@pytest.mark.parametrize(("found", "state", "said"), [row[1:] for row in DOCTOR], ids=[row[0] for row in DOCTOR])
def test_doctor(
    found: Calibration | None, state: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "calibration.json"
    monkeypatch.setenv("LOADFLOW_CALIBRATION", str(path))
    monkeypatch.setattr("loadflow.engine.machine.facts.version_of", lambda package: "0.1.0")
    if found is not None:
        data: dict[str, Any] = found.to_json()
        data["loadflow"] = "0.0.9" if "version" in request.node.callspec.id else "0.1.0"
        path.write_text(json.dumps(data), encoding="utf-8")
    finding = diagnosis.calibration()
    assert finding.state == state
    assert said in finding.text


def test_what_limited_the_measuring_is_said(tmp_path: Path) -> None:
    found = calibration(native=engine(limited_by="target"), locust=engine(limited_by="machine"))
    lines = list(lines_of(found, tmp_path))
    assert "build-7: 4 cores, no CPU quota, 20,000 open files, 28,232 local ports" in lines
    assert "  the target was the limit, so the generator makes at least that (generator 100%, target 50% of a core)" in lines
    assert any("do it again when nothing else runs" in line for line in lines)
