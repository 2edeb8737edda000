# ruff: noqa: E501  # a row stays on one line
"""Several populations in one test, side by side on one clock, each with books of its own. The same on both engines."""

from __future__ import annotations

import json
import socketserver
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil
import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.exporters.shared.counts import Counts
from loadflow.engine.load.start import start_test
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.judge import EndReason
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summing import summary_of
from loadflow.engine.reports.junit import write_junit_report
from loadflow.engine.reports.junit_cases import threshold_cases
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, EngineError, Interrupted
from tests.load.harness import USERS, Outcomes, balance, detail, get, post
from tests.targets.fixture import Target

QUICK: dict[str, Any] = {"user_count": 1, "spawn_rate": 1000, "test_time": 60, "iterations": 3}
ENDLESS: dict[str, Any] = {"user_count": 1, "test_time": 300, "wait_time": 0.05}


class Watch(Observer):
    """Keeps the seconds of each run; with `stop_at` it asks for the end once that population has so many of them."""

    def __init__(self, stop_at: str = "") -> None:
        self.seconds: dict[str, list[Snapshot]] = {}
        self.counts = Counts(100)
        self._stop_at = stop_at

    def run_started(self, run: Run) -> None:
        self.counts.started(run)

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self.seconds.setdefault(run.facts.population, []).append(snapshot)
        self.counts.add(run, snapshot)

    def stop_requested(self) -> str:
        return "enough" if self._stop_at in self.seconds else ""


class Made:
    """What start_test gave or raised, and the runs of the populations."""

    def __init__(
        self, folder: Path, populations: list[dict[str, Any]], *, user: str = "fast_http_user", watch: Any = None, **arguments: Any
    ):
        self.watch = watch or Watch()
        self.error: Exception | None = None
        self.summary: dict[str, Any] = {}
        with use_session(Session(runs_dir=folder / "runs", observers=[self.watch])) as session:
            try:
                self.summary = start_test(detail(user), populations=populations, **arguments)
            except (EngineError, Interrupted) as error:
                self.error = error
        self.runs: dict[str, Run] = {run.facts.population: run for run in session.runs}
        if not isinstance(self.error, EngineError):
            for name, run in self.runs.items():
                balance(Outcomes(run, {}, None, self.watch.seconds[name]))


