"""A run against the nights before it, from run folders: LD_judge, `loadflow judge`, `loadflow history accept`, and the page."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.commands.ld_judge import judge
from loadflow.engine.history.judging import judge_run, sentences
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.history.population import JUDGEMENT, accepted_of
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, ThresholdsNotMet
from tests.builders import STARTED_UNIX_S, build_run, facts, make_rows

DAY_S = 86_400


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 s with two names, whose folder every night is a copy of."""
    rows = make_rows(600, seconds=12, series=2, failure_rate=0.0, steady=True)
    return build_run(tmp_path_factory.mktemp("base") / "run", rows, run_facts=facts(planned_s=12.0)).folder


class Nights:
    """Makes run folders, each with the numbers of one night in its summary: they waver by 2 %."""

    def __init__(self, root: Path, base: Path) -> None:
        self.root, self._base = root, base

    def make(self, number: int, *, slower: float = 1.0, failures: int = 0, **about: Any) -> Run:
        factor = slower * float(np.exp(np.random.default_rng(number).normal(0, 0.02)))
        run_id = f"202609{1 + number // 24:02}-{number % 24:02}0000-shop-{number:08}"
        folder = self.root / run_id
        shutil.copytree(self._base, folder)
        facts_of_run = {"id": run_id, "folder": str(folder), "started_unix_s": STARTED_UNIX_S + number * DAY_S, **about}
        run, summary = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("run.json", "summary.json"))
        run["facts"] |= facts_of_run
        summary["totals"]["failures"] = failures
        for times in (summary["latency_overall"], *summary["per_name"].values()):
            times.update({key: value * factor for key, value in times.items() if key in ("p50_ms", "p95_ms", "p99_ms", "mean_ms")})
        for name, data in (("run.json", run), ("summary.json", summary)):
            (folder / name).write_text(json.dumps(data), encoding="utf-8")
        return Run.open(folder)


@pytest.fixture
def nights(tmp_path: Path, base: Path) -> Nights:
    return Nights(tmp_path, base)


def judged_at(root: Path, **given: Any) -> dict[str, Any]:
    with use_session(Session(runs_dir=root)):
        return judge(**given)


def test_it_learns_then_knows_and_names_the_first_bad_run_with_its_revision(nights: Nights, tmp_path: Path) -> None:
    verdicts = []
    for number in range(18):
        bad = number >= 15
        nights.make(number, slower=1.3 if bad else 1.0, revision="9f1c" if bad else "77aa")
        verdicts.append(judged_at(tmp_path)["verdict"])
    assert verdicts[:10] == ["learning"] * 10
    assert set(verdicts[10:15]) <= {"same", "suspect"}
    assert verdicts[16:] == ["worse", "worse"]
    last = judged_at(tmp_path)
    assert last["first_bad"]["run"].endswith("-00000015")
    assert last["first_bad"]["revision"] == "9f1c"
    assert last["first_bad"]["probability"] > 0.9
    said = " ".join(sentences(last))
    assert re.search(r"p95 is worse: \+\d+\.\d %", said) or "p95 is worse: +" in said
    assert "revision 9f1c" in said
    assert "would be seen within three nights" in said
    kept = json.loads((tmp_path / last["run"] / JUDGEMENT).read_text(encoding="utf-8"))
    assert kept["verdict"] == "worse"
    with pytest.raises(ThresholdsNotMet, match="p95 is worse"):
        judged_at(tmp_path, fail_on_worse=True)


def test_what_was_accepted_begins_anew(nights: Nights, tmp_path: Path) -> None:
    for number in range(16):
        run = nights.make(number, slower=1.3 if number >= 14 else 1.0)
        judged_at(tmp_path)
    assert judged_at(tmp_path)["verdict"] == "worse"
    said = CliRunner().invoke(main, ["history", "accept", run.facts.id, "--why", "more is checked", "--runs-dir", str(tmp_path)])
    assert said.exit_code == 0, said.output
    one = accepted_of(tmp_path, "smoke")
    assert one is not None
    assert one.why == "more is checked"
    assert judged_at(tmp_path)["why"] == "learning (0 of 10 nights)"
    assert CliRunner().invoke(main, ["history", "--runs-dir", str(tmp_path)]).exit_code == 0  # the group lists as before


