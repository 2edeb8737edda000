"""What of a calibration holds for a run: each row a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadflow.engine.base.typed import typed
from loadflow.engine.machine.calibration import Calibration, Ceiling, EngineCeiling, Machine, ceiling_for
from tests.machine.machines import calibration, engine, machine

CEILINGS: list[tuple[str, Machine, dict[str, Any], float | None]] = [
    ("one loop makes what one loop made", machine(), {}, 1000.0),
    ("three loops make three times that", machine(), {"loops": 3}, 3000.0),
    ("more loops than cores make no more", machine(), {"loops": 8}, 4000.0),
    ("a quota counts as cores", machine(cpu_quota=1.5), {"loops": 3}, 1500.0),
    ("less than one core was measured as it is", machine(cpu_quota=0.5), {"loops": 3}, 1000.0),
    ("the slower HTTP user has the same bound", machine(), {"protocol": "http_user"}, 1000.0),
    ("other protocols were not measured", machine(), {"protocol": "mqtt_user"}, None),
    ("nor was an engine that was not built", machine(), {"engine": "other"}, None),
]


@pytest.mark.parametrize(("own", "changes", "hits_per_s"), [row[1:] for row in CEILINGS], ids=[row[0] for row in CEILINGS])
def test_ceiling(own: Machine, changes: dict[str, Any], hits_per_s: float | None) -> None:
    asked = {"engine": "native", "protocol": "fast_http_user", "loops": 1, "asked_per_s": None, **changes}
    found = ceiling_for(calibration(own), own, **asked)
    assert (found and found.hits_per_s) == hits_per_s
    assert found is None or not found.unused


CHANGES = [
    ("the same machine, with other limits", {"open_files": 1, "local_ports": None}, ""),
    ("another host", {"host": "build-8"}, "it is of the host build-7, this is build-8"),
    ("fewer cores", {"cores": 1}, "there were 4 cores, now 1 core"),
    ("a quota that was not there", {"cpu_quota": 1.5}, "the CPU quota was none, now 1.5"),
    ("two things", {"cores": 2, "cpu_quota": 2.0}, "there were 4 cores, now 2 cores; the CPU quota was none, now 2"),
]


@pytest.mark.parametrize(("changes", "said"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_machine_that_has_changed_is_said_and_has_no_ceiling(changes: dict[str, Any], said: str) -> None:
    found = ceiling_for(calibration(), machine(**changes), engine="locust", protocol="http_user", loops=1, asked_per_s=10.0)
    assert found is not None
    assert found.unused == said
    assert bool(said) == (found.hits_per_s == 0.0)


LAGS = [("a calm loop has the floor", 0.5, 10.0), ("ten times its lag", 3.0, 30.0), ("a bad day gives no leave", 50.0, 100.0)]


@pytest.mark.parametrize(("lag_ms", "limit_ms"), [row[1:] for row in LAGS], ids=[row[0] for row in LAGS])
def test_the_limit_of_the_lag(lag_ms: float, limit_ms: float) -> None:
    assert ceiling_of(engine(lag_ms=lag_ms)).lag_limit_ms == limit_ms


def ceiling_of(one: EngineCeiling) -> Ceiling:
    found = ceiling_for(calibration(native=one), machine(), engine="native", protocol="fast_http_user", loops=1, asked_per_s=7.0)
    assert found is not None
    return found


def test_where_not_the_generator_was_the_limit_the_ceiling_is_a_floor() -> None:
    assert [ceiling_of(engine(limited_by=limit)).at_least for limit in ("generator", "target", "machine")] == [False, True, True]


def test_both_go_through_json_unchanged() -> None:
    assert Calibration.from_json(json.loads(json.dumps(calibration().to_json()))) == calibration()
    ceiling = ceiling_of(engine())
    assert typed(Ceiling, json.loads(json.dumps(ceiling.to_json())), "calibration") == ceiling


GOOD = calibration().to_json()
BROKEN = [
    ("no object", [1], "not a calibration"),
    ("another file", {"format": "loadflow-run", "version": 1}, "not a calibration"),
    ("of a newer release", {**GOOD, "version": 2}, "version is 2"),
    ("a part is missing", {key: value for key, value in GOOD.items() if key != "machine"}, "not whole"),
    ("a part is something else", {**GOOD, "timer": 5}, "not whole"),
    ("an engine is something else", {**GOOD, "engines": {"native": {}}}, "not whole"),
    ("no date", {**GOOD, "measured_at": "yesterday"}, "Invalid isoformat"),
]


@pytest.mark.parametrize(("data", "said"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_is_no_calibration_is_refused(data: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Calibration.from_json(data)
