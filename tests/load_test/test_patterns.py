"""No pattern from outside reaches Python's `re`, which may take for ever: each is RE2's, and the check says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import AfterValidator

import loadflow
from loadflow.engine.protocols.model.assertion import PatternAssertion, Regex
from tests.script.table import with_step
from tests.script.test_numbers import command_models, mistakes_in, models

PACKAGE = Path(loadflow.__file__).parent
FUNCTIONS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split", "template"}
# arguments that are compiled: whoever adds one of another name adds it here
NAMES = {"pattern", "include", "exclude"}
# (file, function): patterns of `re` that are made while running, of parts that are escaped or our own
OURS = {
    ("engine/base/secret_places.py", "__init__"): "names with re.escape around them",
    ("engine/base/secret_places.py", "_patterns"): "the same names, within patterns of our own",
    ("engine/recording/lifting.py", "swept"): "values with re.escape around them",
    ("engine/proving/answers.py", "_pattern"): "a script's own URL with re.escape around its pieces, against paths of our own recorder",
    ("engine/recording/multipart.py", "_parameter"): "the name of a parameter, which our own code says",
    ("engine/exporters/influxdb/line.py", "_plain"): "one of this module's own patterns",
}


def calls(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.expr]]:
    """Of each call of a function of `re`: the function that it stands in, and its pattern."""
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else inside
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in ("re", "regex")
            and node.func.attr in FUNCTIONS
        ):
            yield name, node.args[0]
        yield from calls(node, name)


def is_ours(pattern: ast.expr, inside: str) -> bool:
    """Whether a pattern is written in the code: a constant, or put together of constants while the module is imported."""
    names = [node.id for node in ast.walk(pattern) if isinstance(node, ast.Name)]
    return inside == "" or all(name.isupper() for name in names)


FILES = sorted(PACKAGE.rglob("*.py"))


def test_python_s_re_is_given_nothing_from_outside() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), inside): ast.unparse(pattern)
        for path in FILES
        for inside, pattern in calls(ast.parse(path.read_text(encoding="utf-8")))
        if not is_ours(pattern, inside)
    }
    assert found.keys() == OURS.keys(), found


def test_the_scan_finds_what_it_looks_for() -> None:
    outside = ast.parse("import re\ndef f(include):\n    return re.search(include, 'x')")
    assert [is_ours(pattern, inside) for inside, pattern in calls(outside)] == [False]


def validators(annotation: Any) -> Iterator[Any]:
    for one in getattr(annotation, "__metadata__", ()):
        yield from (one, *getattr(one, "metadata", ()))
    for inner in get_args(annotation):
        yield from validators(inner)


def test_every_argument_that_is_a_pattern_is_of_one_type() -> None:
    (taken,) = (one for one in validators(Regex) if isinstance(one, AfterValidator))
    fields = {
        (model.__name__, field.alias or name): [*field.metadata, *validators(field.annotation)]
        for model in {*models(), *command_models()}
        for name, field in model.model_fields.items()
        if (field.alias or name) in NAMES
    }
    assert {(PatternAssertion.__name__, "pattern"), ("LD_har_to_tasks_arguments", "include")} <= fields.keys()
    assert [place for place, found in fields.items() if taken not in found] == []


PLACES: list[tuple[str, Any, str]] = [
    ("an assertion", lambda p: with_step(assertions=[{"type": "regex", "pattern": p}]), "pattern"),
    ("an extract", lambda p: with_step(extract=[{"var": "a", "from": "regex", "pattern": p}]), "pattern"),
    ("a part of a header", lambda p: with_step(extract=[{"var": "a", "from": "header", "name": "b", "pattern": p}]), "pattern"),
    ("what a recording keeps", lambda p: ["LD_har_to_tasks", {"har": {}, "include": [p]}], "include[0]"),
    ("what a recording leaves out", lambda p: ["LD_har_to_action_json", {"har": {}, "exclude": [p]}], "exclude[0]"),
]


@pytest.mark.parametrize("pattern", ["(a+)+(?=b)", r"(a)\1", "(", "a{1001}", "x" * 4_001], ids=lambda pattern: pattern[:12])
@pytest.mark.parametrize(("action", "place"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_what_re2_does_not_take_is_a_mistake_at_its_place(action: Any, place: str, pattern: str) -> None:
    assert any(f"{place}: " in line for line in mistakes_in(action(pattern)))
