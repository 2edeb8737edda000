# ruff: noqa: E501  # a row and its golden text stay on one line
from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from loadflow.engine.load_test.schema import script_schema
from tests.load_test import test_model
from tests.script import test_document
from tests.script.table import COMMANDS, load_test, with_step

SCHEMA = script_schema(COMMANDS)
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one_and_is_json() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(SCHEMA)
    for name in COMMANDS:
        assert f'"$ref": "#/$defs/action%20{name}"' in text
    assert "⟨is⟩" not in text


RIGHT = [*test_document.RIGHT[:-1], *((name, [action]) for name, action in test_model.RIGHT)]


@pytest.mark.parametrize("document", [row[1] for row in RIGHT], ids=[row[0] for row in RIGHT])
def test_what_the_checker_takes_the_schema_takes(document: Any) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


# What only the checker sees, each for a reason that a schema has no words for.
BEYOND = {
    "the web UI with processes", "a shape without length", "weights that sum to nothing", "a host that is none",
    "a relative URL without a host", "a scheme that is not HTTP", "a span the wrong way round", "two sources of one name",
    "processes on a master", "a worker that is lost before it is heard",
    "a mode that contradicts cycle", "a raw body with files", "a file of nothing", "a value that is not JSON",
    "another user's step that says not whom it asks", "hosts of no user, of the own one, and that are none",
    "more at once than users", "two steps of a batch that extract the same",
}  # fmt: skip
WRONG = [*((row[0], row[1]) for row in test_document.WRONG), *((name, [action]) for name, action, _ in test_model.WRONG)]
WRONG = [row for row in WRONG if row[0] not in BEYOND]


@pytest.mark.parametrize("document", [row[1] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_the_checker_refuses_the_schema_refuses(document: Any) -> None:
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize("document", [
    [load_test(), ["nope"]], {"load_density": [with_step(assertions=[{"type": "status", "value": 1}])]}, [["LD_execute_action", [[["nope"]]]]], [["eval", ["1"]]],
])  # fmt: skip
def test_mistakes_anywhere_in_the_document_are_refused(document: Any) -> None:
    assert not VALIDATOR.is_valid(document)


def test_an_empty_table_allows_no_action() -> None:
    schema = script_schema({})
    Draft202012Validator.check_schema(schema)
    assert not Draft202012Validator(schema).is_valid([["print"]])
