# ruff: noqa: E501  # a row and its golden text stay on one line
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.load_test import check
from loadflow.engine.load_test.check import check_variables
from loadflow.engine.script.builtin_functions import BUILTINS
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.table import TABLE
from tests.script.table import COMMANDS, load_test, with_step


def opens(name: str) -> bool:
    return TABLE[name].opens if name in TABLE else name not in BUILTINS


def problems(*actions: list[Any], variables: tuple[str, ...] = ()) -> list[str]:
    script = parse_script(list(actions), commands=COMMANDS)
    return [str(mistake) for mistake in check_variables(script, variables=variables, env={"HOME": "/root"}, opens=opens)]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("users.csv").write_text("name,e.mail\nann,a@x\n", encoding="utf-8-sig")
    Path("empty.csv").write_text("")


USERS = {"name": "users", "file_path": "users.csv"}
KNOWN: list[tuple[str, list[Any]]] = [
    ("a variable given from outside", [with_step(name="${given}")]),
    ("a variable registered before, in any form", [["LD_register_variable", ["a", 1]], ["LD_register_variables", {"variables": {"b": 1}}], with_step(name="${a}${var.b}")]),
    ("a variable registered inside a nested action", [["LD_execute_action", [[["LD_register_variable", {"name": "a", "value": 1}]]]], with_step(name="${a}")]),
    ("a variable of the test itself", [load_test(variables={"n": 3}, user_count="${n}")]),
    ("a value that a step extracts", [with_step(name="${id}${session.s}", extract=[{"var": "id", "path": "a"}, {"var": "s", "path": "b", "scope": "session"}])]),
    ("an environment variable", [load_test(label="${env.HOME}")]),
    ("a column of the test's own source", [["LD_start_test", {**with_step(name="${csv.users.e.mail}")[1], "csv_sources": [USERS]}]]),
    ("a column of a source registered before", [["LD_register_csv_source", ["users", "users.csv"]], with_step(name="${csv.users.name}")]),
    ("sources registered together", [["LD_register_csv_sources", [[USERS]]], with_step(name="${csv.users.name}")]),
    ("functions and faker", [with_step(name="${uuid()}${NOW()}${randint(1,2)}${faker.name}")]),
    ("names after a file of actions, whatever it sets", [["LD_execute_files", [["x.json"]]], with_step(name="${a}${csv.b.c}")]),
    ("names after a package was loaded", [["LD_add_package_to_executor", ["x"]], with_step(name="${a}")]),
    ("names after somebody's own command", [["own", [1]], with_step(name="${a}")]),
    ("a file that somebody's command may write", [["own", [1]], ["LD_register_csv_source", ["u", "later.csv"]], with_step(name="${csv.u.x}")]),
]  # fmt: skip


@pytest.mark.parametrize("actions", [row[1] for row in KNOWN], ids=[row[0] for row in KNOWN])
def test_knows(actions: list[Any]) -> None:
    assert problems(*actions, variables=("given",)) == []


