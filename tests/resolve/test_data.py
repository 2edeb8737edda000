"""CSV sources: which files are tables, and who gets which row."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load_test.row_source import CsvSource as CsvArguments
from loadflow.engine.plan.csv_source import CsvSource, Mode
from loadflow.engine.protocols.running.charsets import CHARSETS
from loadflow.engine.resolve.data import Data, Rows, Table, columns_in, columns_of, load_rows, read_table
from loadflow.engine.resolve.missing import MissingValue
from loadflow.errors import CommandError
from tests.services import need

READ = [
    ("a plain table", b"a,b\n1,2\n3,4\n", ("a", "b"), [("1", "2"), ("3", "4")]),
    ("one without a last line end", b"a\n1", ("a",), [("1",)]),
    ("Windows line ends", b"a,b\r\n1,2\r\n", ("a", "b"), [("1", "2")]),
    ("a byte order mark", b"\xef\xbb\xbfa\n1\n", ("a",), [("1",)]),
    ("empty lines are no rows", b"\n\na\n\n1\n\n\n2\n\n", ("a",), [("1",), ("2",)]),
    ("quoted commas, quotes and line ends", b'a,b\n"1,2","x ""y""\nz"\n', ("a", "b"), [("1,2", 'x "y"\nz')]),
    ("blanks around column names", b" a , b\n 1 ,2\n", ("a", "b"), [(" 1 ", "2")]),
    ("empty cells", b"a,b\n,\n", ("a", "b"), [("", "")]),
    ("letters beyond ASCII", "ä\nzoë\n".encode(), ("ä",), [("zoë",)]),
]


def source(path: Path, content: bytes | None = None, mode: Mode = "cycle") -> CsvSource:
    if content is not None:
        path.write_bytes(content)
    return CsvSource("users", str(path), mode)


@pytest.mark.parametrize(("content", "columns", "rows"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_a_file_is_read(tmp_path: Path, content: bytes, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = load_rows(source(tmp_path / "users.csv", content))
    assert (table.columns, table.rows) == (columns, rows)


def core_table(source: CsvSource) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The same file as the native core keeps it."""
    need(is_built(), "the native core is not built")
    from loadflow import _native

    columns, table = read_table(source, _native.CsvTable)
    return columns, [tuple(table.cell(row, column) for column in range(len(columns))) for row in range(len(table))]


@pytest.mark.parametrize(("content", "columns", "rows"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_the_core_keeps_the_same_cells(tmp_path: Path, content: bytes, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    one = source(tmp_path / "users.csv", content)
    assert core_table(one) == (columns, rows)
    assert columns_of(one) == columns


LINES = b'{"id": 7, "name": "zo\\u00eb", "tags": ["a", 1.50, null]}\n\n{"name": "bob", "tags": true, "id": "7"}\n'
LIST = b'[{"id": 7, "name": "zo\xc3\xab", "tags": ["a", 1.5, null]}, {"name": "bob", "tags": true, "id": "7"}]'


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", LINES), ("a.NDJSON", LINES), ("a.json", LIST)])
def test_json_objects_are_rows(tmp_path: Path, name: str, content: bytes) -> None:
    one = source(tmp_path / name, content)
    wanted = (("id", "name", "tags"), [("7", "zoë", '["a",1.5,null]'), ("7", "bob", "true")])
    table = load_rows(one)
    assert (table.columns, table.rows) == core_table(one) == wanted
    assert columns_in(one) == columns_of(one) == wanted[0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": 2\n', ":2: is not valid JSON"),
        ("a.jsonl", b'{"a": 1}\n\n{"b": 2}\n', ":3: has no 'a', which the first row has"),
        ("a.jsonl", b'{"a": 1}\n{"a": 1, "b": 2}\n', ":2: has 1 key that the first row has not: 'b'"),
        ("a.jsonl", b"[1]\n", ":1: is not a JSON object"),
        ("a.jsonl", b"", " is empty"),
        ("a.jsonl", b'{"a": ' + b"[" * 600 + b"]" * 600 + b"}", "nested deeper than"),
        ("a.json", b'{"a": 1}', " is not a list"),
        ("a.json", b'[{"a": 1}, 2]', " entry 2 is not a JSON object"),
        ("a.json", b"[]", " is empty"),
        ("a.json", b'[{"": 1}]', "column 1 has no name"),
        ("a.jsonl", b'{"a": [1e999]}', ":1: is not valid JSON: 1e999 is not a finite number"),
        ("a.json", b"[{", " is not valid JSON"),
        ("a.json", b'[{"a": "\xff"}]', "is not UTF-8"),
    ],
)
def test_json_that_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        load_rows(source(tmp_path / name, content))
    assert said in str(refused.value)


@pytest.mark.parametrize("name", [*sorted(CHARSETS), "latin-1", "Latin1", "iso-8859-1", "UTF-8", "windows-1252", "Shift_JIS"])
def test_a_script_may_name_each_encoding(name: str) -> None:
    assert CsvArguments(name="a", file_path="a.csv", encoding=name).source().encoding == name


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf_8", "UTF8"])
def test_a_file_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes("name\nzoë\n".encode(encoding))
    assert load_rows(CsvSource("users", str(path), encoding=encoding)).rows == [("zoë",)]


def test_bytes_that_are_not_of_the_encoding_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes("name\nzoë\n".encode("latin-1"))
    with pytest.raises(CommandError, match=r"users.csv:2: is not UTF-8 .*\"encoding\": \"latin-1\""):
        load_rows(CsvSource("users", str(path)))
    with pytest.raises(CommandError, match="is not UTF-16"):
        load_rows(CsvSource("users", str(path), encoding="utf-16"))


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=width, max_size=width))))
def test_a_cell_of_the_core_comes_back_as_it_was(rows: list[list[str]]) -> None:
    need(is_built(), "the native core is not built")
    from loadflow import _native

    table = _native.CsvTable(len(rows[0]) if rows else 1)
    for row in rows:
        table.add(row)
    assert [[table.cell(row, column) for column in range(len(cells))] for row, cells in enumerate(rows)] == rows
    with pytest.raises(IndexError):
        table.cell(len(rows), 0)
    with pytest.raises(ValueError, match="cells where"):
        table.add(["x"] * 4)
    assert len(table) == len(rows)


