"""docs/distributed.md says what happens when something dies, and which test does it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "distributed.md"
LINK = re.compile(r'\[[^]]+\]\((\S+\.py) "(\w+)"\)')


def rows() -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition("## When something dies")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_each_row_says_what_is_seen_and_done_and_names_tests_that_are_there(row: list[str]) -> None:
    _, seen, done, tests = row
    assert seen
    assert done
    found = LINK.findall(tests)
    assert found
    for path, name in found:
        assert f"\ndef {name}(" in (PAGE.parent / path).read_text(encoding="utf-8"), f"{path} has no test {name}"


def test_the_table_has_every_row_of_the_design() -> None:
    said = " ".join(row[0] for row in rows())
    parts = ("agent, or its machine, is killed", "TERM", "the run is killed", "NATS server is killed", "link", "slow", "full", "clocks")
    assert [part for part in (*parts, "started twice", "another version", "SIGSTOP") if part not in said] == []
