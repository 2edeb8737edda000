"""What a session registers, and what a plan takes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.resolve.template import compile_value
from loadflow.engine.resolve.variables import Variables
from loadflow.engine.script.placeholders import name_trouble
from loadflow.errors import CommandError

BAD_NAMES: list[tuple[str, Any]] = [
    ("no text", 5),
    ("nothing", None),
    ("empty", ""),
    ("blanks", "  "),
    ("a blank at its end", "a "),
    ("a closing brace", "a}b"),
]


@pytest.mark.parametrize("name", [row[1] for row in BAD_NAMES], ids=[row[0] for row in BAD_NAMES])
def test_a_name_is_refused_that_no_placeholder_could_hold(name: Any) -> None:
    variables = Variables()
    variables.register("good", 1)
    with pytest.raises(CommandError):
        variables.register(name, 1)
    with pytest.raises(CommandError):
        variables.register_many({"other": 2, name: 1})
    assert variables.values == {"good": 1}  # all or nothing


@given(st.text(min_size=1).filter(lambda name: not name_trouble(name) and not set("${()") & set(name)))
def test_a_name_that_is_taken_can_be_written_in_a_placeholder(name: str) -> None:
    variables = Variables()
    variables.register(name, [1])
    assert compile_value(f"${{var.{name}}}", variables.values).value == [1]


def test_values_are_copied_in_and_out() -> None:
    given_value: dict[str, list[int]] = {"a": [1]}
    variables = Variables()
    variables.register("x", given_value)
    variables.register_many({"y": given_value})
    given_value["a"].append(2)
    variables.values["x"]["a"].append(3)
    assert variables.values == {"x": {"a": [1]}, "y": {"a": [1]}}


def test_a_later_value_replaces_an_earlier_one() -> None:
    variables = Variables()
    variables.register("x", 1)
    variables.register_many({"x": 2, "y": 3})
    assert variables.values == {"x": 2, "y": 3}


def test_a_copy_knows_nothing_of_what_comes_later(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    variables = Variables()
    variables.register("x", [1])
    variables.register_sources([CsvSource("a", str(tmp_path / "a.csv"))])
    plan = variables.copy()
    variables.clear()
    assert (variables.values, variables.sources, variables.columns) == ({}, (), {})
    assert (plan.values, [source.name for source in plan.sources], plan.columns) == ({"x": [1]}, ["a"], {"a": ("n",)})


def test_a_source_is_checked_when_it_is_registered_and_replaces_its_namesake(tmp_path: Path) -> None:
    good, other, bad = tmp_path / "good.csv", tmp_path / "other.csv", tmp_path / "bad.csv"
    good.write_text("n\n1\n")
    other.write_text("m,o\n1,2\n")
    variables = Variables()
    variables.register_sources([CsvSource("a", str(good))])
    with pytest.raises(CommandError, match=r"bad\.csv: no such file"):
        variables.register_sources([CsvSource("a", str(other)), CsvSource("b", str(bad))])
    assert variables.columns == {"a": ("n",)}
    variables.register_sources([CsvSource("a", str(other), "once")])
    assert variables.columns == {"a": ("m", "o")}
    assert variables.sources == (CsvSource("a", str(other), "once"),)


@pytest.mark.parametrize("name", ["", "a}", "a.b"])
def test_a_sources_name_must_fit_its_placeholder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    with pytest.raises(CommandError, match="csv source name"):
        Variables().register_sources([CsvSource(name, str(tmp_path / "a.csv"))])
