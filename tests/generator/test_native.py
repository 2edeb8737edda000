"""The choice between the engines, and what is the native core's alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.generator.native import fit as native_fit
from loadflow.engine.generator.native.fit import choose, features_that_do_not_fit, is_built
from loadflow.engine.load.build import build_plan
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.process.launch import child_environment
from loadflow.engine.records.hitlog import iter_rows
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from tests.load.harness import get, load, post
from tests.services import need
from tests.targets.fixture import Target

Step = dict[str, Any]


def plan_of(*steps: Step, **arguments: Any) -> Plan:
    given = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": list(steps), "host": "http://127.0.0.1:9", **arguments}
    return build_plan(given, Variables(), {}, TargetRules(), lambda name: "").plan


FITS: list[tuple[str, Plan]] = [
    ("a plain step", plan_of(get("/"))),
    ("every key of a step", plan_of(
        post("/${uuid()}", name="n${now()}", json={"a": "${randint(1,2)}"}, headers={"X": "${uuid()}"}, cookies={"c": 1}, params={"q": 1},
             timeout=[1, 2], verify=False, allow_redirects=False, auth={"type": "basic", "username": "a", "password": "b"}, weight=3,
             run_if=True, skip_if={"equals": [1, 2]}, think_time={"min": 0, "max": 1}, throttle={"rps": 5}, retry={"transient": 1},
             assertions=[{"type": "status_code", "value": 200}, {"type": "response_time", "max_ms": 5}],
             extract=[{"var": "x", "path": "a"}, {"var": "h", "from": "header", "name": "H"}]),
    )),
    ("files with placeholders", plan_of(post("/", files={"f": {"content": "${uuid()}"}}))),
    ("a rate", plan_of(get("/"), rate=5, test_time=1)),
]  # fmt: skip
UNFIT: list[tuple[str, Plan, list[str]]] = [
    ("the web UI", replace(plan_of(get("/")), web_ui=("127.0.0.1", 8089)), ["web_ui"]),
    ("another protocol", replace(plan_of(get("/")), protocol="later_user"), ["user 'later_user'"]),
    ("a key that the core does not know", replace(plan_of(get("/")), steps=({**get("/"), "later": 1},)), ["step key 'later'"]),
    (
        "an assertion that the core does not know",
        replace(plan_of(get("/")), steps=({**get("/"), "assertions": [{"type": "later"}]},)),
        ["assertion 'later'"],
    ),
    ("half a character", plan_of(get("/", assertions=[{"type": "contains", "value": "\ud800"}])), ["text with half a surrogate pair"]),
]


@pytest.mark.parametrize("plan", [row[1] for row in FITS], ids=[row[0] for row in FITS])
def test_what_fits(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_fit, "is_built", lambda: True)
    assert list(features_that_do_not_fit(plan)) == []
    assert choose(plan, "auto") == choose(plan, "native") == ("native", "")
    assert choose(plan, "locust") == ("locust", "")


@pytest.mark.parametrize(("plan", "features"), [row[1:] for row in UNFIT], ids=[row[0] for row in UNFIT])
def test_what_does_not_fit_is_named(plan: Plan, features: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_fit, "is_built", lambda: True)
    assert list(features_that_do_not_fit(plan)) == features
    assert choose(plan, "auto") == ("locust", f"the native core does not take {features[0]}")
    with pytest.raises(CommandError, match=r"user_detail_dict\.engine: the native core does not take"):
        choose(plan, "native")


def test_without_the_core_locust_makes_the_load_and_the_run_says_so(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_fit, "is_built", lambda: False)
    given: dict[str, Any] = {"host": target.url, "tasks": [get("/ok")], "user_count": 1, "iterations": 1}
    with use_session(Session(runs_dir=tmp_path)) as session:
        with pytest.raises(CommandError, match="the native core is not built; install Rust"):
            start_test({"user": "fast_http_user", "engine": "native"}, **given)
        summary = start_test({"user": "fast_http_user"}, **given)
        log = session.runs[-1].log_path(0).read_text(encoding="utf-8")
    (run,) = summary["runs"]
    assert (run["engine"], run["why_not_native"]) == ("locust", "the native core is not built")
    assert log.startswith("Locust makes this load: the native core is not built\n")


@pytest.fixture
def core() -> Any:
    need(is_built(), "the native core is not built")
    from loadflow import _native

    return _native


def test_auto_takes_the_core_where_it_is_built(core: Any, target: Target, tmp_path: Path) -> None:
    with use_session(Session(runs_dir=tmp_path)):
        summary = start_test({"user": "http_user"}, host=target.url, tasks=[get("/ok")], user_count=1, iterations=1)
    assert summary["runs"][0]["engine"] == "native"


def test_a_seed_means_the_same_for_both_engines(core: Any, target: Target, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n" + "".join(f"row{number}\n" for number in range(50)), encoding="utf-8")
    source = {"name": "rows", "file_path": str(tmp_path / "rows.csv"), "mode": "random"}
    steps = {
        "mode": "weighted",
        "tasks": [get(f"/echo/{name}?${{uuid()}}-${{randint(1,1000)}}-${{csv.rows.a}}", name=name, weight=weight)
                  for name, weight in (("a", 3), ("b", 2), ("c", 2))],
    }  # fmt: skip
    seen = []
    for user in ("fast_http_user", "native"):
        target.reset()
        load(tmp_path / user, steps, user=user, host=target.url, iterations=25, seed=7, csv_sources=[source])
        seen.append([record.target for record in target.records()])
    assert len(seen[0]) == 25
    assert seen[0] == seen[1]


def test_threads_of_one_process_share_the_load(core: Any, target: Target, tmp_path: Path) -> None:
    target.reset()
    done = load(tmp_path, [get("/ok")], user="native", host=target.url, user_count=5, iterations=4, threads=3)
    assert target.counts() == {"/ok": 20}
    assert sorted({hit.user for hit in done.hits}) == [0, 1, 2, 3, 4]
    assert len(list(done.run.folder.glob("hits-*.bin"))) == 3
    assert len(list(done.run.folder.glob("engine-*.log"))) == 1


def test_made_up_values_and_uploads_with_placeholders_are_sent(core: Any, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        post("/echo", json={"name": "${faker.name}", "id": "${uuid()}"}),
        post("/echo", files={"f": {"content": "one ${uuid()}", "filename": "${randint(7,7)}.txt"}}, timeout="${limit}"),
    ]
    done = load(tmp_path, steps, user="native", host=target.url, iterations=3, variables={"limit": 9})
    bodies = [record.body for record in target.records("/echo")]
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    names = {json.loads(body)["name"] for body in bodies[::2]}
    assert all(names) and len(names) == 3
    assert all(b'filename="7.txt"' in body and b"one " in body for body in bodies[1::2])


class Nothing:
    """Answers what a core asks, with nothing of any use."""

    def series(self, method: str, name: str) -> int:
        return 0


def core_of(core: Any, **changes: Any) -> Any:
    from loadflow.engine.generator.native.plan import compile_plan

    plan = json.loads(compile_plan(plan_of(get("/"), user_count=1, test_time=1), 0, 1, os.environ).json)
    plan["steps"][0].update(changes)
    return core.Core(json.dumps(plan).encode())


def test_a_mistake_in_the_core_is_an_error_that_leaves_the_log_readable(core: Any, tmp_path: Path) -> None:
    broken = core_of(core, throttles=[99])
    with pytest.raises(RuntimeError, match="the native core broke: index out of bounds"):
        broken.run(str(tmp_path / "hits.bin"), time.time_ns(), time.monotonic_ns(), Nothing())
    assert list(iter_rows(tmp_path / "hits.bin")) == []
    events = iter(lambda: broken.next_event(1), None)
    assert next(event for event in events if event[0] != "stood") == ("end",)  # on a busy machine a panic takes its time
    with pytest.raises(RuntimeError, match="a core runs once"):
        broken.run(str(tmp_path / "more.bin"), 0, 0, Nothing())


@pytest.mark.processes
def test_an_engine_begins_without_what_it_does_not_need(core: Any, tmp_path: Path) -> None:
    """Importing it would double the time to the first hit; a URL that differs from hit to hit may need `requests`."""
    code = (
        "import json, sys; from loadflow.engine.entry.native import NativeProcess; "
        "NativeProcess(json.load(sys.stdin), sys.stdout); print(json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    heavy = {"numpy", "requests", "urllib3", "pydantic", "gevent", "locust", "prefect", "psutil", "faker", "ssl"}

    def imported(name: str, step: Step) -> set[str]:
        files = {key: str(tmp_path / f"{name}.{key}") for key in ("hits", "names", "samples")}
        job = {"plan": plan_of(step, user_count=1).to_json(), "paths": [], "shard": 0, "shards": 1, **files}
        command = [sys.executable, "-P", "-c", code]
        done = subprocess.run(command, input=json.dumps([job]), env=child_environment(), capture_output=True, text=True, check=True)
        return heavy & set(json.loads(done.stdout))

    assert imported("same", post("/", json={"id": "${uuid()}"}, assertions=[{"type": "regex", "pattern": "a"}])) == set()
    assert imported("differs", get("/${uuid()}")) == set()


def test_what_is_no_plan_is_refused(core: Any) -> None:
    with pytest.raises(ValueError, match="the plan can't be read"):
        core.Core(b"{}")


def test_a_core_can_be_stopped_from_another_thread(core: Any, tmp_path: Path) -> None:
    idle = core_of(core, run_if={"truthy": {"static": False}})
    results: list[Any] = []

    def run() -> None:
        results.append(idle.run(str(tmp_path / "hits.bin"), time.time_ns(), time.monotonic_ns(), Nothing()))

    runner = threading.Thread(target=run)
    runner.start()
    idle.stop()
    runner.join(10)
    stopped, state, *_ = results[0]
    assert stopped
    assert state[0] == 0


def test_both_have_one_clock(core: Any) -> None:
    before = time.monotonic_ns()
    assert before <= core.clock_ns() <= time.monotonic_ns()