def test_the_core_needs_a_few_bytes_for_a_short_row(tmp_path: Path) -> None:
    """Kept as Python keeps them these rows take 70 MB. Wide of the mark on purpose: memory of a process is not an exact thing."""
    need(is_built(), "the native core is not built")
    from loadflow import _native

    lines = b"number\n" + b"".join(b"%06d\n" % number for number in range(500_000))
    before = psutil.Process().memory_info().rss
    _, table = read_table(source(tmp_path / "rows.csv", lines), _native.CsvTable)
    grown = psutil.Process().memory_info().rss - before
    assert (len(table), table.cell(499_999, 0)) == (500_000, "499999")
    assert grown < 24e6, grown  # 5 MB, and what is left of growing


REFUSED = [
    ("no file", None, "", "no such file; give a path that exists"),
    ("an empty file", b"", "", "is empty; write the column names in the first line"),
    ("only empty lines", b"\n\n", "", "is empty; write"),
    ("no rows", b"a,b\n", "", "has column names but no rows; add at least one row"),
    ("a column twice", b"a,b,a\n1,2,3\n", ":1", "column 'a' is there twice; give each column a name of its own"),
    ("a column without a name", b"a,,c\n1,2,3\n", ":1", "column 2 has no name; name every column"),
    (
        "a file of semicolons",
        b"user;pw\nann;x1,2\n",
        ":2",
        '2 cells, but the header has 1 column; the file looks separated by ";": give the source "delimiter": ";"',
    ),
    ("columns without end", b",".join(b"c%d" % n for n in range(20_000)) + b"\n1\n", ":1", "has 20,000 columns, more than 10,000"),
    ("a long row", b"a,b\n1,2\n1,2,3\n", ":3", "3 cells, but the header has 2 columns; quote cells that contain ','"),
    ("a short row", b"a,b\n1\n", ":2", "1 cell, but the header has 2 columns; write an empty cell"),
    ("not UTF-8", b"a\nok\n\xe4\n", ":3", "is not UTF-8 (invalid continuation byte); save the file as UTF-8"),
    ("not UTF-8 far into the file", b"a\n" + b"ok\n" * 50_000 + b"\xff\n", ":50002", "is not UTF-8 (invalid start byte)"),
    ("a quote that is never closed", b'a,b\n1,"2\n3,4\n', ":3", "is not valid CSV: unexpected end of data; put cells"),
]