@pytest.mark.parametrize("user", USERS)
def test_each_population_has_its_own_pace_and_books_on_one_clock(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    batch = {"batch": [get("/ok?a", name="a"), get("/ok?b", name="b")]}
    made = Made(
        tmp_path,
        [
            {
                "name": "browse",
                "tasks": [get("/ok?${who}", name="page")],
                "rate": {"mode": "constant", "rps": 20, "duration": 1},
                "user_count": 3,
                "thresholds": ["requests >= 20", {"expr": "failure_rate <= 0", "name": "page"}],
            },
            {"name": "buy", "tasks": [post("/login", name="log in"), batch], **QUICK, "user_count": 2, "variables": {"who": "buyer"}},
        ],
        user=user,
        host=target.url,
        label="shop",
        variables={"who": "anyone"},
    )
    assert list(made.runs) == list(made.summary["populations"]) == ["browse", "buy"]
    browse, buy = (made.summary["populations"][name] for name in ("browse", "buy"))
    assert (browse["totals"]["requests"], buy["totals"]["requests"]) == (20, 2 * 3 * 3)
    assert target.counts() == {"/ok": 20 + 2 * 2 * 3, "/login": 2 * 3}
    assert [run.facts.label for run in made.runs.values()] == ["shop: browse", "shop: buy"]
    together = made.summary
    assert together["totals"]["requests"] == 38
    assert together["duration_s"] == max(browse["duration_s"], buy["duration_s"])
    assert together["totals"]["users_peak"] == 5
    assert together["passes"]["made"] == 20 + 2 * 3
    assert together["rate"]["achieved_per_s"] == pytest.approx(20 / browse["duration_s"])
    assert [one["scope"] for one in together["thresholds"]] == ["in browse", "of page in browse"]
    origins = {read_header(run.hits_path(0)).origin_monotonic_ns for run in made.runs.values()}
    assert len(origins) == 1, "they begin at the same nanosecond"
    labels = [load.labels for load, _ in made.watch.counts.read(lambda series, totals: None)[1]]
    assert [one["population"] for one in labels] == ["browse", "buy"]


def test_populations_of_different_protocols(target: Target, tmp_path: Path) -> None:
    class Echo(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line)

    target.reset()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as echo:
        echo.daemon_threads = True
        thread = threading.Thread(target=echo.serve_forever)
        thread.start()
        step = {
            "protocol": "tcp",
            "target": f"127.0.0.1:{echo.server_address[1]}",
            "payload": "hello",
            "framing": {"delimiter": "\n"},
            "name": "hello",
        }
        made = Made(
            tmp_path,
            [
                {"name": "pages", "tasks": [get("/ok")], **QUICK, "host": target.url},
                {"name": "sockets", "user_detail_dict": {"user": "socket_user"}, "tasks": [step], **QUICK},
            ],
        )
        echo.shutdown()
        thread.join()
    assert [run.facts.protocol for run in made.runs.values()] == ["fast_http_user", "socket_user"]
    assert [one["totals"]["successes"] for one in made.summary["populations"].values()] == [3, 3]


@pytest.mark.parametrize("user", USERS)
def test_the_verdict_is_the_worst_of_all(user: str, target: Target, tmp_path: Path) -> None:
    made = Made(
        tmp_path,
        [
            {"name": "good", "tasks": [get("/ok")], **QUICK},
            {"name": "bad", "tasks": [get("/ok")], **QUICK, "thresholds": ["requests >= 1000"]},
        ],
        user=user,
        host=target.url,
    )
    verdicts = {name: one["verdict"]["verdict"] for name, one in made.summary["populations"].items()}
    assert verdicts == {"good": "passed", "bad": "failed"}
    assert made.summary["verdict"]["verdict"] == "failed"
    (case,) = threshold_cases(summary_of(list(made.runs.values())))
    assert case.name == "requests >= 1000 in bad"
    assert case.problem is not None


@pytest.mark.parametrize("user", USERS)
def test_a_stop_ends_all_of_them(user: str, target: Target, tmp_path: Path) -> None:
    populations = [{"name": name, "tasks": [get("/ok")], **ENDLESS} for name in ("a", "b")]
    made = Made(tmp_path, populations, user=user, host=target.url, watch=Watch(stop_at="a"))
    assert isinstance(made.error, Interrupted)
    assert [run.verdict(run.health()).kind.value for run in made.runs.values()] == ["interrupted"] * 2


class Killer(Watch):
    """Kills the first engine that was started, of population `lost`, when its first second is there."""

    killed = False

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        super().snapshot(run, snapshot)
        if run.facts.population == "lost" and not self.killed:
            self.killed = True
            folder = str(run.folder.resolve())
            for process in psutil.Process().children(recursive=True):
                if any(one.path.startswith(folder) and "hits-" in one.path for one in process.open_files()):
                    process.kill()


@pytest.mark.parametrize("user", USERS)
def test_the_loss_of_one_stops_the_others_and_is_the_error(user: str, target: Target, tmp_path: Path) -> None:
    populations = [{"name": name, "tasks": [get("/ok")], **ENDLESS} for name in ("stays", "lost")]
    made = Made(tmp_path, populations, user=user, host=target.url, watch=Killer())
    assert isinstance(made.error, EngineError)
    assert made.runs["lost"].end().reason is EndReason.ENGINE_LOST
    assert made.runs["stays"].end().message == "population lost was lost"
    for name, run in made.runs.items():
        assert run.summary().overall.count > 0, name
        assert (run.folder / "report.html").exists()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("steps beside populations", {"tasks": [get("/ok")], "populations": [{"name": "a", "tasks": [get("/ok")]}]},
     "LD_start_test.tasks: belongs to a population, and there are several; write it into them"),
    ("two of one name", {"populations": [{"name": "a", "tasks": [get("/ok")]}] * 2},
     "LD_start_test.populations[1].name: another population has this name; give each its own"),
    ("a key of the test", {"populations": [{"name": "a", "tasks": [get("/ok")], "label": "x"}]},
     "LD_start_test.populations[0].label: 'label' is not a key of a population; write it beside populations"),
    ("a shared key that does not go with one of them", {"spawn_rate": 3, "populations": [{"name": "a", "tasks": [get("/ok")], "rate": 5}, {"name": "b", "tasks": [get("/ok")]}]},
     "LD_start_test.populations[0].spawn_rate: can't be combined with rate"),
    ("a shared key that is wrong", {"user_count": 0, "populations": [{"name": name, "tasks": [get("/ok")]} for name in "ab"]},
     "LD_start_test.user_count: must be at least 1, not 0"),
    ("a master", {"runner_mode": "master", "populations": [{"name": "a", "tasks": [get("/ok")]}]},
     "LD_start_test.runner_mode: is 'master', which makes one load, and each population is a load; write workers, or make a test of one population"),
    ("agents and what only this machine's loads do", {"workers": {"count": 2}, "populations": [{"name": "a", "tasks": [get("/ok")], "rate": 5, "stop_when": {"precision": "p95 ± 5%"}}]},
     "LD_start_test.populations[0].stop_when: "),
    ("a variable that only another one has", {"populations": [{"name": "a", "tasks": [get("/${x}")]}, {"name": "b", "variables": {"x": 1}, "tasks": [get("/${x}")]}]},
     "LD_start_test.populations[0].tasks[0]: "),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_does_not_go_together_is_said_with_its_place(arguments: dict[str, Any], text: str, tmp_path: Path) -> None:
    with use_session(Session(runs_dir=tmp_path)) as session, pytest.raises(CommandError) as caught:
        start_test({"user": "fast_http_user"}, host="http://127.0.0.1:1", **arguments)
    assert any(str(mistake).startswith(text) for mistake in caught.value.mistakes), caught.value.mistakes
    assert session.runs == []


def test_a_script_with_populations_is_checked_run_and_reported(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = {
        "load_density": [
            ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "host": target.url, "populations": [
                {"name": name, "tasks": [get(f"/ok?{name}", name=name)], **QUICK} for name in ("browse", "buy")]}],
            ["LD_generate_html_report", ["both"]],
            ["LD_generate_junit_report", ["both"]],
            ["LD_generate_json_report", ["both"]],
        ]
    }  # fmt: skip
    Path("script.json").write_text(json.dumps(script))
    assert CliRunner().invoke(main, ["check", "script.json"]).exit_code == 0
    done = CliRunner().invoke(main, ["run", "--direct", "script.json"])
    assert done.exit_code == 0, done.output
    assert "script: browse" in done.output + done.stderr
    assert "script: buy" in done.output + done.stderr
    page = next(Path().glob("both*.html")).read_text()
    assert "browse" in page and "buy" in page


