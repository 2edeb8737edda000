"""A torn last line costs no other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadflow.engine.base.appending import append_line
from loadflow.engine.load.kept_lines import keep_line, kept_lines


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_line_after_a_torn_one_is_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "kept.ndjson"
    for number in (1, 2):
        keep_line(path, {"n": number})
    path.write_bytes(path.read_bytes()[:-cut])
    keep_line(path, {"n": 3})
    second = [{"n": 2}] if cut == 1 else []  # its newline alone was missing
    assert kept_lines(path) == [{"n": 1}, *second, {"n": 3}]


def test_half_a_character_is_written_as_a_question_mark(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("ab+") as file:
        append_line(file, "a\ud800b")
    assert (tmp_path / "lines").read_bytes() == b"a?b\n"
