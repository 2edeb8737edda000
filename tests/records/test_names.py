"""The side table: ids, caps, texts of any kind, and reading while it is written."""

from pathlib import Path

import pytest

from loadflow.engine.records import names
from loadflow.engine.records.names import ErrorText, NameTable, NameWriter, SeriesName
from loadflow.engine.records.outcome import Outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names-0.ndjson"


def read(path: Path) -> NameTable:
    table = NameTable(path)
    table.refresh()
    return table


def test_the_same_name_gets_the_same_id_and_another_method_another(path: Path) -> None:
    writer = NameWriter(path)
    assert [writer.series("GET", "/"), writer.series("POST", "/"), writer.series("GET", "/")] == [0, 1, 0]
    assert [writer.error(1, "a"), writer.error(2, "a"), writer.error(1, "a")] == [1, 2, 1]
    assert read(path).series == {0: SeriesName("GET", "/"), 1: SeriesName("POST", "/")}
    assert read(path).errors == {1: ErrorText(Outcome.STATUS, "a"), 2: ErrorText(Outcome.ASSERTION, "a")}


def test_past_the_cap_everything_is_other(path: Path) -> None:
    writer = NameWriter(path)
    ids = {writer.series("GET", f"/{number}") for number in range(3 * names.SERIES_CAP)}
    errors = {writer.error(1, f"error {number}") for number in range(3 * names.ERROR_CAP)}
    assert len(ids) == names.SERIES_CAP + 1
    assert len(errors) == names.ERROR_CAP + 1
    assert read(path).series[max(ids)] == SeriesName("", "(other)")
    assert read(path).errors[max(errors)] == ErrorText(Outcome.STATUS, "(other)")
    assert writer.series("GET", "/5") == 5, "names from before the cap keep their id"


@pytest.mark.parametrize(
    "text",
    ["line\nbreak\r\n", "\u2028\u2029\x85\x0b\x0c\x1c", '"}{"error": 9}', "\x00\x1b[31m", "</script>", "ключ 鍵 🔑", ""],
)
def test_hostile_text_comes_back_as_it_is(path: Path, text: str) -> None:
    writer = NameWriter(path)
    series, error = writer.series("GET", text), writer.error(1, text)
    writer.series("GET", "after")
    table = read(path)
    assert table.series[series] == SeriesName("GET", text)
    assert table.errors[error].text == text
    assert table.series[1].name == "after"


def test_text_that_is_no_utf_8_loses_only_what_can_not_be_written(path: Path) -> None:
    writer = NameWriter(path)
    series, error = writer.series("GET", "a\udce9b"), writer.error(1, "c\ud800")
    assert (read(path).series[series].name, read(path).errors[error].text) == ("a?b", "c?")


def test_long_texts_are_cut(path: Path) -> None:
    writer = NameWriter(path)
    series, error = writer.series("GET", "x" * 9999), writer.error(1, "y" * 9999)
    assert read(path).series[series].name == "x" * 300
    assert read(path).errors[error].text == "y" * 499 + "…"


def test_a_table_follows_a_file_that_grows_byte_by_byte(path: Path, tmp_path: Path) -> None:
    writer = NameWriter(tmp_path / "whole.ndjson")
    writer.series("GET", "/é")
    writer.error(4, "no such host: ü")
    writer.series("GET", "/b")
    table, seen = NameTable(path), []
    table.refresh()
    with path.open("ab", buffering=0) as file:
        for byte in (tmp_path / "whole.ndjson").read_bytes():
            file.write(bytes([byte]))
            table.refresh()
            seen.append(len(table.series) + len(table.errors))
    assert seen == sorted(seen)
    assert table.series == {0: SeriesName("GET", "/é"), 1: SeriesName("GET", "/b")}
    assert table.errors == {1: ErrorText(Outcome.DNS, "no such host: ü")}
