"""A search for a capacity: its decisions on queues whose capacity is known in closed form, and its state, which is its finished probes."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.capacity import QUEUES, Queue, capacity_of, probe, searched
from loadflow.engine.history.capacity import Found, Probe, Search, Wanted, next_probe, usl_of
from loadflow.engine.history.capacity_words import capacity_sentences
from loadflow.engine.load import capacity
from loadflow.engine.load.capacity import find_capacity, grows
from loadflow.engine.reports.capacity_page import capacity_page
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from loadflow.flows.capacity_page import capacity_markdown
from tests.examples import examples
from tests.flows.test_trend import drawing

QUEUE = QUEUES[0]  # M/M/1
TEXT = QUEUE.limit.text
TRUTH = capacity_of(QUEUE)
SEARCH = Search((QUEUE.limit,), 50, 2_000, 0.05, 1_800)


@pytest.mark.parametrize("queue", [pytest.param(QUEUE, id=QUEUE.name), pytest.param(QUEUES[2], id=QUEUES[2].name, marks=pytest.mark.long)])
def test_the_capacity_of_a_known_queue_is_found_with_an_interval_that_holds_it(queue: Queue) -> None:
    """A small version of benchmarks/capacity.py, where the shares stand."""
    runs, near, held, truth = examples(10), 0, 0, capacity_of(queue)
    for seed in range(runs):
        found, probes = searched(queue, seed)
        near += abs(found.capacity_per_s / truth - 1) <= 0.05
        held += found.low <= truth <= found.high
        assert len(probes) <= 14
        assert found.limit == queue.limit.text
        widest = max(found.high - found.capacity_per_s, found.capacity_per_s - found.low) / found.capacity_per_s
        assert (found.why == "") == (found.confirmed and widest <= SEARCH.precision), "what is wider than asked says so"
    assert near >= runs - 1
    assert held >= runs - 1


def test_a_target_that_wavers_from_probe_to_probe_has_an_interval_that_knows_it() -> None:
    """M/M/8 at 91 % load: where service takes 2 % longer, three times as many hits are over the limit."""
    queue = QUEUES[1]
    truth = capacity_of(queue)
    answers = [searched(queue, seed, 0.02)[0] for seed in range(examples(10))]
    assert sum(abs(found.capacity_per_s / truth - 1) <= 0.05 for found in answers) >= len(answers) - 1
    assert sum(found.low <= truth <= found.high for found in answers) >= 0.8 * len(answers)


def test_hits_that_are_slow_at_any_rate_move_the_crossing_nowhere() -> None:
    """A floor of 0.3 % under a curve that crosses 1 % at 100/s."""
    probes = [
        Probe("fit", rate, 60.0, {TEXT: (0.003 + 0.007 * math.exp(20 * (rate / 100 - 1)), 60.0 * rate)})
        for rate in (30, 60, 80, 92, 96, 103)
    ]
    found = next_probe([*probes, made(120, 1.0, sustained=False)], Search((QUEUE.limit,), 50, 2_000, 0.001, 60))
    assert isinstance(found, Found)
    assert found.low < 100 < found.high
    assert found.capacity_per_s == pytest.approx(100, rel=0.02)


def test_after_a_crash_at_any_place_it_goes_on_where_it_was() -> None:
    """The next probe follows from the finished ones alone."""
    _, probes = searched(QUEUE, 3)
    for count in range(len(probes)):
        wanted = next_probe(probes[:count], SEARCH)
        assert isinstance(wanted, Wanted)
        assert (wanted.step, wanted.rate_per_s, wanted.seconds) == (probes[count].step, probes[count].rate_per_s, probes[count].seconds)


def test_a_longer_probe_agrees_unless_what_is_over_a_limit_is_more_than_chance() -> None:
    rows = [(0.004, 500.0, True), (0.013, 500.0, True), (0.013, 50_000.0, False), (0.2, 500.0, False)]
    for share, hits, agrees in rows:
        assert made_of(share, hits).agrees(SEARCH.limits) is agrees, (share, hits)
    assert not made_of(0.0, 500.0, sustained=False).agrees(SEARCH.limits)


def made_of(share: float, hits: float, **more: Any) -> Probe:
    return Probe("confirm", 140.0, 120.0, {TEXT: (share, hits)}, **more)


def test_a_longer_probe_that_does_not_agree_is_made_once_more() -> None:
    fitted = [Probe("fit", rate, 240.0, {TEXT: (0.01 * math.exp(15 * (rate / 100 - 1)), 20_000.0)}) for rate in (100, 93, 104, 98, 103)]
    probes = [made(50, 0.0), made(200, 1.0, sustained=False), *fitted]
    search = Search((QUEUE.limit,), 50, 2_000, 0.05, 3_600)
    rates = []
    while isinstance(wanted := next_probe(probes, search), Wanted):
        rates.append((wanted.step, wanted.rate_per_s))
        probes.append(Probe(wanted.step, wanted.rate_per_s, wanted.seconds, {TEXT: (0.03, 2_000.0)}))
        assert len(probes) < 20
    assert [step for step, _ in rates] == ["confirm", "confirm"]
    assert not wanted.confirmed
    assert "did not hold" in wanted.why


def made(rate: float, share: float, **more: Any) -> Probe:
    return Probe("bracket", rate, 20.0, {TEXT: (share, 1_000.0)}, **more)


def test_a_target_that_holds_at_the_highest_rate_bears_at_least_that() -> None:
    found = next_probe([made(1_000, 0.0), made(2_000, 0.0)], SEARCH)
    assert isinstance(found, Found)
    assert (found.capacity_per_s, found.at_least, found.why) == (2_000, True, "at_most")


def test_where_the_generator_is_the_limit_twice_the_answer_is_at_least() -> None:
    void = made(800, 0.5, void=True)
    assert isinstance(next_probe([made(400, 0.0), void], SEARCH), Wanted)
    found = next_probe([made(400, 0.0), void, void], SEARCH)
    assert isinstance(found, Found)
    assert (found.capacity_per_s, found.at_least, found.why) == (400, True, "the generator's ceiling")


def test_a_target_that_never_holds_has_no_capacity() -> None:
    probes: list[Probe] = []
    while isinstance(wanted := next_probe(probes, SEARCH), Wanted):
        probes.append(made(wanted.rate_per_s, 1.0, sustained=False))
    assert wanted.capacity_per_s == 0.0


def test_one_probe_that_met_a_busy_moment_does_not_mislead_it() -> None:
    """It failed at 50, and everything up to 100 holds: the search goes on upwards, and never to a rate of 0."""
    probes = [made(50, 0.5), made(25, 0.0), made(100, 0.0)]
    wanted = next_probe(probes[:2], SEARCH)
    assert isinstance(wanted, Wanted)
    wanted = next_probe(probes, SEARCH)
    assert isinstance(wanted, Wanted)
    assert (wanted.step, wanted.rate_per_s) == ("bracket", 200)
    generator, probes = np.random.default_rng(9), [*probes]
    while isinstance(wanted := next_probe(probes, SEARCH), Wanted):
        assert wanted.rate_per_s > 20
        probes.append(probe(QUEUE, wanted, generator))
    assert abs(wanted.capacity_per_s / TRUTH - 1) < 0.1


def test_the_budget_ends_it() -> None:
    found, probes = None, list[Probe]()
    tight = Search((QUEUE.limit,), 50, 2_000, 0.001, 300)
    generator = np.random.default_rng(1)
    while isinstance(found := next_probe(probes, tight), Wanted):
        probes.append(probe(QUEUE, found, generator))
    assert found.why == "the budget is used up"
    assert sum(one.seconds for one in probes) <= 300


def test_in_flight_that_grows_to_the_end_is_told_from_what_wavers() -> None:
    generator = np.random.default_rng(2)
    assert grows([10 * second + generator.normal(0, 5) for second in range(30)])
    assert not grows([50 + generator.normal(0, 7) for _ in range(30)])
    assert not grows([1, 2, 3])


def test_scalability_is_never_negative_and_needs_three_loads() -> None:
    n = [1.0, 2, 4, 8, 16]
    found = usl_of(n, [95.0 * one for one in n])
    assert found is not None
    assert (found.contention, found.coherency) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert usl_of([1, 2], [90, 170]) is None


def test_a_search_keeps_its_probes_and_repeats_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load is the simulated queue; it is cut off after four probes, and started again."""
    sent: list[float] = []

    def load(session: Any, plain: Any, name: str, wanted: Wanted, expressions: Any) -> Probe:
        if len(sent) == 4 and not cut:
            cut.append(True)
            raise KeyboardInterrupt
        sent.append(wanted.rate_per_s)
        return probe(QUEUE, wanted, np.random.default_rng(len(sent)))

    cut: list[bool] = []
    monkeypatch.setattr(capacity, "_made", load)
    test = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": "http://127.0.0.1:9/"}]}
    with use_session(Session(runs_dir=tmp_path, label="shop")):
        with pytest.raises(KeyboardInterrupt):
            find_capacity(test, [TEXT])
        with (tmp_path / "capacity-shop.ndjson").open("a") as file:
            file.write('{"kind": "probe", "pro')  # a crash in the middle of a line
            file.write("\n")
        result = find_capacity(test, [TEXT])
    assert len(sent) == len(result["probes"])
    assert result["verdict"] == ("unclear" if result["why"] else "found")
    assert result["low"] <= result["capacity_per_s"] <= result["high"]
    assert TEXT in " ".join(capacity_sentences(result))
    page = capacity_markdown(result)
    names = [element.tag.rpartition("}")[2] for element in drawing(page)]
    assert names.count("circle") == len(result["probes"])
    assert "path" in names


def test_what_is_no_limit_is_refused() -> None:
    for text in ("p99 > 5", "count < 5", "p95 is good", "p100 < 5"):
        with pytest.raises(CommandError, match="limits"):
            find_capacity({}, [text])


def test_a_probe_in_which_the_generator_was_the_limit_is_no_point_of_the_curve() -> None:
    """It says nothing of the target; the table has it, with the reason."""
    kept = [asdict(made(rate, share)) for rate, share in ((50, 0.001), (100, 0.02))]
    void = asdict(made(200, 0.6, void=True, why="generator-limited: too late"))
    result = {
        "label": "shop",
        "limit": TEXT,
        "capacity_per_s": 90.0,
        "low": 80.0,
        "high": 95.0,
        "at_least": False,
        "confirmed": True,
        "why": "",
        "at": 0.0,
        "curve": {},
        "usl": None,
        "forecast": None,
        "page": "capacity-shop.html",
        "probes": [*kept, void],
    }
    names = [element.tag.rpartition("}")[2] for element in drawing(capacity_markdown(result))]
    assert names.count("circle") == 2
    page = capacity_page(result)
    assert "generator-limited: too late" in page
    assert f"({TEXT})" not in page.partition("<table>")[2], "one limit needs no name in each row"