MISSING: list[tuple[str, list[Any], list[str]]] = [
    ("a value that only a step beside it extracts", [load_test(tasks=[{"batch": [
        {"method": "get", "request_url": "http://x/a", "extract": [{"var": "a", "path": "x"}, {"var": "b", "path": "y", "scope": "session"}]},
        {"method": "get", "request_url": "http://x/${a}/${session.b}"}]}, {"method": "get", "request_url": "http://x/${a}"}])],
     [f"actions[0].tasks[0].batch[1].request_url: {token} is extracted by this batch alone, whose steps are sent at once; extract it in a step before the batch"
      for token in ("${a}", "${session.b}")]),
    ("a variable that nobody sets", [with_step(name="${a}")],
     ["actions[0].tasks[0].name: no variable 'a' is set before this test; set it in variables, with LD_register_variable or by --var"]),
    ("a variable that is set too late", [with_step(name="${user}"), ["LD_register_variable", ["user", 1]]],
     ["actions[0].tasks[0].name: no variable 'user' is set before this test; set it in variables, with LD_register_variable or by --var"]),
    ("a variable that was forgotten", [["LD_register_variable", ["a", 1]], ["LD_clear_resolver"], with_step(name="${a}")],
     ["actions[2].tasks[0].name: no variable 'a' is set before this test; set it in variables, with LD_register_variable or by --var"]),
    ("a misspelt one, deep in a body", [load_test(variables={"user_id": 1}, tasks=[{"method": "post", "url": "http://x", "json": {"a b": ["${usr_id}"]}}])],
     ["actions[0].tasks[0].json['a b'][0]: no variable 'usr_id' is set before this test; did you mean 'user_id'?"]),
    ("an extracted value of another scope", [with_step(name="${s}${session.v}", extract=[{"var": "s", "path": "a", "scope": "session"}, {"var": "v", "path": "a"}])],
     ["actions[0].tasks[0].name: no variable 's' is set before this test; it is extracted with scope session: write ${session.s}",
      "actions[0].tasks[0].name: no step of this test extracts 'v' with scope session; known: s"]),
    ("an extracted value outside of steps", [load_test(label="${id}", tasks=[{"method": "get", "url": "http://x", "extract": [{"var": "id", "path": "a"}]}])],
     ["actions[0].label: the variable 'id' has a value inside steps only, where it is extracted; set it in variables"]),
    ("a csv value outside of steps", [load_test(label="${csv.users.name}", csv_sources=[USERS])],
     ["actions[0].label: ${csv.users.name} has a value inside steps only; use a variable here"]),
    ("an environment variable that is not set", [with_step(name="${env.NOPE}")], ["actions[0].tasks[0].name: the environment variable 'NOPE' is not set; set it before the run"]),
    ("a source that is not there", [with_step(name="${csv.user.name}")],
     ["actions[0].tasks[0].name: no csv source 'user' is registered before this test; add it to csv_sources"]),
    ("a column that is not there", [["LD_register_csv_source", USERS], with_step(name="${csv.users.nme}")],
     ["actions[1].tasks[0].name: the csv source 'users' has no column 'nme'; did you mean 'name'?"]),
    ("files that are not there or empty", [["LD_register_csv_source", ["u", "none.csv"]], load_test(csv_sources=[{"name": "e", "file_path": "empty.csv"}])],
     ["actions[0].arguments[1]: 'none.csv' is not there; the path is relative to the working directory",
      "actions[1].csv_sources[0].file_path: 'empty.csv' has no header row; the path is relative to the working directory"]),
    ("a faker method that is none", [with_step(name="${faker.nmae}")], ["actions[0].tasks[0].name: faker has no method 'nmae'; did you mean 'name'?"]),
    ("what is not a placeholder", [with_step(name="${vra.x} ${randint(2,1)} ${open")],
     ["actions[0].tasks[0].name: ${vra.x}: 'vra' is not a placeholder prefix; did you mean 'var'?",
      "actions[0].tasks[0].name: ${randint(2,1)}: randint(2,1) has no number in it; the smaller bound comes first",
      "actions[0].tasks[0].name: ${open: '${' is never closed; end the placeholder with '}'"]),
    ("a placeholder in a key", [with_step(headers={"X-${given}": "1"})],
     ["actions[0].tasks[0].headers['X-${given}']: ${given} is in a key, where nothing is filled in; use it in a value"]),
    ("a test inside a nested action", [["LD_execute_action", {"action_list": {"load_density": [with_step(name="${a}")]}}]],
     ["actions[0].action_list.load_density[0].tasks[0].name: no variable 'a' is set before this test; set it in variables, with LD_register_variable or by --var"]),
    ("what an own command can't set", [["own", [1]], with_step(name="${env.NOPE}")],
     ["actions[1].tasks[0].name: the environment variable 'NOPE' is not set; set it before the run"]),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "texts"), [row[1:] for row in MISSING], ids=[row[0] for row in MISSING])
def test_misses(actions: list[Any], texts: list[str]) -> None:
    found = problems(*actions, variables=("given",) if "given" in str(actions) else ())
    assert found == texts


def test_without_the_faker_package_its_placeholders_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check._faker_problem.cache_clear()
    monkeypatch.setitem(sys.modules, "faker", None)
    try:
        assert problems(with_step(name="${faker.name}")) == [
            "actions[0].tasks[0].name: placeholders of faker need the package faker; pip install 'loadflow[faker]'"
        ]
    finally:
        check._faker_problem.cache_clear()
