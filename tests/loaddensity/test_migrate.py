# ruff: noqa: E501  a row of the table stays on its line
"""A script of LoadDensity, written so that it means here what it meant there: a table of differences, and what always holds."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.loaddensity.differences import DIFFERENCES, State, markdown
from loadflow.engine.loaddensity.migrate import changes_of, migrate, warnings_of
from loadflow.engine.loaddensity.words import SCENARIO_KEYS, STEP_KEYS, TEST_KEYS, looks_like_loaddensity
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.session import Session
from loadflow.errors import Mistake, ScriptError

ROOT = Path(__file__).resolve().parents[2]
WAIT = {"min": 0.1, "max": 0.2}
URL = "http://127.0.0.1:9/a"
FRAME = {"name": "a", "request_url": "ws://127.0.0.1:9/", "payload": "x"}

Json = dict[str, Any]


def step(**more: Any) -> Json:
    return {"method": "get", "request_url": URL, "name": "a", **more}


def asked(*steps: Any, user: str = "fast_http_user", **more: Any) -> list[Any]:
    return [["LD_start_test", {"user_detail_dict": {"user": user}, "tasks": list(steps), "wait_time": WAIT, **more}]]


def both(before: Json, after: Json, **more: Any) -> tuple[Any, Any]:
    """A script with each of the two steps."""
    return asked(step(**before), **more), asked(step(**after), **more)


def never(condition: Any, **more: Any) -> tuple[Any, Any]:
    return both({"run_if": condition}, {"run_if": False}, **more)


REGISTERED = ["LD_register_variables", {"variables": {"on": True}}]
NEEDLES = {"in": ["${code}", ["200", 201]]}
KEPT = {"var": "code", "from": "status_code"}

ROWS: list[tuple[str, str, tuple[Any, Any]]] = [
    ("keys beside the list go", "script-keys", ({"load_density": asked(step()), "note": 1}, {"load_density": asked(step())})),
    ("the wait is written down", "no-wait", ([["LD_start_test", {"user_detail_dict": {}, "tasks": [step()]}]],
        [["LD_start_test", {"user_detail_dict": {}, "tasks": [step()], "wait_time": WAIT}]])),
    ("unknown arguments go", "test-keys", (asked(step(), user_cuont=3, record_batch_size=5), asked(step()))),
    ("a relative URL asks this machine", "host", (asked(step(request_url="/a"), host="http://shop.example"),
        asked(step(request_url="/a"), host="http://localhost"))),
    ("a long shape ends after a minute", "shape-cut", (asked(step(), load_shape="soak", shape_config={"users": 5}),
        asked(step(), load_shape="soak", shape_config={"users": 5}, test_time=60))),
    ("a master is for all", "master-address", (asked(step(), runner_mode="master"), asked(step(), runner_mode="master", master_bind_host="*"))),
    ("a later test sees the variables", "variables-stay", (
        [*asked(step(), variables={"id": "5", "no": "1"}), *asked(step(params={"id": "${id}"}))],
        [*asked(step(), variables={"id": "5", "no": "1"}), *asked(step(params={"id": "${id}"}), variables={"id": "5"})])),
    ("what is of the wrong kind goes", "wrong-kind", (asked(step(), variables=[1], csv_sources={}), asked(step()))),
    ("engines of LoadDensity go", "asyncio", (asked(step(), engine="asyncio"), asked(step()))),
    ("unknown modes are a sequence", "mode", ([["LD_start_test", {"user_detail_dict": {}, "wait_time": 0, "tasks": {"mode": "wieghted", "tasks": [step()]}}]],
        [["LD_start_test", {"user_detail_dict": {}, "wait_time": 0, "tasks": {"mode": "sequence", "tasks": [step()]}}]])),
    ("what sends nothing goes", "dropped-steps", (asked(step(), 5, {"request_url": URL}, step(method="brew"), {"method": "get"}), asked(step()))),
    ("a weight is a whole number", "weight", both({"weight": "3"}, {"weight": 3})),
    ("a weight below 0 is 0", "weight", (asked(step(), step(weight=-2)), asked(step(), step(weight=0)))),
    ("a placeholder is not a number", "condition-never", never({"equals": ["${code}", 200]}, variables={"code": "x"})),
    ("nor null", "condition-never", never({"equals": [None, "${code}"]}, variables={"code": "x"})),
    ("it always differs from it", "condition-never", both({"run_if": {"not_equals": ["${code}", 5]}}, {}, variables={"code": "x"})),
    ("what is never skipped", "condition-never", both({"skip_if": {"equals": ["${code}", 5]}}, {}, variables={"code": "x"})),
    ("only texts of a list are found", "condition-never", both({"extract": [KEPT], "run_if": NEEDLES},
        {"extract": [KEPT], "run_if": {"in": ["${code}", ["200"]]}})),
    ("numbers are in no list of texts", "condition-never", never({"in": [5, ["5"]]})),
    ("true is written True", "condition-never", both({"run_if": {"equals": ["${on}", "true"]}}, {"run_if": {"equals": ["${on}", "true"]}})),
    ("operators in any case", "condition-form", both({"run_if": {"Equals": ["a", "a"]}}, {"run_if": {"equals": ["a", "a"]}})),
    ("a list holds never", "condition-form", never([1])),
    ("an unknown operator holds never", "condition-form", never({"greater": [1, 2]})),
    ("a think time of text is none", "think-time", both({"think_time": "${t}"}, {}, variables={"t": 5})),
    ("a span that ends first", "think-time", both({"think_time": {"min": 2, "max": 1}}, {"think_time": 2})),
    ("other users have no conditions", "other-users", (asked(FRAME | {"run_if": True, "weight": 2}, user="websocket_user"),
        asked(FRAME, user="websocket_user"))),
    ("a row for each URL", "default-name", both({"name": None, "request_url": f"{URL}/${{v}}?r=${{randint(1,6)}}"},
        {"request_url": f"{URL}/${{v}}?r=${{randint(1,6)}}", "name": f"{URL}/${{v}}?r={{randint}}"}, variables={"v": "1"})),
    ("http_user: path, query and params", "default-name", both({"name": None, "params": {"b": 2}}, {"params": {"b": 2}, "name": "/a?b=2"}, user="http_user")),
    ("TLS is not verified", "tls", both({"request_url": "https://127.0.0.1:9/a"}, {"request_url": "https://127.0.0.1:9/a", "verify": False})),
    ("a text is the content of a file", "files", both({"files": {"f": "one", "g": ["g.txt", "two", "text/plain"]}},
        {"files": {"f": {"content": "one", "filename": "f"}, "g": {"filename": "g.txt", "content": "two", "content_type": "text/plain"}}})),
    ("files as pairs", "files", both({"files": [["f", "one"]]}, {"files": [{"field": "f", "content": "one", "filename": "f"}]})),
    ("a variable is text in JSON", "json-types", (asked(step(json={"id": ["${id}"]}), variables={"id": 5}),
        asked(step(json={"id": ["${id}"]}), variables={"id": "5"}))),
    ("an extracted value too", "json-types", both({"extract": [KEPT], "json": {"id": "${code}"}},
        {"extract": [KEPT], "json": {"id": "${code}${var.as_text}"}})),
    ("true is True in a text", "spelling", ([REGISTERED, *asked(step(params={"on": "${on}"}))],
        [["LD_register_variables", {"variables": {"on": "True"}}], *asked(step(params={"on": "${on}"}))])),
    ("unknown keys go", "step-keys", both({"tiemout": 5}, {})),
    ("request_url counts", "two-urls", both({"url": "http://127.0.0.1:9/b"}, {})),
    ("other auth goes", "auth", both({"auth": {"type": "digest"}}, {})),
    ("unknown assertions go", "assertion", both({"assertions": [{"type": "status", "value": 1}, {"type": "contains", "value": "x"}]},
        {"assertions": [{"type": "contains", "value": "x"}]})),
    ("a status is a number", "status-text", both({"assertions": [{"type": "status_code", "value": "200"}]},
        {"assertions": [{"type": "status_code", "value": 200}]})),
    ("extracts that extract nothing go", "extract", both({"extract": [{"path": "a"}, {"var": "a", "from": "boddy"}]}, {})),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "difference", "scripts"), ROWS, ids=[row[0] for row in ROWS])
def test_what_a_script_is_here(sentence: str, difference: str, scripts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", "what a master has, too")
    before, after = scripts
    if sentence == "true is written True":
        before, after = [REGISTERED, *before], [["LD_register_variables", {"variables": {"on": "True"}}], *after]
    if sentence == "an extracted value too":
        after[0][1]["variables"] = {"as_text": ""}
    as_it_was = deepcopy(before)
    made = migrate(before)
    assert before == as_it_was
    assert made.document == after
    assert {change.difference for change in made.changes} == {difference}
    assert migrate(made.document).changes == []
    load_script(made.document, session=Session())  # it can be run as it is


def test_every_difference_that_is_warned_of_has_a_row_and_every_other_way_out_is_kept() -> None:
    shown = {row[1] for row in ROWS}
    by_migration = {key for key, row in DIFFERENCES.items() if row.state is State.WARNED or "migrate " in row.way_out}
    assert shown == by_migration


def test_the_page_is_the_table() -> None:
    assert (ROOT / "docs/loaddensity.md").read_text(encoding="utf-8") == markdown()


def test_a_place_is_where_an_author_finds_it() -> None:
    nested = ["LD_execute_action", {"action_list": asked(step(weight="2"))}]
    made = migrate({"load_density": [["LD_summary"], nested]})
    assert [str(change) for change in made.changes] == ["load_density[1].action_list[0].tasks[0].weight: now 2"]


def test_steps_of_a_user_that_nobody_knows_stay_as_they_are() -> None:
    document = asked({"name": "a", "key": "k", "run_if": True}, user="kv_user")
    assert migrate(document).document == document


OURS: list[tuple[str, Json]] = [
    ("wait_time", {"wait_time": 0}),
    ("a rate", {"rate": 5}),
    ("engine", {"user_detail_dict": {"user": "fast_http_user", "engine": "native"}}),
    ("a step key", {"tasks": [step(data_base64="eA==")]}),
    ("an assertion", {"tasks": [step(assertions=[{"type": "response_time", "max_ms": 5}])]}),
    ("an extract", {"tasks": [step(extract=[{"var": "a", "from": "body"}])]}),
    ("a condition", {"tasks": [step(run_if={"not": True})]}),
    ("a file", {"tasks": [step(files={"a": {"content": "x"}})]}),
    ("a secret", {"tasks": [step(headers={"x": "${secret.KEY}"})]}),
]


@pytest.mark.parametrize(("word", "arguments"), OURS, ids=[row[0] for row in OURS])
def test_a_script_with_a_word_of_ours_was_written_for_us(word: str, arguments: Json) -> None:
    document = [["LD_start_test", {"user_detail_dict": {}, "tasks": [step()], **arguments}]]
    assert not looks_like_loaddensity(document)
    assert changes_of(document) == []
    assert looks_like_loaddensity([["LD_start_test", {"user_detail_dict": {}, "tasks": [step()]}]])


def test_a_warning_stands_once_for_all_its_places() -> None:
    steps = [{"method": "get", "request_url": f"{URL}{number}"} for number in range(3)]
    warnings = warnings_of(changes_of([["LD_start_test", {"user_detail_dict": {}, "tasks": steps}]]))
    assert [warning.place for warning in warnings] == ["actions[0].tasks[0].name", "actions[0].wait_time"]
    assert "(and in 2 other places)" in warnings[0].message


UNWAITED = [["LD_start_test", {"user_detail_dict": {}, "tasks": [step()]}]]
FILES: dict[str, Any] = {
    "variables.json": [["LD_register_variables", {"variables": {"on": True}}]],
    "unwaited.json": UNWAITED,
    "ours.json": [["LD_start_test", {"user_detail_dict": {}, "tasks": [step()], "thresholds": ["p95 < 5 s"], "rate": 3, "test_time": 1}]],
    "outer.json": {"load_density": [["LD_execute_files", [["unwaited.json"]]]], "note": 1},
    "itself.json": [["LD_execute_files", [["itself.json", "unwaited.json"]]]],
    "shows.json": [["LD_start_test", {"user_detail_dict": {}, "tasks": [step(params={"on": "${on}"})]}]],
}
NAMED: list[tuple[str, Any, list[str]]] = [
    ("no file", asked(step()), []),
    ("a file", [["LD_execute_files", [["unwaited.json"]]]], ["unwaited.json: actions[0].wait_time"]),
    ("by name", [["LD_execute_files", {"execute_files_list": ["unwaited.json"]}]], ["unwaited.json: actions[0].wait_time"]),
    ("within a nested list", [["LD_execute_action", [[["LD_execute_files", [["unwaited.json"]]]]]]], ["unwaited.json: actions[0].wait_time"]),
    ("a file that a file names", [["LD_execute_files", [["outer.json"]]]],
        ["unwaited.json: actions[0].wait_time", "outer.json: note"]),
    ("files that name each other", [["LD_execute_files", [["itself.json"]]]], ["unwaited.json: actions[0].wait_time"]),
    ("one that is written for us", [["LD_execute_files", [["ours.json"]]]], []),
    ("what is named by ours", [*FILES["ours.json"], ["LD_execute_files", [["unwaited.json"]]]], ["unwaited.json: actions[0].wait_time"]),
    ("one that is not there", [["LD_execute_files", [["nowhere.json", 5, None]]], ["LD_execute_files", "x"]], []),
    ("a variable's type that shows in another file", [["LD_execute_files", [["variables.json", "shows.json"]]]],
        ["variables.json: actions[0].variables.on", "shows.json: actions[0].wait_time"]),
    ("the script's own variable that shows in a file", [*FILES["variables.json"], ["LD_execute_files", [["shows.json"]]]],
        ["actions[0].variables.on", "shows.json: actions[0].wait_time"]),
]  # fmt: skip


def read_named(path: str) -> Any:
    if path not in FILES:
        raise ScriptError([Mistake("", "there is no such file", "")], path)
    return FILES[path]


@pytest.mark.parametrize(("script", "places"), [row[1:] for row in NAMED], ids=[row[0] for row in NAMED])
def test_files_that_a_script_runs_are_looked_into(script: Any, places: list[str]) -> None:
    before = deepcopy(FILES)
    assert sorted(change.where for change in changes_of(script, read=read_named)) == sorted(places)
    assert {warning.place for warning in warnings_of(changes_of(script, read=read_named))} <= set(places)
    made = migrate(script, read=read_named)
    assert sorted(change.where for change in [*made.changes, *made.elsewhere]) == sorted(places)
    assert before == FILES


def test_what_differs_is_told_once_a_file() -> None:
    script = [*UNWAITED, *UNWAITED, ["LD_execute_files", [["unwaited.json", "outer.json"]]]]
    warnings = warnings_of(changes_of(script, read=read_named))
    assert [warning.place for warning in warnings] == ["actions[0].wait_time", "unwaited.json: actions[0].wait_time"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats(allow_nan=False) | st.sampled_from(
        ["", "a", "5", "${a}", "${var.b}", "${session.c}", "${csv.s.x}", "${faker.random_int}", "x${a}y", "${", URL, "/a", "https://h/", "true"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["equals", "in", "not_equals", "truthy", "not", "and", "type", "value", "var", "from", "path", "min", "max", "name", "mode", "tasks"]),
        inner, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip
STEPS = st.dictionaries(st.sampled_from(sorted(SCENARIO_KEYS.union(*STEP_KEYS.values()))), VALUES, max_size=6).map(
    lambda keys: {"method": "get", "request_url": "/x", **keys}
)
TESTS = st.builds(
    lambda keys, user, tasks: {**keys, "user_detail_dict": {"user": user}, "tasks": tasks},
    st.dictionaries(st.sampled_from(sorted({*TEST_KEYS, "wait_time", "rate", "engine", "other"})), VALUES, max_size=5),
    st.sampled_from(["fast_http_user", "http_user", "websocket_user", "mqtt_user", "grpc_user", "socket_user", "nobody"]),
    st.lists(STEPS | VALUES, max_size=3) | VALUES,
)
SCRIPTS = st.lists(
    st.tuples(st.just("LD_start_test"), TESTS).map(list)
    | st.tuples(st.sampled_from(["LD_register_variable", "LD_register_variables", "LD_execute_action", "LD_summary"]), VALUES).map(list)
    | VALUES,
    max_size=3,
)


@given(SCRIPTS | VALUES | SCRIPTS.map(lambda actions: {"load_density": actions}))
def test_whatever_a_script_holds_to_migrate_it_twice_changes_nothing_more(document: Any) -> None:
    made = migrate(document)
    again = migrate(made.document)
    assert again.document == made.document
    assert again.changes == []
    assert warnings_of(changes_of(made.document, always=True)) == []
    assert isinstance(looks_like_loaddensity(document), bool)
