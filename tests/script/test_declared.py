# ruff: noqa: E501  # a row and its golden text stay on one line
"""Variables that a script declares: their types hold, whoever gives them, and their defaults are those of this script alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from loadflow.engine.load_test.schema import script_schema
from loadflow.engine.session.execute import load_script, run_actions
from loadflow.engine.session.inputs import inputs_of, mistakes_in_script, named_files
from loadflow.engine.session.session import Session, current_session, use_session
from loadflow.errors import ScriptError

STEP = {"name": "home", "method": "get", "request_url": "/"}
ACTIONS = [["len", ["four"]]]


def mistakes(declared: Any, given: dict[str, Any] | None = None) -> list[str]:
    try:
        load_script({"variables": declared, "load_density": ACTIONS}, session=Session(variables=given))
    except ScriptError as error:
        return [str(one) for one in error.mistakes]
    return []


WRONG: list[tuple[str, Any, str]] = [
    ("no object", [], 'variables: must be an object with a key for each variable, not a list; write {"NAME": {"description": "…", "default": …}}'),
    ("a bare value", {"a": 5}, "variables.a: must be an object, not 5"),
    ("another key", {"a": {"defualt": 1}}, "variables.a.defualt: 'defualt' is not a key of the declaration of a variable; did you mean 'default'?"),
    ("a type that is none", {"a": {"type": "float"}}, "variables.a.type: 'float' is not a type; allowed: text, integer, number, boolean"),
    ("a default of another type", {"a": {"type": "integer", "default": 1.5}}, "variables.a.default: must be a whole number, not 1.5"),
    ("a list as default", {"a": {"default": [1]}}, "variables.a.default: is text, a number, true or false, not a list"),
    ("a default that is none of the choices", {"a": {"default": "x", "choices": ["y"]}}, "variables.a.default: is none of 'y': 'x'"),
    ("a choice of another type", {"a": {"choices": ["x", 1]}}, "variables.a.choices[1]: must be text, not a number"),
    ("a default beyond its limit", {"a": {"default": 5, "max": 4}}, "variables.a.default: must be at most 4, not 5"),
    ("limits the wrong way round", {"a": {"type": "number", "min": 2, "max": 1}}, "variables.a.max: is less than min"),
    ("a limit of text", {"a": {"min": 1}}, "variables.a.min: has no meaning for text; remove it"),
    ("a name that no placeholder can hold", {"a}": {}}, "variables['a}']: 'a}' holds '}', which would end the placeholder; give another name"),
    ("a secret", {"secret.key": {}}, "variables['secret.key']: names of secrets are not declared; give another name"),
    ("no value", {"a": {"description": "Where"}}, "variables.a: has no value; give it: --var a=…"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_refuses(declared: Any, text: str) -> None:
    assert mistakes(declared) == [text]


GIVEN: list[tuple[str, dict[str, Any], Any, str]] = [
    ("a text", {}, "x", ""),
    ("a number that is written for a text", {}, 5, ""),
    ("a list for a text", {}, [1], "must be text, not a list"),
    ("a whole number", {"type": "integer"}, 5, ""),
    ("a fraction for a whole number", {"type": "integer"}, 0.5, "must be a whole number, not 0.5"),
    ("true for a whole number", {"type": "integer"}, True, "must be a whole number, not true or false"),
    ("a whole number for a number", {"type": "number"}, 5, ""),
    ("a text for a number", {"type": "number"}, "5", "must be a number, not text"),
    ("a placeholder for a number", {"type": "number"}, "${env.HOME}", ""),
    ("false", {"type": "boolean"}, False, ""),
    ("0 for false", {"type": "boolean"}, 0, "must be true or false, not a number"),
    ("less than the least", {"default": 1, "min": 1}, 0, "must be at least 1, not 0"),
    ("one of the choices", {"choices": ["a", "b"]}, "b", ""),
    ("another choice", {"choices": ["a", "b"]}, "c", "is none of 'a', 'b': 'c'"),
]


@pytest.mark.parametrize(("declared", "value", "trouble"), [row[1:] for row in GIVEN], ids=[row[0] for row in GIVEN])
def test_holds_what_is_given_to_the_declaration(declared: dict[str, Any], value: Any, trouble: str) -> None:
    found = mistakes({"a": declared}, {"a": value})
    assert found == ([f"variables.a: the value that was given {trouble}"] if trouble else [])


def test_a_default_is_given_for_as_long_as_its_script_runs_and_wins_over_what_the_script_sets() -> None:
    session = Session()
    seen: list[dict[str, Any]] = []
    document = {"variables": {"a": {"default": 1}}, "load_density": [["LD_register_variable", ["a", 2]], ["LD_clear_resolver"]]}
    script = load_script(document, session=session)
    assert session.variables.values == {}, "a check leaves nothing behind"
    with use_session(session):
        run_actions(script, session, lambda *_: seen.append(current_session().variables.values))
    assert seen == [{"a": 1}, {"a": 1}]
    assert session.variables.values == {}


def test_a_nested_document_declares_nothing() -> None:
    nested = {"variables": {"a": {"default": 1}}, "load_density": ACTIONS}
    with pytest.raises(ScriptError, match="'variables' is not a key of a script"):
        load_script([["LD_execute_action", {"action_list": nested}]], session=Session())


def documents() -> Iterator[tuple[str, Any, dict[str, tuple[str, bool]]]]:
    """Scripts, and of each of their inputs the type and whether it has a default."""
    test: dict[str, Any] = {"user_detail_dict": {}, "host": "${base}", "tasks": [STEP]}
    yield "used only: the place says the type", [["LD_start_test", {**test, "user_count": "${users}", "spawn_rate": "${rate}"}]], {
        "base": ("text", False), "users": ("integer", False), "rate": ("number", False),
    }  # fmt: skip
    yield (
        "set once",
        [["LD_register_variables", {"variables": {"base": "http://127.0.0.1"}}], ["LD_start_test", test]],
        {"base": ("text", True)},
    )
    yield "set twice: its own values hold", [["LD_register_variable", ["base", "http://a"]], ["LD_register_variable", ["base", "http://b"]],
                                            ["LD_start_test", test]], {}  # fmt: skip
    yield "set by the test", [["LD_start_test", {**test, "variables": {"base": "http://127.0.0.1"}}]], {"base": ("text", True)}
    extracting = {**STEP, "extract": [{"var": "token", "from": "header", "name": "X-Token"}]}
    using = {**STEP, "headers": {"X-Token": "${token}"}}
    yield "extracted: nobody gives it", [["LD_start_test", {**test, "host": "http://127.0.0.1", "tasks": [extracting, using]}]], {}
    declared = {"base": {"default": "http://127.0.0.1"}, "users": {"type": "integer"}}
    yield (
        "declared",
        {"variables": declared, "load_density": [["LD_start_test", test]]},
        {"base": ("text", True), "users": ("integer", False)},
    )


ROWS = list(documents())


@pytest.mark.parametrize(("document", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_inputs_of_a_script(document: Any, expected: dict[str, tuple[str, bool]]) -> None:
    found = inputs_of(document, Session())
    assert {name: (one.kind, one.has_default) for name, one in found.items()} == expected
    assert mistakes_in_script(document, Session(), found) == []


def test_another_mistake_is_told_while_variables_have_no_value() -> None:
    document = [["LD_start_test", {"user_detail_dict": {}, "host": "${base}", "user_cuont": 1, "tasks": [STEP]}]]
    (mistake,) = mistakes_in_script(document, Session(), inputs_of(document, Session()))
    assert mistake.place == "actions[0].user_cuont"


def test_the_schema_takes_declarations_at_the_top_only() -> None:
    validator = Draft202012Validator(script_schema(Session().commands))
    document = {"variables": {"a": {"default": 1, "choices": [1, 2]}}, "load_density": ACTIONS}
    assert list(validator.iter_errors(document)) == []
    assert not validator.is_valid({**document, "variables": {"a": {"defualt": 1}}})
    assert not validator.is_valid([["LD_execute_action", {"action_list": document}]])


def test_files_that_a_script_names(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users.csv").write_text("name\na\n")
    sources = {"csv_sources": [{"name": "users", "file_path": "users.csv"}]}
    document = [["LD_start_test", {"user_detail_dict": {}, "tasks": [STEP], **sources}], ["LD_generate_html_report", {"html_name": "r"}]]
    assert named_files(document) == ["users.csv"]
