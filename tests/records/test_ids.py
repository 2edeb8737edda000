"""A run of several shards has one numbering: whatever is counted by `hits()` and `names()` is what the totals say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.records.hitlog import HIT_DTYPE, HitLogWriter, Rows
from loadflow.engine.records.ids import Ids
from loadflow.engine.records.names import LOST, NameTable, NameWriter, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from tests.builders import facts

Shard = list[tuple[str, str]]  # (name, error text) of each hit; "" for a hit that did not fail
SHARDS = st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "slow", "gone"])), max_size=6), min_size=1, max_size=4)


def written(folder: Path, shards: list[Shard]) -> Run:
    """Each shard numbers its names and texts in the order in which it meets them, as engines do."""
    folder.mkdir(parents=True)
    Run.create(folder, facts(folder=str(folder)), shards=len(shards), max_failure_rate=0.0)
    run = Run.open(folder)
    for number, hits in enumerate(shards):
        names = NameWriter(run.names_path(number))
        log = HitLogWriter(run.hits_path(number), shard=number, origin_unix_ns=0, origin_monotonic_ns=0)
        for at, (name, text) in enumerate(hits):
            outcome = Outcome.TIMEOUT if text else Outcome.OK
            error = names.error(outcome, text) if text else 0
            log.append(at, at, at + 1_000_000, names.series("GET", name), at, error, 1, 1, 200, int(outcome), 0)
        log.close()
        names.close()
    return run


def counted(run: Run) -> Counter[tuple[str, str]]:
    hits, names = run.hits(), run.names()
    pairs = zip(hits["series"].tolist(), hits["error"].tolist(), strict=True)
    return Counter((names.series[series].name, names.errors[error].text if error else "") for series, error in pairs)


@given(shards=SHARDS)
def test_hits_and_names_agree_over_shards(shards: list[Shard], tmp_path_factory: pytest.TempPathFactory) -> None:
    run = written(tmp_path_factory.mktemp("run") / "r", shards)
    assert counted(run) == Counter(hit for shard in shards for hit in shard)
    by_name = Counter(name for shard in shards for name, _ in shard)
    names = run.names().series
    chunks = Counter(names[series].name for _, rows in run.iter_hits(2) for series in rows["series"].tolist())
    assert chunks == by_name == {name.name: totals.hits for name, totals in run.fold().series.items()}


def test_a_name_has_one_id_whichever_shard_met_it_first_and_keeps_it_while_others_come(tmp_path: Path) -> None:
    run = written(tmp_path / "r", [[("a", ""), ("b", "")], [("b", ""), ("a", "")]])
    first = dict(run.names().series)
    assert first == {0: SeriesName("GET", "a"), 1: SeriesName("GET", "b")}
    with run.names_path(0).open("a") as file:
        file.write('{"series": 2, "method": "GET", "name": "late"}\n')
    assert run.names().series == {**first, 2: SeriesName("GET", "late")}


def test_names_that_a_shard_lost_are_one_name_that_says_so(tmp_path: Path) -> None:
    run = written(tmp_path / "r", [[("a", "slow")], [("b", "slow"), ("c", "")]])
    run.names_path(1).unlink()
    assert counted(Run.open(run.folder)) == {("a", "slow"): 1, (LOST.name, "(text lost)"): 1, (LOST.name, ""): 1}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_run_without_hits_has_no_names(tmp_path: Path, shards: int) -> None:
    run = written(tmp_path / "r", [[]] * shards)
    assert (len(run.hits()), run.names().series, run.names().errors) == (0, {}, {})


def test_a_row_of_any_id_is_renumbered() -> None:
    """Of a torn file: the numbers are no sizes of anything."""
    rows: Rows = np.zeros(1, dtype=HIT_DTYPE)
    rows["series"] = rows["error"] = 2**32 - 1
    rows["outcome"] = Outcome.TIMEOUT
    ids = Ids()
    again = ids.renumber(rows, NameTable(None))
    assert ids.table.series[int(again["series"][0])] == LOST
