"""The node of the chart's test asks and judges probes as the kubelet does; the clock is given."""

from __future__ import annotations

from tests.kubernetes.probes import Probes

CHECK = {"exec": {"command": ["true"]}, "periodSeconds": 5, "failureThreshold": 3}


def answer(probes: Probes, now_s: float, *oks: bool) -> float:
    """Answers all that is due, one `ok` after the other, five seconds apart; returns the time after the last."""
    for ok in oks:
        for probe in probes.due(now_s):
            probe.answer(ok, "told", now_s)
        now_s += 5
    return now_s


def test_a_container_without_probes_is_ready_and_alive() -> None:
    probes = Probes({}, 0)
    assert (probes.started, probes.ready, probes.failed, probes.due(1000)) == (True, True, None, [])


def test_readiness_comes_with_its_first_success_and_goes_with_enough_failures() -> None:
    probes = Probes({"readinessProbe": {**CHECK, "initialDelaySeconds": 2}}, 100)
    assert probes.due(101) == []
    assert not probes.ready
    now_s = answer(probes, 102, False, True)
    assert probes.ready
    now_s = answer(probes, now_s, False, False)
    assert probes.ready
    answer(probes, now_s, False)
    assert not probes.ready
    assert probes.failed is None


def test_a_container_is_ended_when_its_liveness_fails_often_enough_in_a_row() -> None:
    probes = Probes({"livenessProbe": CHECK}, 0)
    now_s = answer(probes, 0, True, False, False, True, False, False)
    assert probes.failed is None
    answer(probes, now_s, False)
    assert probes.failed == "liveness probe failed: told"


def test_nothing_else_is_asked_before_the_startup_probe_has_succeeded() -> None:
    probes = Probes({"startupProbe": CHECK, "readinessProbe": CHECK, "livenessProbe": CHECK}, 0)
    assert len(probes.due(0)) == 1
    now_s = answer(probes, 0, False, True)
    assert probes.started
    assert not probes.ready
    assert len(probes.due(now_s)) == 2


def test_a_startup_that_fails_often_enough_ends_the_container() -> None:
    probes = Probes({"startupProbe": CHECK, "readinessProbe": CHECK}, 0)
    answer(probes, 0, False, False, False)
    assert probes.failed == "startup probe failed: told"


def test_a_probe_is_due_again_after_its_period() -> None:
    probes = Probes({"readinessProbe": CHECK}, 0)
    answer(probes, 0, True)
    assert probes.due(4.9) == []
    assert len(probes.due(5)) == 1
