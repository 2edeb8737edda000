"""Messages say "1 hit", never "1 hits": a count that can be 1 goes through `counted`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import loadflow
from loadflow.engine.base.counted import counted, noun_for

ROOT = Path(loadflow.__file__).parent
NOUN = re.compile(r" (?:more |open |local |other |different )?([a-z]{2,}s)(?![a-z/])")
# words that end in s and are no plurals
VERBS = [
    "is",
    "was",
    "has",
    "as",
    "does",
    "says",
    "needs",
    "means",
    "takes",
    "holds",
    "gives",
    "names",
    "defines",
    "makes",
    "gets",
    "searches",
    "answers",
    "reads",
    "keeps",
    "ends",
    "breaks",
]
VERBS += ["uses", "checks", "goes", "matches", "lies", "reaches", "receives"]
NOT_A_PLURAL = frozenset([*VERBS, "its", "ms", "us", "this", "times"])


def plurals_after_counts(source: str) -> Iterator[str]:
    """f-string parts such as `{count} hits`, where the value is not a constant, a float or a percentage."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant) and not larger_than_one(value):
                found = NOUN.match(str(text.value))
                if found and found[1] not in NOT_A_PLURAL:
                    yield f"line {node.lineno}: {ast.unparse(value.value)}{text.value}"


def larger_than_one(value: ast.FormattedValue) -> bool:
    """Whether the value is a constant or a limit (both are larger than 1), or has a format for floats."""
    name = ast.unparse(value.value).rsplit(".", 1)[-1]
    spec = "".join(str(part.value) for part in ast.walk(value.format_spec) if isinstance(part, ast.Constant)) if value.format_spec else ""
    return name.isupper() or "limits." in ast.unparse(value.value) or spec.endswith(("f", "g", "%")) or value.conversion != -1


@pytest.mark.parametrize("folder", ["cli", "engine", "flows", "tasks"])
def test_every_count_in_a_message_has_the_noun_that_fits(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)} {place}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for place in plurals_after_counts(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "write counted(count, 'hit')"


@pytest.mark.parametrize("template", sorted((ROOT / "engine/reports/templates").glob("*.j2")), ids=lambda path: path.name)
def test_every_count_in_a_template_has_the_noun_that_fits(template: Path) -> None:
    assert re.findall(r"\}\} (?:more )?[a-z]+s\b", template.read_text(encoding="utf-8")) == [], 'write {{ counted(count, "hit") }}'


def test_the_rule_finds_a_plural_after_a_count_and_passes_constants() -> None:
    source = 'f"{hits:,} hits"; f"{MOST} hits"; f"{share:.0%} hits"; f"{n} more users"; f"{self._limits.clients} clients"; f"{name} is"'
    assert list(plurals_after_counts(source)) == ["line 1: hits hits", "line 1: n more users"]


@pytest.mark.parametrize(
    ("count", "one", "many", "text"),
    [
        (0, "hit", "", "0 hits"),
        (1, "hit", "", "1 hit"),
        (1_000, "hit", "", "1,000 hits"),
        (2, "pass", "", "2 passes"),
        (2, "retry", "", "2 retries"),
        (2, "key", "", "2 keys"),
        (1, "hit was", "hits were", "1 hit was"),
        (2, "hit was", "hits were", "2 hits were"),
    ],
)
def test_a_count_with_its_noun(count: int, one: str, many: str, text: str) -> None:
    assert counted(count, one, many) == text
    assert noun_for(count, one, many) == text.split(" ", 1)[1]