@pytest.mark.parametrize("per_request", [False, True])
def test_junit_keeps_equal_names_of_two_populations_apart(per_request: bool, target: Target, tmp_path: Path) -> None:
    """Also for servers that look at group and name of a case alone."""
    populations = [{"name": name, "tasks": [get("/ok", name="page")], **QUICK} for name in ("browse", "buy")]
    made = Made(tmp_path, populations, host=target.url, label="shop")
    path = write_junit_report(list(made.runs.values()), tmp_path / "junit.xml", per_request=per_request)
    suites = list(ElementTree.parse(path).getroot())
    assert [suite.get("name") for suite in suites] == ["shop: browse", "shop: buy"]
    cases = [(case.get("classname"), case.get("name")) for suite in suites for case in suite.iter("testcase")]
    assert len(set(cases)) == len(cases) == (8 if per_request else 4), cases
    groups = {"browse.loadflow", "browse.GET", "buy.loadflow", "buy.GET"}
    assert {group for group, _ in cases} == groups


ONE_LOAD_AFTER_THE_OTHER: list[tuple[str, dict[str, Any], str]] = [
    ("LD_find_capacity", {"limits": ["p99 < 500 ms"]}, "a search for capacity"),
    ("LD_duet", {"baseline_target": "http://127.0.0.1:1", "target": "http://127.0.0.1:2"}, "a leg of a duet"),
    ("LD_campaign", {"targets": ["http://127.0.0.1:1"]}, "a cell of a campaign"),
]


@pytest.mark.parametrize(("command", "arguments", "what"), ONE_LOAD_AFTER_THE_OTHER)
def test_what_makes_one_load_after_the_other_takes_no_populations(
    command: str, arguments: dict[str, Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check says so already."""
    monkeypatch.chdir(tmp_path)
    test = {"user_detail_dict": {}, "host": "http://127.0.0.1:1", "populations": [{"name": "a", "tasks": [get("/ok")]}]}
    Path("script.json").write_text(json.dumps([[command, {**arguments, "test": test}]]))
    for words in (["check", "script.json"], ["run", "--direct", "script.json"]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2, done.output
        assert f"test.populations: are several loads side by side, and {what} is of one\n" in done.stderr
