"""Rows laid out in blocks say what formatting each row by itself would say."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.reports import pieces
from loadflow.engine.reports.pieces import Constant, Label, Labels, Number, render

INTEGERS = st.integers(-(10**15), 10**15) | st.integers(-20, 20)
TEXTS = st.text(max_size=40)


def rendered(*parts: pieces.Piece, rows: int) -> str:
    return b"".join(render(parts, rows)).decode()


def decimal(value: int, decimals: int, least_digits: int) -> str:
    whole, rest = divmod(abs(value), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{'-' if value < 0 else ''}{whole:0{least_digits}d}{fraction}"


@given(st.lists(INTEGERS, min_size=1, max_size=30), st.integers(0, 9), st.integers(1, 7))
def test_numbers_are_written_as_their_decimals(values: list[int], decimals: int, least_digits: int) -> None:
    number = Number(np.array(values, dtype=np.int64), decimals, least_digits=least_digits)
    expected = [decimal(value, decimals, least_digits) for value in values]
    assert rendered(number, Constant("\n"), rows=len(values)).splitlines() == expected


@given(st.lists(st.tuples(INTEGERS, st.booleans()), min_size=1, max_size=30))
def test_a_blank_number_is_nothing(cells: list[tuple[int, bool]]) -> None:
    values, blank = (np.array(column) for column in zip(*cells, strict=True))
    expected = ["" if hidden else str(value) for value, hidden in cells]
    assert rendered(Number(values, blank=blank), Constant("|"), rows=len(cells)).split("|")[:-1] == expected


@given(st.lists(TEXTS, min_size=1, max_size=8), st.data())
def test_labels_and_constants_are_kept_to_the_letter(texts: list[str], data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=30))
    got = rendered(Constant("→"), Label(Labels(texts), np.array(codes)), Constant(""), Constant("\x00"), rows=len(codes))
    assert got == "".join(f"→{texts[code]}\x00" for code in codes)


def test_labels_too_wide_for_one_block_are_written_in_several() -> None:
    texts = ["x" * 300_000, "y"]
    codes = np.array([1] * 50 + [0, 1, 0] + [1] * 50)
    blocks = list(render([Label(Labels(texts), codes), Constant(";")], len(codes)))
    assert len(blocks) > 1
    assert b"".join(blocks).decode() == "".join(texts[code] + ";" for code in codes)


def test_no_rows_are_no_text_and_a_lone_surrogate_is_a_question_mark() -> None:
    assert rendered(Number(np.zeros(0, dtype=np.int64)), rows=0) == ""
    assert rendered(Label(Labels(["a\ud800b"]), np.array([0])), rows=1) == "a?b"
