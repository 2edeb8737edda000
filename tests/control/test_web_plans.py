"""LoadPilot's ScenarioPlan: what it becomes, and what is refused in it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from loadflow.engine.control.web.plan import is_plan, script_of
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.session import Session
from loadflow.errors import ScriptError
from tests.control.web_serving import plan

URL = "http://127.0.0.1:9"


def arguments(**keys: Any) -> dict[str, Any]:
    script = script_of(plan(URL, **keys))
    load_script(script, session=Session())  # as a run would check it
    (action,) = script["load_density"]
    return dict(action[1])


MODES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("constant", {"mode": "constant"}, {"mode": "constant", "rps": 20, "duration": 1}),
    ("ramp, with its own time to rise", {"mode": "ramp", "ramp_up_secs": 9}, {"mode": "ramp", "rps": 20, "duration": 1, "ramp_up": 9}),
    ("step", {"mode": "step", "steps": 4}, {"mode": "step", "rps": 20, "duration": 1, "steps": 4}),
    ("spike", {"mode": "spike", "rps": 7}, {"mode": "spike", "rps": 7, "duration": 1}),
    ("constant, shorter than a ramp that it does not have", {"ramp_up_secs": 10}, {"mode": "constant", "rps": 20, "duration": 1}),
]


@pytest.mark.parametrize(("what", "keys", "rate"), MODES, ids=[row[0] for row in MODES])
def test_the_rate_is_that_of_the_mode(what: str, keys: dict[str, Any], rate: dict[str, Any]) -> None:
    assert arguments(**keys)["rate"] == rate


def test_what_a_plan_leaves_out_has_loadpilots_defaults() -> None:
    least = {"name": "a", "rps": 5, "duration_secs": 30, "target_url": URL, "tasks": [{"name": "t", "url": "/"}]}
    ((_, found),) = script_of(least)["load_density"]
    assert found["rate"] == {"mode": "ramp", "rps": 5, "duration": 30, "ramp_up": 10}
    assert found["tasks"]["tasks"] == [{"name": "t", "method": "get", "request_url": f"{URL}/", "weight": 1, "timeout": 30.0}]


def test_every_threshold_becomes_one_that_an_equal_value_passes() -> None:
    found = arguments(thresholds={"p50_ms": 100, "p95_ms": 250.5, "p99_ms": 500, "max_ms": 1000, "error_rate": 0.5})["thresholds"]
    assert found == ["p50 <= 100 ms", "p95 <= 250.5 ms", "p99 <= 500 ms", "max <= 1000 ms", "failure_rate <= 0.5%"]


BODIES = [
    ("JSON", '{"a": "${x}"}', "application/json"),
    ("text", "a=${x}", "text/plain; charset=utf-8"),
    ("text beyond ASCII", "größe", "text/plain; charset=utf-8"),
]


@pytest.mark.parametrize(("what", "body", "kind"), BODIES, ids=[row[0] for row in BODIES])
def test_a_body_is_sent_as_it_is_written(what: str, body: str, kind: str) -> None:
    (step,) = arguments(tasks=[{"name": "t", "url": "/", "method": "post", "body_template": body}])["tasks"]["tasks"]
    assert base64.b64decode(step["data_base64"]).decode() == body
    assert step["headers"] == {"Content-Type": kind}


def test_a_type_that_the_plan_names_stays() -> None:
    task = {"name": "t", "url": "/", "method": "post", "body_template": "[]", "headers": {"content-type": "text/x"}}
    (step,) = arguments(tasks=[task])["tasks"]["tasks"]
    assert step["headers"] == {"content-type": "text/x"}


URLS = [
    (f"{URL}/api/", "/a", f"{URL}/api/a"),
    (URL, "a?b=http://c", f"{URL}/a?b=http://c"),
    (URL, "http://127.0.0.1:8/x", "http://127.0.0.1:8/x"),
]


@pytest.mark.parametrize(("target", "path", "whole"), URLS)
def test_target_and_path_are_joined_with_one_slash(target: str, path: str, whole: str) -> None:
    (step,) = script_of(plan(target, tasks=[{"name": "t", "url": path}]))["load_density"][0][1]["tasks"]["tasks"]
    assert step["request_url"] == whole


def test_each_users_headers_and_paths_replace_those_of_the_task() -> None:
    tasks = [{"name": "a", "url": "/a", "weight": 3, "headers": {"Authorization": "none", "X": "1"}}, {"name": "b", "url": "/b"}]
    users = [
        {"task_headers": {"a": {"authorization": "Bearer one"}}, "task_urls": {"b": "/b/1"}},
        {"task_headers": {"a": {"authorization": "Bearer two"}}},
    ]
    steps = arguments(tasks=tasks, vuser_configs=users)["tasks"]["tasks"]
    assert [(one["name"], one["weight"], one["request_url"].removeprefix(URL)) for one in steps] == [
        ("a", 3, "/a"),
        ("a", 3, "/a"),
        ("b", 1, "/b/1"),
        ("b", 1, "/b"),
    ]
    assert [one["headers"] for one in steps[:2]] == [{"X": "1", "authorization": f"Bearer {name}"} for name in ("one", "two")]


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("no rate", {"rps": 0}, "rps", "must be at least 1"),
    ("a rate as text", {"rps": "20"}, "rps", "must be a whole number"),
    ("no time", {"duration_secs": 0}, "duration_secs", "must be at least 1"),
    ("a mode of its own", {"mode": "wave"}, "mode", "must be 'ramp'"),
    ("no tasks", {"tasks": []}, "tasks", "must not be empty"),
    ("a task without a name", {"tasks": [{"name": " ", "url": "/"}]}, "tasks[0].name", "must not be empty"),
    ("a weight of nothing", {"tasks": [{"name": "t", "url": "/", "weight": 0}]}, "tasks[0].weight", "must be at least 1"),
    ("a method that no plan has", {"tasks": [{"name": "t", "url": "/", "method": "BREW"}]}, "tasks[0].method", "is not a method of a plan"),
    ("a placeholder in a path", {"tasks": [{"name": "t", "url": "/${env.HOME}"}]}, "tasks[0].url", "holds ${"),
    ("a placeholder in a header", {"tasks": [{"name": "t", "url": "/", "headers": {"A": "${env.B}"}}]}, "tasks[0].headers.A", "holds ${"),
    ("a target that is none", {"target_url": "ftp://127.0.0.1"}, "target_url", "is not an http or https URL"),
    ("a target that can't be read", {"target_url": "http://[::1"}, "target_url", "is not an http or https URL"),
    ("a threshold that nothing measures", {"thresholds": {"p90_ms": 1}}, "thresholds.p90_ms", "is not a threshold"),
    ("Python code", {"scenario_file": "/x.py"}, "scenario_file", "names Python code"),
    ("rows that nothing would send", {"data_pool": [{"a": 1}]}, "data_pool", "is used by no request"),
    (
        "a user of another task",
        {"vuser_configs": [{"task_urls": {"hom": "/"}}]},
        "vuser_configs[0].task_urls.hom",
        "is not a task of the plan",
    ),
    ("more users than a plan may have", {"vuser_configs": [{}] * 2_001}, "vuser_configs", "at most 2,000"),
    ("a key of nobody", {"durationsecs": 1}, "durationsecs", "is not a key of the plan"),
]


@pytest.mark.parametrize(("what", "keys", "place", "says"), WRONG, ids=[row[0] for row in WRONG])
def test_what_loadpilot_would_drop_in_silence_is_refused_with_its_place(what: str, keys: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(ScriptError) as refused:
        script_of(plan(URL, **keys))
    assert [(one.place, says in one.message) for one in refused.value.mistakes] == [(place, True)], refused.value.mistakes


def test_a_script_is_no_plan() -> None:
    assert is_plan({"target_url": URL})
    assert is_plan({"rps": 5, "tasks": []})
    assert not is_plan({"load_density": [], "rps": 5})
    assert not is_plan([["len", ["x"]]])
