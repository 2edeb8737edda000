"""docs/statistics.md: its lines of numpy give the numbers that a summary, a judgement and a search for a capacity show."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.history.capacity import Probe, Wanted
from loadflow.engine.history.judging import judge_run
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.load import capacity as module
from loadflow.engine.load.capacity import find_capacity
from loadflow.engine.records.run import Run
from loadflow.engine.records.steadiness import LIMIT, STEEP
from loadflow.engine.records.trust import Trust
from loadflow.engine.session.session import Session, use_session
from tests.builders import build_run, facts, make_rows
from tests.history.test_judging import Nights

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
LIMIT_TEXT, NIGHTS = "p99 < 100 ms", 9
DAY_S = 86_400


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rows = make_rows(30_000, seconds=90, steady=True)
    about = facts(planned_s=90.0, plan={"stages": [{"users": 50}]})
    return build_run(tmp_path_factory.mktemp("page") / "run", rows, run_facts=about)


@pytest.fixture(scope="module")
def judgement(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("nights")
    last = [Nights(root, run.folder).make(number) for number in range(14)][-1]
    every = (KeptRun.of(Run.open(path)) for path in sorted(root.iterdir(), reverse=True))
    return judge_run(every, KeptRun.of(last), ["p95"], 0.02, None)


@pytest.fixture(scope="module")
def capacity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the last of some searches returned; the target gets slower by 2 % each night."""
    root, result = tmp_path_factory.mktemp("searches"), dict[str, Any]()

    def load(night: int, session: Any, plain: Any, name: str, wanted: Wanted, expressions: Any) -> Probe:
        served_per_s = 200 * 0.98**night
        share = min(0.99, math.exp(-max(1.0, served_per_s - wanted.rate_per_s) * 0.1))
        over = {LIMIT_TEXT: (share, 50_000.0)}
        return Probe(wanted.step, wanted.rate_per_s, wanted.seconds, over, sustained=wanted.rate_per_s < served_per_s)

    test = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": "http://127.0.0.1:9/"}]}
    for night in range(NIGHTS):
        with pytest.MonkeyPatch.context() as patch, use_session(Session(runs_dir=root, label="shop")):
            patch.setattr(module, "_made", partial(load, night))
            patch.setattr(module.time, "time", lambda night=night: (20_000 + night) * DAY_S)
            result = find_capacity(test, [LIMIT_TEXT])
    return result


@pytest.fixture(scope="module")
def known(run: Run, judgement: dict[str, Any], capacity: dict[str, Any]) -> dict[str, Any]:
    """What the lines of the page give."""
    told = run.summary().to_json()["precision"]
    found: dict[str, Any] = {"folder": run.folder, "from_s": int(told["steadiness"]["from_s"])}
    found |= {"judgement": judgement, "capacity": capacity}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, found)
    return found


# by what the lines call it: where the summary's JSON has it, and how exactly: its percentiles are those of a histogram, right to 0.1 %
SUMMARY: list[tuple[str, tuple[str, ...], float]] = [
    ("low_ms", ("overall", "p95", "low"), 5e-3),
    ("high_ms", ("overall", "p95", "high"), 5e-3),
    ("effective_hits", ("overall", "p95", "effective_hits"), 2e-2),
    ("detectable_ms", ("overall", "p95", "detectable"), 5e-2),
    ("mean_ms", ("overall", "mean", "value"), 1e-6),
    ("rate", ("overall", "rate", "value"), 1e-6),
    ("failures_low", ("overall", "failure_rate", "low"), 1e-6),
    ("failures_high", ("overall", "failure_rate", "high"), 1e-6),
    ("every_ms", ("closed_loop", "every_ms"), 1e-6),
    ("met_p99_ms", ("closed_loop", "p99_ms"), 3e-3),
    ("by_times", ("littles_law", "by_times"), 1e-6),
    ("counted", ("littles_law", "counted"), 1e-6),
]


@pytest.mark.parametrize(("name", "place", "exact"), SUMMARY, ids=[row[0] for row in SUMMARY])
def test_the_lines_of_the_page_give_the_numbers_of_the_summary(
    name: str, place: tuple[str, ...], exact: float, known: dict[str, Any], run: Run
) -> None:
    told: Any = run.summary().to_json()["precision"]
    for key in place:
        told = told[key]
    assert known[name] == pytest.approx(told, rel=exact)


def test_the_widths_and_the_answers_are_those_of_the_summary(known: dict[str, Any], run: Run) -> None:
    told = run.summary().to_json()["precision"]
    mean, rate, steady = told["overall"]["mean"], told["overall"]["rate"], told["steadiness"]
    assert known["mean_width"] == pytest.approx((mean["high"] - mean["low"]) / 2, rel=1e-6)
    assert known["rate_width"] == pytest.approx((rate["high"] - rate["low"]) / 2, rel=1e-6)
    assert (known["statistic"] <= LIMIT and known["steepness"] <= STEEP) == steady["times_are_steady"]
    assert steady["warm_up_s"] in (0.0, known["warm_up_s"])
    assert known["ours_ms"] == 0.0, "the machine was not calibrated, and users decide when a hit is due"


def test_the_lines_of_the_page_give_what_is_usual_and_what_a_target_can_bear(
    known: dict[str, Any], judgement: dict[str, Any], capacity: dict[str, Any]
) -> None:
    assert known["usual_ms"].tolist() == pytest.approx(judgement["metrics"][0]["usual"], rel=1e-4)
    assert known["crossing_per_s"] == pytest.approx(capacity["capacity_per_s"])
    assert known["change_per_week"] == pytest.approx(math.expm1(7 * capacity["forecast"]["per_day"]))


def test_every_part_of_how_far_to_trust_a_run_is_in_the_table_of_the_page() -> None:
    """A number that a report shows has a line that says what it is and where it is from."""
    rows = {"precision": "interval of", "steadiness": "steady", "hidden": "what a closed loop hides", "books": "Little's law"}
    rows |= {"ours": "the generator's share", "stop": "`at_most`"}
    assert rows.keys() == set(Trust.__dataclass_fields__)
    tables = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    for words in (*rows.values(), "effective hits", "change that would be seen", "warm-up"):
        assert any(line.startswith(f"| {words}") for line in tables), words
