"""Templates: what a string becomes, what stays the same object, and what can't be filled in."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.resolve.data import Data, Table
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import compile_value, text_of
from loadflow.errors import ScriptError

USERS = (CsvSource("users", "users.csv"), Table(("name", "a.b"), [("ann", "1"), ("bob", "2")]))
VALUES: dict[str, Any] = {
    "id": 5,
    "name": "zoë",
    "yes": True,
    "none": None,
    "half": 0.5,
    "list": [1, "b", None],
    "object": {"k": "ü", "n": [1, 2]},
    "empty": "",
    "tricky": "${var.id}",
    "user.id": 7,
}


def scope() -> Scope:
    made = Scope(VALUES, Data([USERS], seed=1))
    made.session["sid"] = "s-1"
    return made


def render(template: Any, constants: dict[str, Any] | None = None, env: dict[str, str] | None = None) -> Any:
    return compile_value(template, constants or {}, env).render(scope())


BECOMES: list[tuple[str, Any, Any]] = [
    ("a whole placeholder keeps a number", "${var.id}", 5),
    ("a bare name is a variable", "${id}", 5),
    ("a whole placeholder keeps true", "${yes}", True),
    ("a whole placeholder keeps null", "${none}", None),
    ("a whole placeholder keeps a list", "${list}", [1, "b", None]),
    ("a whole placeholder keeps an object", "${object}", {"k": "ü", "n": [1, 2]}),
    ("blanks inside are dropped", "${ var.id }", 5),
    ("blanks outside make it a longer string", " ${id}", " 5"),
    ("prefixes are read in any case", "${VAR.id}", 5),
    ("a name after var. may hold dots", "${var.user.id}", 7),
    ("text before", "/items/${id}", "/items/5"),
    ("text after", "${id}/x", "5/x"),
    ("text around", "<${name}>", "<zoë>"),
    ("two side by side", "${id}${name}", "5zoë"),
    ("three with text between", "${id}-${name}-${id}.", "5-zoë-5."),
    ("true in text is JSON's", "a=${yes}", "a=true"),
    ("null in text is JSON's", "a=${none}", "a=null"),
    ("a float in text", "a=${half}", "a=0.5"),
    ("a list in text is compact JSON", "a=${list}", 'a=[1,"b",null]'),
    ("an object in text is compact JSON, letters kept", "a=${object}", 'a={"k":"ü","n":[1,2]}'),
    ("an empty value leaves nothing", "a${empty}b", "ab"),
    ("a value is not looked through again", "${tricky}", "${var.id}"),
    ("nor inside text", "<${tricky}>", "<${var.id}>"),
    ("a dollar before a placeholder is a dollar", "$${id}", "$5"),
    ("a lone dollar and braces are text", "$5 {id} $", "$5 {id} $"),
    ("a session value", "${session.sid}", "s-1"),
    ("a cell is text", "${csv.users.name}", "ann"),
    ("two columns of one source are of one row", "${csv.users.name}${csv.users.a.b}", "ann1"),
    ("values of objects and lists", {"a": ["${id}", {"b": "x${id}"}], "c": 1}, {"a": [5, {"b": "x5"}], "c": 1}),
    ("keys keep the author's order", {"z": 1, "y": "${id}", "a": 2}, {"z": 1, "y": 5, "a": 2}),
    ("other scalars are left alone", [1, 2.5, True, None], [1, 2.5, True, None]),
    ("a tuple with a placeholder becomes a list", ("a", "${id}"), ["a", 5]),
]


@pytest.mark.parametrize(("template", "result"), [row[1:] for row in BECOMES], ids=[row[0] for row in BECOMES])
@pytest.mark.parametrize("constants", [{}, VALUES], ids=["while running", "at compile time"])
def test_a_template_becomes(template: Any, result: Any, constants: dict[str, Any]) -> None:
    rendered = render(template, constants)
    assert rendered == result
    assert repr(rendered) == repr(result)  # 5 is not "5", True is not 1, and the keys' order counts


def test_constants_and_environment_leave_nothing_to_do_at_run_time() -> None:
    compiled = compile_value({"a": ["${host}/x", "${env.HOME}"], "b": 1}, {"host": "http://h"}, {"HOME": "/root"})
    assert compiled.is_static
    assert compiled.value == {"a": ["http://h/x", "/root"], "b": 1}
    assert compiled.render(scope()) is compiled.value


def test_a_variable_that_a_step_changes_is_read_anew_each_time() -> None:
    compiled, user = compile_value("/${id}", {}), scope()
    assert compiled.render(user) == "/5"
    user.variables["id"] = "six"
    assert compiled.render(user) == "/six"


def test_static_branches_beside_dynamic_ones_are_the_authors_own_objects() -> None:
    template = {"big": [{"n": n} for n in range(50)], "id": "${id}", "deep": {"still": [1]}}
    first, second = (compile_value(template, {}).render(scope()) for _ in range(2))
    assert first["big"] is template["big"] and first["deep"] is template["deep"]
    assert first is not second


def test_two_renderings_never_share_what_was_filled_in() -> None:
    compiled, user = compile_value({"a": ["${id}"], "b": {"c": "${id}"}}, {}), scope()
    first = compiled.render(user)
    user.variables["id"] = 6
    assert compiled.render(user) == {"a": [6], "b": {"c": 6}}
    assert first == {"a": [5], "b": {"c": 5}}


MISSING = [
    ("a variable", "/${var.nope}", "${var.nope}: this user has no variable 'nope' now; register it, or let an earlier step extract it"),
    ("a bare one, as it was written", "${ nope }", "${ nope }: this user has no variable 'nope' now; register it, or let an earlier"),
    ("a session value", "${session.x}", "${session.x}: this user has no session value 'x' now; let an earlier step extract it"),
    ("an environment variable", "${env.NOPE}", "${env.NOPE}: no environment variable 'NOPE'; set it before the run"),
    ("a csv source", "${csv.nope.a}", "${csv.nope.a}: no csv source 'nope'; register it, or name one of the plan's csv_sources"),
    ("a column", "${csv.users.nope}", "${csv.users.nope}: csv source 'users' has no column 'nope'; it has name, a.b"),
    ("a faker method", "${faker.nope}", "${faker.nope}: Faker has no method 'nope'; see"),
    ("a faker method that needs arguments", "${faker.enum}", "${faker.enum}: Faker's enum can't be used here: "),
    ("what is not a faker method but an attribute", "${faker.seed}", "${faker.seed}: Faker has no method 'seed'"),
    ("a private attribute", "${faker.__class__}", "${faker.__class__}: Faker has no method '__class__'"),
]


@pytest.mark.parametrize(("template", "text"), [row[1:] for row in MISSING], ids=[row[0] for row in MISSING])
def test_a_missing_value_names_its_token_and_the_way_out(template: str, text: str) -> None:
    with pytest.raises(MissingValue) as caught:
        render({"deep": [template]})
    assert str(caught.value).startswith(text)


REFUSED: list[tuple[str, Any]] = [
    ("an unclosed placeholder", "/a/${var.id"),
    ("an empty one", "${}"),
    ("an unknown prefix", "${foo.bar}"),
    ("an unknown function", "${sum(1,2)}"),
    ("randint without a number in it", "${randint(5,1)}"),
    ("one in a key", {"${id}": 1}),
    ("one in a key deep inside", [{"a": {"x${id}": 1}}]),
]


@pytest.mark.parametrize("template", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_can_never_be_filled_in_is_refused_at_compile_time(template: Any) -> None:
    with pytest.raises(ScriptError):
        compile_value(template, {})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text().filter(lambda text: "${" not in text),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5).filter(lambda key: "${" not in key), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_json_without_placeholders_is_itself_the_very_object(value: Any) -> None:
    compiled = compile_value(value, VALUES)
    assert compiled.is_static and compiled.value is value and compiled.render(scope()) is value


TOKENS = st.sampled_from(
    ["${id}", "${var.name}", "${session.sid}", "${csv.users.name}", "${uuid()}", "${randint(1,3)}", "${now()}", "${list}"]
)
STRINGS = st.lists(TOKENS | st.text("${}a1 .", max_size=4), max_size=6).map("".join)
TEMPLATES = st.recursive(
    STRINGS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3), max_leaves=8
)


@given(TEMPLATES, st.booleans())
def test_what_was_rendered_never_holds_an_open_placeholder(template: Any, folded: bool) -> None:
    known = {name: value for name, value in VALUES.items() if name != "tricky"}  # its value holds one
    try:
        rendered = compile_value(template, known if folded else {}).render(scope())
    except (ScriptError, MissingValue):
        return
    # No value here is empty or begins with "{": after a "$" of the template's own text those could spell one by chance.
    assert "${" not in text_of(rendered)


@given(TEMPLATES)
def test_folding_at_compile_time_changes_no_result(template: Any) -> None:
    results = []
    for constants in ({}, VALUES):
        user = Scope(VALUES, Data([USERS], seed=1, clock=lambda: 0.0))
        user.session["sid"] = "s-1"
        try:
            results.append(compile_value(template, constants).render(user))
        except (ScriptError, MissingValue) as error:
            results.append(str(error))
    assert results[0] == results[1]


@pytest.mark.processes
def test_resolving_imports_no_orchestrator_no_engine_and_no_faker() -> None:
    modules = "template, scope, data, variables, static"
    code = f"import sys; from loadflow.engine.resolve import {modules}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"prefect", "gevent", "locust", "faker"}.isdisjoint(loaded)
    assert "loadflow.engine.resolve.template" in loaded
