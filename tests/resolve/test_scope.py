"""A virtual user's scope: nobody else sees it, a step sees one row, and a seed repeats it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.plan.csv_source import CsvSource, Mode
from loadflow.engine.resolve.data import Data, Table
from loadflow.engine.resolve.fake import faker_methods
from loadflow.engine.resolve.missing import MissingValue
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import compile_value

NUMBERS = Table(("n", "twice"), [(str(n), str(2 * n)) for n in range(10)])
DRAWS = ["${uuid()}", "${randint(1,1000000)}", "${faker.name}", "${faker.pyint}", "${csv.r.n}"]


def data(mode: Mode = "cycle", **named: Any) -> Data:
    return Data([(CsvSource("r", "r.csv", mode), NUMBERS)], **named)


def test_what_one_user_extracts_no_other_sees() -> None:
    plan, shared = {"id": 1}, data()
    ann, bob = Scope(plan, shared, user=0), Scope(plan, shared, user=1)
    ann.variables["id"] = 2
    ann.variables["token"] = "t"
    ann.session["sid"] = "s"
    assert (bob.variables, bob.session, plan) == ({"id": 1}, {}, {"id": 1})


def test_users_take_turns_at_the_rows_and_each_keeps_its_own_for_the_step() -> None:
    shared = data()
    ann, bob = Scope({}, shared), Scope({}, shared)
    assert [ann.csv("r", "n"), bob.csv("r", "n"), ann.csv("r", "twice"), bob.csv("r", "twice")] == ["0", "1", "0", "2"]
    ann.begin_step()
    assert [ann.csv("r", "n"), bob.csv("r", "n")] == ["2", "1"]


def test_a_step_that_needs_no_row_takes_none() -> None:
    user = Scope({}, data("once"))
    for _ in range(100):
        user.begin_step()
    assert user.csv("r", "n") == "0"


@given(st.sampled_from(["cycle", "once", "random"]), st.lists(st.lists(st.sampled_from(["n", "twice"]), max_size=5), max_size=10))
def test_all_columns_of_one_step_come_from_one_row(mode: Mode, steps: list[list[str]]) -> None:
    user = Scope({}, data(mode, seed=3))
    for columns in steps:
        user.begin_step()
        cells = {int(user.csv("r", column)) // (2 if column == "twice" else 1) for column in columns}
        assert len(cells) <= 1


def test_once_run_out_is_a_missing_value_for_every_later_step_and_says_after_how_many() -> None:
    user = Scope({}, data("once"))
    for _ in range(10):
        user.begin_step()
        user.csv("r", "n")
    for _ in range(2):
        user.begin_step()
        with pytest.raises(
            MissingValue,
            match=r"\$\{csv\.r\}: csv source 'r' ran out after 10 rows; add rows to "
            r"the file, or use mode 'cycle'",
        ):
            user.csv("r", "n")


def drawn(user: Scope) -> list[Any]:
    user.begin_step()
    return [compile_value(text, {}).render(user) for text in DRAWS]


def test_a_seed_repeats_a_users_draws_whatever_the_others_do() -> None:
    def run(*, others: int) -> list[Any]:
        shared = Data(seed=7)
        user, noise = Scope({}, shared, user=1), Scope({}, shared, user=2)
        draws = []
        for _ in range(3):
            for _ in range(others):
                [compile_value(text, {}).render(noise) for text in DRAWS[:4]]
            draws.append([compile_value(text, {}).render(user) for text in DRAWS[:4]])
        return draws

    assert run(others=0) == run(others=3)


def test_users_shards_and_seeds_draw_differently_and_no_seed_differs_each_time() -> None:
    scopes = [
        Scope({}, data("random", seed=7), user=0),
        Scope({}, data("random", seed=7), user=1),
        Scope({}, data("random", seed=7, shard=1, shards=2), user=0),
        Scope({}, data("random", seed=8), user=0),
        Scope({}, data("random"), user=0),
        Scope({}, data("random"), user=0),
    ]
    assert len({drawn(user)[0] for user in scopes}) == len(scopes)


@pytest.mark.parametrize("seed", [None, 1])
def test_a_uuid_is_a_random_one(seed: int | None) -> None:
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    user = Scope({}, Data(seed=seed))
    made = {user.uuid4() for _ in range(100)}
    assert len(made) == 100 and all(form.fullmatch(text) for text in made)


def test_randint_gives_both_bounds_and_nothing_else() -> None:
    user = Scope({}, Data(seed=1))
    assert {user.randint(-1, 1) for _ in range(200)} == {-1, 0, 1}


def test_now_is_local_to_the_second_with_its_offset_and_moves_on() -> None:
    seconds = [1_700_000_000.9]
    user = Scope({}, Data(clock=lambda: seconds[0]))
    first = datetime.fromisoformat(user.now())
    assert first.timestamp() == 1_700_000_000 and first.tzinfo is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", user.now())
    seconds[0] += 1
    assert datetime.fromisoformat(user.now()).timestamp() == 1_700_000_001


FAKED = [
    ("text", "name", str),
    ("a whole number", "pyint", int),
    ("a float", "pyfloat", float),
    ("true or false", "pybool", bool),
    ("a decimal as text", "pydecimal", str),
    ("a date as text", "date_object", str),
    ("bytes as text", "json_bytes", str),
    ("a tuple as a list", "latlng", list),
    ("a dict", "simple_profile", dict),
]


@pytest.mark.parametrize(("method", "type_"), [row[1:] for row in FAKED], ids=[row[0] for row in FAKED])
def test_faker_gives(method: str, type_: type) -> None:
    value = Scope({}, Data(seed=1)).faker(method)
    assert type(value) is type_
    json.dumps(value)


def test_no_faker_method_gives_what_json_can_not_hold() -> None:
    user = Scope({}, Data(seed=1))
    refused = set()
    for method in faker_methods() - {"binary", "tar", "zip"}:  # these build a megabyte each
        try:
            json.dumps(user.faker(method))
        except MissingValue:
            refused.add(method)
    assert refused <= {"enum", "image", "xml"}  # one needs an argument, two need packages that may not be there
