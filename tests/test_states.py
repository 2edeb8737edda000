"""The states of a load: the table holds together, its readers agree with it, and the docs show what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

import loadflow
from loadflow.engine.fleet import fleet, subjects
from loadflow.engine.process.states import FINAL, MOVES, SILENT_S, STOP_DRAIN_S, STOP_GRACE_S, State, after_exit, moved, with_states

ROOT = Path(__file__).resolve().parents[1]
ENGINE = Path(loadflow.__file__).parent / "engine"

WAYS = [
    ("a load that runs to its end", ["ready", "go", "over", "drained", "done"], State.DONE),
    ("a stop before the start", ["ready", "stop"], State.DONE),
    ("a stop while it compiles", ["stop"], State.DONE),
    ("an engine that dies under load", ["ready", "go", "lost"], State.LOST),
    ("one that is killed in its drain", ["ready", "go", "over", "lost"], State.LOST),
    ("an end without drain is none", ["ready", "go", "done"], State.GOING),
    ("no load begins before all is compiled", ["go"], State.WAITING),
    ("what is over stays over", ["ready", "go", "over", "drained", "done", "lost", "go", "ready"], State.DONE),
    ("what is lost stays lost", ["lost", "ready", "go", "done"], State.LOST),
]


@pytest.mark.parametrize(("events", "state"), [row[1:] for row in WAYS], ids=[row[0] for row in WAYS])
def test_events_lead_where_the_table_says(events: list[str], state: State) -> None:
    assert moved(State.WAITING, *events) is state


def test_an_event_has_one_meaning_in_each_state_and_every_state_can_be_reached_and_left() -> None:
    keys = [(move.before, move.event) for move in MOVES]
    assert len(keys) == len(set(keys))
    assert {move.after for move in MOVES} | {State.WAITING} == set(State)
    assert {move.before for move in MOVES} == set(State) - FINAL
    assert all(move.why and move.told for move in MOVES)


@pytest.mark.parametrize(("code", "state"), [(0, State.DONE), (1, State.LOST), (-9, State.LOST)])
def test_an_exit_code_says_how_an_engine_ended(code: int, state: State) -> None:
    assert after_exit(code) is state


def test_every_limit_follows_from_the_five_seconds() -> None:
    assert 0 < STOP_DRAIN_S < STOP_GRACE_S < SILENT_S == 5
    assert subjects.SILENT_S + subjects.DRAIN_S == SILENT_S, "without its coordinator an agent's load ends as any other"
    assert subjects.LEASE_S > SILENT_S, "no share is made twice at the same time"
    assert fleet.DELIVERY_GRACE_S > STOP_GRACE_S, "hits on their way need longer than those in flight"


READERS = [
    "entry/supervisor.py",
    "entry/native.py",
    "load/one_load.py",
    "generator/locust/generate.py",
    "process/launch.py",
    "fleet/subjects.py",
]


@pytest.mark.parametrize("reader", READERS)
def test_supervisor_parent_and_engines_read_the_table(reader: str) -> None:
    assert "from loadflow.engine.process.states import " in (ENGINE / reader).read_text(encoding="utf-8")


def test_the_page_shows_the_table_of_today() -> None:
    page = (ROOT / "docs/when-things-die.md").read_text(encoding="utf-8")
    assert page == with_states(page), "run `make docs`"
    assert page.count("stateDiagram-v2") == 1
