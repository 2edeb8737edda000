"""Folding: the same totals whatever the chunks, seconds by the end of a hit, and ids that nobody knows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.names import ErrorText, NameTable, NameWriter, SeriesName
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.totals import Totals
from tests.examples import examples

A, B = SeriesName("GET", "/a"), SeriesName("POST", "/b")
KNOWN = NameTable(Path("absent"), {0: A, 1: B}, {1: ErrorText(Outcome.STATUS, "status 500"), 2: ErrorText(Outcome.TIMEOUT, "slow")})
MS, S = 1_000_000, 1_000_000_000

HIT = st.tuples(
    st.integers(0, 3 * S),  # due
    st.integers(0, S),  # waited
    st.integers(0, 2 * S),  # took
    st.integers(0, 3),  # series; 2 and 3 are in no table
    st.integers(0, 4),  # error; 0 is a success, 3 and 4 are in no table
    st.integers(0, 15),  # flags
)


def rows_of(hits: list[tuple[int, int, int, int, int, int]]) -> Rows:
    rows = np.zeros(len(hits), dtype=HIT_DTYPE)
    for row, (due, waited, took, series, error, flags) in zip(rows, hits, strict=True):
        row["due_ns"], row["start_ns"], row["end_ns"] = due, due + waited, due + waited + took
        row["series"], row["error"], row["flags"] = series, error, flags
        row["sent_bytes"], row["received_bytes"] = 10, 2**32 - 1
        # rows of lost texts carry different kinds of failure, as a crash leaves them
        row["outcome"] = [0, Outcome.STATUS, Outcome.TIMEOUT, Outcome.DNS + took % 3, Outcome.TLS][error]
    return rows


def plain(totals: Totals) -> dict[str, object]:
    """As JSON, in an order that does not depend on what came first."""
    data = totals.to_json()
    for key in ("series", "errors"):
        data[key] = sorted(data[key], key=repr)
    return data


@given(st.lists(HIT, max_size=40), st.data())
@settings(max_examples=examples(20))
def test_any_partition_of_the_rows_gives_the_same_totals(hits: list[tuple[int, ...]], data: st.DataObject) -> None:
    rows = rows_of(hits)  # type: ignore[arg-type]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    whole, parts = Totals.merged(fold_rows(rows, KNOWN).values()), Totals()
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        for second in fold_rows(rows[start:stop], KNOWN).values():
            parts.merge(second)
    assert plain(parts) == plain(whole)
    assert whole.hits == len(hits)
    assert whole.failures == sum(hit[4] > 0 for hit in hits)
    assert sum(error.count for error in whole.errors.values()) == whole.failures
    assert plain(Totals.from_json(whole.to_json())) == plain(whole)


def test_a_hit_belongs_to_the_second_it_ended_in() -> None:
    rows = rows_of([(900 * MS, 0, 99 * MS, 0, 0, 0), (100 * MS, 0, 900 * MS, 0, 0, 0), (0, 0, 2 * S, 0, 0, 0)])
    assert {second: totals.hits for second, totals in fold_rows(rows, KNOWN).items()} == {0: 1, 1: 1, 2: 1}


def test_response_time_runs_from_due_and_service_time_from_start_only_where_a_hit_waited() -> None:
    rows = rows_of([(0, 40 * MS, 10 * MS, 0, 0, 0), (0, 0, 10 * MS, 0, 0, 0)])
    totals = fold_rows(rows, KNOWN)[0].series[A]
    assert (totals.succeeded.count, totals.succeeded.max_ns, totals.succeeded.min_ns) == (2, 50 * MS, 10 * MS)
    assert (totals.service.count, totals.service.max_ns) == (1, 10 * MS)


def test_flags_and_bytes_are_counted_per_series() -> None:
    retry_failed = HitFlag.RETRY | HitFlag.SUPERSEDED
    rows = rows_of([(0, 0, 1, 0, 1, retry_failed), (0, 0, 1, 0, 0, HitFlag.RETRY), (0, 0, 1, 1, 0, HitFlag.LATE | HitFlag.DRAINED)])
    totals = fold_rows(rows, KNOWN)[0]
    a, b = totals.series[A], totals.series[B]
    assert (a.retries, a.superseded, a.superseded_failed, a.late, a.drained) == (2, 1, 1, 0, 0)
    assert (b.retries, b.superseded, b.superseded_failed, b.late, b.drained) == (0, 0, 0, 1, 1)
    assert a.received_bytes == 2 * (2**32 - 1), "sums do not overflow a row's field"


def test_errors_are_grouped_by_name_and_text_with_first_and_last_end() -> None:
    rows = rows_of([(S, 0, 0, 0, 1, 0), (0, 0, S // 2, 0, 1, 0), (0, 0, 7, 1, 1, 0)])
    errors = Totals.merged(fold_rows(rows, KNOWN).values()).errors
    own = errors[A, ErrorText(Outcome.STATUS, "status 500")]
    assert (own.count, own.first_s, own.last_s) == (2, 0.5, 1.0)
    assert errors[B, ErrorText(Outcome.STATUS, "status 500")].count == 1


def test_lost_texts_are_counted_by_their_kind_of_failure_and_said_to_be_lost() -> None:
    rows = rows_of([(0, 0, 0, 9, 3, 0), (0, 0, 1, 9, 3, 0), (0, 0, 3, 9, 3, 0)])
    totals = fold_rows(rows, KNOWN)[0]
    assert list(totals.series) == [SeriesName("", "(name lost)")]
    assert {error.outcome: count.count for (_, error), count in totals.errors.items()} == {Outcome.DNS: 2, Outcome.CONNECT: 1}
    assert {error.text for _, error in totals.errors} == {"(text lost)"}


def test_a_name_written_since_the_last_look_is_found(tmp_path: Path) -> None:
    writer, table = NameWriter(tmp_path / "names"), NameTable(tmp_path / "names")
    writer.series("GET", "/a")
    table.refresh()
    writer.series("POST", "/b")
    writer.error(Outcome.STATUS, "status 500")
    totals = fold_rows(rows_of([(0, 0, 0, 1, 1, 0)]), table)[0]
    assert list(totals.series) == [B]
    assert [error.text for _, error in totals.errors] == ["status 500"]


def test_no_rows_give_no_seconds() -> None:
    assert fold_rows(rows_of([]), KNOWN) == {}


@pytest.mark.parametrize("wanted", [0, 1])
def test_the_second_of_a_hit_that_a_clock_put_before_the_start_is_the_first(wanted: int) -> None:
    rows = rows_of([(wanted, 0, 0, 0, 0, 0)])
    rows["end_ns"] = -5
    assert fold_rows(rows, KNOWN)[0].hits == 1