def test_runs_that_are_unlike_or_say_nothing_are_no_part_of_it(nights: Nights, tmp_path: Path) -> None:
    for number in range(12):
        nights.make(number)
    nights.make(12, slower=9, plan={"user_count": 7})
    nights.make(13, slower=9, label="other")
    last = nights.make(14)
    found = judge_run(
        (KeptRun.of(Run.open(path)) for path in sorted(tmp_path.iterdir(), reverse=True)), KeptRun.of(last), ["p95"], 0.02, None
    )
    assert len(found["nights"]) == 13
    assert found["verdict"] == "same"


def test_nights_in_containers_are_alike_where_their_calibrations_are(nights: Nights, tmp_path: Path) -> None:
    for number in range(14):
        costs = {"cpu_ms_per_1000_hits": 9.0 if number == 5 else 6.6 + number % 3 / 10}
        nights.make(number, environment={"host": f"loadflow-nightly-{number}", "cores": "2"}, calibration=costs)
    found = judged_at(tmp_path)
    assert [one["run"][-2:] for one in found["nights"]] == ["00", "01", "02", "03", "04", "06", "07", "08", "09", "10", "11", "12", "13"]


def test_more_failures_than_usual_are_worse_in_one_night(nights: Nights, tmp_path: Path) -> None:
    for number in range(12):
        nights.make(number, failures=6)
    nights.make(12, failures=48)
    found = judged_at(tmp_path)
    (failures,) = [one for one in found["metrics"] if one["metric"] == "failure_rate"]
    assert failures["verdict"] == found["verdict"] == "worse"
    assert "failure_rate is worse" in " ".join(sentences(found))


def test_the_command_line_says_it_by_its_exit_code(nights: Nights, tmp_path: Path) -> None:
    for number in range(12):
        nights.make(number, slower=1.4 if number >= 10 else 1.0)
    said = CliRunner().invoke(main, ["judge", "--runs-dir", str(tmp_path)])
    assert said.exit_code == 1, said.output
    assert "p95 is worse" in said.output
    assert json.loads(CliRunner().invoke(main, ["judge", "--json", "--runs-dir", str(tmp_path)]).output)["verdict"] == "worse"
    assert CliRunner().invoke(main, ["judge", "--metric", "p42", "--runs-dir", str(tmp_path)]).exit_code == 2


def test_an_unknown_metric_is_refused(nights: Nights, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="'p42' is not a metric"):
        judged_at(tmp_path, metrics=["p42"])


def test_the_page_has_the_band_and_marks_the_worse_nights(nights: Nights, tmp_path: Path) -> None:
    from loadflow.flows.history_page import history_markdown
    from tests.flows.test_trend import drawing

    for number in range(13):
        nights.make(number, slower=1.4 if number >= 11 else 1.0, revision=f"r{number}|x")
        found = judged_at(tmp_path)
    page = history_markdown(found)
    assert page.startswith("# ▲ **worse**: smoke")
    assert "| r11\\|x |" in page
    elements = drawing(page)
    names = [element.tag.rpartition("}")[2] for element in elements]
    assert names.count("circle") == 13
    assert "rect" in names
    assert [element.text for element in elements if element.get("class") == "worse"] == ["▲"]
    assert len(page.encode()) < 60_000


def test_thirty_nights_of_fifty_names_take_less_than_a_second_of_cpu(nights: Nights, tmp_path: Path) -> None:
    for number in range(31):
        run = nights.make(number)
        path = run.folder / "summary.json"
        summary = json.loads(path.read_text(encoding="utf-8"))
        (one, *_) = summary["per_name"].values()
        summary["per_name"] = {f"/item/{item}": one for item in range(50)}
        path.write_text(json.dumps(summary), encoding="utf-8")
    began = time.process_time()
    assert judged_at(tmp_path)["verdict"] in ("same", "suspect")
    assert time.process_time() - began < 4  # 0.6 s on a quiet core
