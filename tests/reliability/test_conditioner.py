"""The network conditioner: its values, and its place between step and client, with a clock and a sleep that are given."""

from __future__ import annotations

import inspect
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow import NetworkConditioner
from loadflow.engine.generator.network import Network, is_conditioned
from loadflow.engine.plan.plan import Plan, Shard
from loadflow.engine.plan.shape import Stage
from loadflow.engine.protocols.http.request import HttpStep
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiled, compile_value


class Prepared:
    """A step, as far as the conditioner looks at it."""

    method = "GET"

    def __init__(self, name: str | None) -> None:
        self.name = name

    def render(self, scope: Scope) -> Any:
        raise NotImplementedError

    def render_name(self, scope: Scope) -> str:
        return f"item {scope.variables['n']}"

    def sample(self, request: Any) -> dict[str, Any]:
        raise NotImplementedError


class Clock:
    """Sleeps end early, as gevent's may."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += max(1, round(seconds * 0.9e9))

    def read_ns(self) -> int:
        return self.now_ns


def fates(conditioner: NetworkConditioner, *, seed: int | None, user: int = 0, shard: int = 0, count: int = 200) -> list[int | None]:
    """What happens to each of one user's attempts: nanoseconds of delay, or None when it is lost."""
    clock = Clock()
    network = Network(conditioner, clock.sleep, clock.read_ns)
    scope = Scope({}, Data(seed=seed, shard=shard))
    found: list[int | None] = []
    for _ in range(count):
        before_ns = clock.now_ns
        try:
            network.pass_through(Prepared("a"), scope, user)
        except HitFailure as failure:
            assert failure.outcome is Outcome.DROPPED
            found.append(None)
        else:
            found.append(clock.now_ns - before_ns)
    return found


def test_the_documented_parameters_and_defaults() -> None:
    defaults = {name: one.default for name, one in inspect.signature(NetworkConditioner).parameters.items()}
    assert defaults == {"latency_ms": 0.0, "jitter_ms": 0.0, "loss_rate": 0.0, "name_filter": None}


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(0, 99))
def test_a_delay_is_within_jitter_of_the_latency_and_never_negative(latency: float, jitter: float, seed: int) -> None:
    delay_ms = NetworkConditioner(latency, jitter).delay_s(Random(seed)) * 1e3
    assert max(0.0, latency - jitter) <= delay_ms + 1e-9
    assert delay_ms <= latency + jitter + 1e-9


def test_a_sleep_that_ends_early_is_slept_to_its_end() -> None:
    assert all(delay is not None and 50e6 <= delay < 51e6 for delay in fates(NetworkConditioner(latency_ms=50), seed=1))


def test_losses_come_as_often_as_asked() -> None:
    assert fates(NetworkConditioner(loss_rate=0), seed=1).count(None) == 0
    assert fates(NetworkConditioner(loss_rate=1), seed=1).count(None) == 200
    assert 2_700 < fates(NetworkConditioner(loss_rate=0.3), seed=1, count=10_000).count(None) < 3_300


def test_a_seed_gives_each_user_of_each_process_the_same_fate_again_and_a_fate_of_its_own() -> None:
    conditioner = NetworkConditioner(20, 10, 0.3)
    first = fates(conditioner, seed=7)
    assert first == fates(conditioner, seed=7)
    for other in (fates(conditioner, seed=8), fates(conditioner, seed=7, user=1), fates(conditioner, seed=7, shard=1)):
        assert first != other
    assert fates(conditioner, seed=None) != fates(conditioner, seed=None)


def test_the_other_random_values_of_a_user_stay_as_they_are() -> None:
    scope, same = Scope({}, Data(seed=7)), Scope({}, Data(seed=7))
    Network(NetworkConditioner(1, 1, 0.0), lambda seconds: None, iter(range(0, 10**9, 10**8)).__next__).pass_through(
        Prepared("a"), scope, 0
    )
    assert scope.randint(0, 10**9) == same.randint(0, 10**9)


SELECTED = [
    ("no filter", None, {"request_url": "/a"}, True),
    ("the path", "/checkout", {"request_url": "/checkout/1"}, True),
    ("another path", "/checkout", {"request_url": "/cart"}, False),
    ("a name decides, not the URL", "/checkout", {"name": "pay", "request_url": "/checkout"}, False),
    ("a part of the name", "pay", {"name": "GET pay now", "request_url": "/x"}, True),
    ("the host", "shop.example", {"request_url": "/x"}, True),
    ("the query", "id=5", {"request_url": "/x?id=5"}, True),
    ("a constant that is filled in", "/v2/", {"request_url": "/${api}/x"}, True),
    ("a name with a constant", "v2", {"name": "${api} x", "request_url": "/x"}, True),
    ("beside what differs per hit", "/pay", {"request_url": "/${csv.u.id}/pay"}, True),
    ("a name that differs per hit is asked then", "7", {"name": "item ${csv.u.id}", "request_url": "/x"}, True),
]


@pytest.mark.parametrize(("sentence", "name_filter", "step", "expected"), SELECTED, ids=[row[0] for row in SELECTED])
def test_which_steps_are_selected(sentence: str, name_filter: str | None, step: dict[str, Any], expected: bool) -> None:
    conditioner = NetworkConditioner(name_filter=name_filter)
    plan = Plan("fast_http_user", "", "sequence", (), (Stage(None, 1, 1.0),), None, host="http://shop.example")

    def compiler(value: Any) -> Compiled:
        return compile_value(value, {"api": "v2"})

    prepared = HttpStep({"method": "GET", "request_url": "/", **step}, plan, compiler)
    assert is_conditioned(conditioner, step, prepared, compiler) is expected


def test_a_name_that_differs_per_hit_is_asked_for_each() -> None:
    network = Network(NetworkConditioner(loss_rate=1, name_filter="7"), lambda seconds: None)
    network.pass_through(Prepared(None), Scope({"n": 5}, Data()), 0)
    with pytest.raises(HitFailure):
        network.pass_through(Prepared(None), Scope({"n": 7}, Data()), 0)


def test_it_travels_in_the_plan_to_each_process() -> None:
    conditioner = NetworkConditioner(5, 1, 0.1, "x")
    plan = Plan("fast_http_user", "", "sequence", (), (Stage(None, 4, 1.0),), None, network=conditioner)
    assert Plan.from_json(plan.for_shard(Shard(1, 2)).to_json()).network == conditioner
    assert Plan.from_json(Plan("fast_http_user", "", "sequence", (), (Stage(None, 4, 1.0),), None).to_json()).network is None


@pytest.mark.parametrize("wrong", [{"latency_ms": -1}, {"jitter_ms": float("nan")}, {"loss_rate": 1.1}, {"loss_rate": -0.1}], ids=repr)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkConditioner(**wrong)