@pytest.mark.parametrize(("content", "line", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_file_is_refused(tmp_path: Path, content: bytes | None, line: str, text: str) -> None:
    path = tmp_path / "users.csv"
    with pytest.raises(CommandError) as caught:
        load_rows(source(path, content))
    assert str(caught.value).startswith(f"csv source 'users': {path}{line}: {text}")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read: is a folder, not a file"):
        load_rows(source(tmp_path))


def test_every_bad_line_is_named_up_to_twenty(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load_rows(source(tmp_path / "users.csv", b"a\n" + b"1,2\n" * 30))
    assert len(caught.value.mistakes) == 20


def test_loading_names_the_mistakes_of_all_files(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        Data.load([CsvSource("a", str(tmp_path / "a")), CsvSource("b", str(tmp_path / "b"))])
    assert [mistake.message for mistake in caught.value.mistakes] == ["no such file"] * 2


def rows(count: int, mode: Mode, shard: int = 0, shards: int = 1, seed: int | None = None) -> Rows:
    table = Table(("n",), [(str(n),) for n in range(count)])
    return Rows(CsvSource("r", "r.csv", mode), table, shard=shard, shards=shards, seed=seed)


def take(source: Rows, most: int) -> list[int]:
    taken = []
    for _ in range(most):
        try:
            taken.append(int(source.take()[0]))
        except MissingValue:
            break
    return taken


HANDED_OUT: list[tuple[str, Rows, list[int]]] = [
    ("cycle starts over", rows(3, "cycle"), [0, 1, 2, 0, 1, 2, 0]),
    ("cycle of one row", rows(1, "cycle"), [0] * 7),
    ("cycle on the second shard of two", rows(4, "cycle", 1, 2), [1, 3, 1, 3, 1, 3, 1]),
    ("cycle goes on where an endless file would", rows(3, "cycle", 0, 2), [0, 2, 1, 0, 2, 1, 0]),
    ("cycle with more shards than rows", rows(2, "cycle", 2, 3), [0, 1, 0, 1, 0, 1, 0]),
    ("once ends", rows(3, "once"), [0, 1, 2]),
    ("once on the second shard of two", rows(5, "once", 1, 2), [1, 3]),
    ("once with more shards than rows", rows(2, "once", 2, 3), []),
]


@pytest.mark.parametrize(("source", "numbers"), [row[1:] for row in HANDED_OUT], ids=[row[0] for row in HANDED_OUT])
def test_rows_are_handed_out(source: Rows, numbers: list[int]) -> None:
    assert take(source, 7) == numbers


@given(st.integers(1, 60), st.integers(1, 12))
def test_under_once_all_shards_together_give_each_row_exactly_once(count: int, shards: int) -> None:
    taken = [number for shard in range(shards) for number in take(rows(count, "once", shard, shards), count + 1)]
    assert sorted(taken) == list(range(count))


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 5))
def test_under_cycle_all_shards_together_give_each_row_equally_often(count: int, shards: int, rounds: int) -> None:
    taken = [number for shard in range(shards) for number in take(rows(count, "cycle", shard, shards), count * rounds)]
    assert {taken.count(number) for number in range(count)} == {shards * rounds}


def test_random_repeats_with_its_seed_and_differs_between_shards_and_without_one() -> None:
    walks = [rows(1000, "random", shard, 2, seed) for shard, seed in ((0, 1), (0, 1), (1, 1), (0, 2), (0, None), (0, None))]
    first, same, *others = (tuple(take(walk, 20)) for walk in walks)
    assert first == same
    assert len({first, *others}) == 5


def test_a_sources_own_seed_goes_before_the_plans() -> None:
    table = Table(("n",), [(str(n),) for n in range(1000)])
    walks = [Rows(CsvSource("r", "r.csv", "random", seed=5), table, seed=seed) for seed in (1, 2, None)]
    assert len({tuple(take(walk, 20)) for walk in walks}) == 1


def test_random_gives_every_row() -> None:
    assert set(take(rows(5, "random", seed=1), 300)) == {0, 1, 2, 3, 4}


def test_a_shards_share_is_named_when_it_runs_out() -> None:
    source = rows(5, "once", 1, 2)
    take(source, 2)
    with pytest.raises(MissingValue, match=r"ran out after 2 rows \(the share of engine process 2 of 2\)"):
        source.take()


def test_a_shard_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="shard 2 of 2"):
        rows(1, "cycle", 2, 2)


QUOTES = [
    ("'", "a,b\n'1,2','it''s \"x\"'\n", ("1,2", 'it\'s "x"')),
    ("", 'a,b\n"1,2"\n', ('"1', '2"')),
    ('"', "a,b\n\"1,2\",'3'\n", ("1,2", "'3'")),
]


@pytest.mark.parametrize(("quote", "text", "row"), QUOTES, ids=["another", "none", "the usual"])
def test_a_quote_stands_around_cells(tmp_path: Path, quote: str, text: str, row: tuple[str, ...]) -> None:
    (tmp_path / "a.csv").write_text(text)
    source = CsvSource("a", str(tmp_path / "a.csv"), quote=quote)
    assert (load_rows(source).rows, columns_in(source)) == ([row], ("a", "b"))


def test_cells_are_separated_by_the_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user;pw\nann;x,1\n")
    table = load_rows(CsvSource("a", str(tmp_path / "a.csv"), delimiter=";"))
    assert (table.columns, table.rows) == (("user", "pw"), [("ann", "x,1")])


def test_a_cell_may_be_longer_than_pythons_own_limit(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"a\n{'x' * 200_000}\n")
    assert load_rows(CsvSource("a", str(tmp_path / "a.csv"))).rows == [("x" * 200_000,)]


def test_equal_rows_are_held_once(tmp_path: Path) -> None:
    """16 MB of one-byte rows took 1.5 GB: a reference each is 64 MB."""
    (tmp_path / "a.csv").write_text("a\n" + "1\n2\n" * 5_000)
    rows = load_rows(CsvSource("a", str(tmp_path / "a.csv"))).rows
    assert len(rows) == 10_000
    assert len({id(row) for row in rows}) == 2
