"""Rows of text by the million: each row is a sequence of pieces, and a whole block of rows is laid out at once.

A block is a matrix of bytes with one line per row. Every piece has its columns, as wide as its widest value in the block;
what a shorter value leaves free is filled with 0xFF, a byte that UTF-8 never has, and taken out at the end. This way the
cost per row is some hundred nanoseconds, where formatting row by row takes some thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Constant", "Integers", "Label", "Labels", "Number", "Piece", "render"]

Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.uint8]

FILL = 0xFF
BLOCK_BYTES = 2 * 2**20  # of one matrix: fits into a cache, and bounds the memory however long the labels are
FOUR_DIGITS = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), dtype=np.uint32)


class Labels:
    """Texts that rows name by position, encoded once."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [text.encode("utf-8", "replace") for text in texts]
        self.widths = np.array([len(text) for text in encoded], dtype=np.int64)
        self.matrix = np.full((len(encoded), int(self.widths.max(initial=0))), FILL, dtype=np.uint8)
        for line, text in zip(self.matrix, encoded, strict=True):
            line[: len(text)] = np.frombuffer(text, dtype=np.uint8)

    @classmethod
    def of(cls, texts: Sequence[str], escape: Callable[[str], str]) -> Labels:
        return cls([escape(text) for text in texts])


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text in each row."""

    text: str

    def part(self, rows: slice) -> Constant:
        return self

    def width(self) -> int:
        return len(self.text.encode())

    def place(self, columns: Matrix) -> None:
        columns[:] = np.frombuffer(self.text.encode(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Label:
    """One of `labels` in each row; `codes` are positions in it."""

    labels: Labels
    codes: Integers

    def part(self, rows: slice) -> Label:
        return Label(self.labels, self.codes[rows])

    def width(self) -> int:
        return int(self.labels.widths[self.codes].max())

    def place(self, columns: Matrix) -> None:
        columns[:] = self.labels.matrix[:, : columns.shape[1]][self.codes]


@dataclass(frozen=True, slots=True)
class Number:
    """`values` divided by 10 ** `decimals`, written with `decimals` decimals; nothing where `blank` (None: nowhere)."""

    values: Integers
    decimals: int = 0
    blank: npt.NDArray[np.bool_] | None = None
    least_digits: int = 1  # before the point; filled up with zeros

    def part(self, rows: slice) -> Number:
        return Number(self.values[rows], self.decimals, None if self.blank is None else self.blank[rows], self.least_digits)

    def width(self) -> int:
        return self._signed() + self._whole_digits() + (self.decimals + 1 if self.decimals else 0)

    def place(self, columns: Matrix) -> None:
        size = np.abs(self.values)
        digits = self._whole_digits()
        first = self._signed()
        if first:
            columns[:, 0] = np.where(self.values < 0, ord("-"), FILL)
        text = _digits(size, digits + self.decimals)
        columns[:, first : first + digits] = text[:, :digits]
        for position in range(digits - self.least_digits):
            columns[size < 10 ** (digits - position - 1 + self.decimals), first + position] = FILL
        if self.decimals:
            columns[:, first + digits] = ord(".")
            columns[:, first + digits + 1 :] = text[:, digits:]
        if self.blank is not None:
            columns[self.blank] = FILL

    def _signed(self) -> int:
        return int(self.values.min() < 0)

    def _whole_digits(self) -> int:
        return max(self.least_digits, len(str(int(np.abs(self.values).max()) // 10**self.decimals)))


Piece = Constant | Label | Number


def render(pieces: Sequence[Piece], rows: int) -> Iterator[bytes]:
    """The text of `rows` rows in UTF-8, in blocks.

    >>> pieces = [Label(Labels(["ab", "c"]), np.array([0, 1])), Constant("="), Number(np.array([5, 12_345]), 3), Constant(";")]
    >>> b"".join(render(pieces, 2))
    b'ab=0.005;c=12.345;'
    """
    if rows == 0:
        return
    pieces = _joined(pieces)
    widths = [piece.width() for piece in pieces]
    if rows > 1 and rows * sum(widths) > BLOCK_BYTES:
        for half in (slice(0, rows // 2), slice(rows // 2, rows)):
            yield from render([piece.part(half) for piece in pieces], half.stop - half.start)
        return
    block = np.empty((rows, sum(widths)), dtype=np.uint8)
    column = 0
    for piece, width in zip(pieces, widths, strict=True):
        if width:
            piece.place(block[:, column : column + width])
        column += width
    yield block.tobytes().translate(None, bytes([FILL]))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """The same with neighbouring constants as one: what costs time is the number of pieces."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Constant) and isinstance(last, Constant):
            joined[-1] = Constant(last.text + piece.text)
        else:
            joined.append(piece)
    return joined


def _digits(values: Integers, digits: int) -> Matrix:
    """The last `digits` decimal digits of each value (0 or more), as ASCII, shape `(n, digits)`."""
    groups = -(-digits // 4)
    text = np.empty((len(values), groups), dtype=np.uint32)
    for group in range(groups - 1, 0, -1):
        values, low = np.divmod(values, 10_000)
        text[:, group] = FOUR_DIGITS[low]
    text[:, 0] = FOUR_DIGITS[values]
    return text.view(np.uint8)[:, groups * 4 - digits :]
