"""The states of a load: what an engine is doing, what moves it on, who hears of it. The supervisor, the parent and the engines read this.

`python -m loadflow.engine.process.states PAGE` puts its picture and its rows into a page of the docs (`make docs`).
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import NamedTuple

__all__ = ["FINAL", "MOVES", "NOTICED_S", "SILENT_S", "STOP_DRAIN_S", "STOP_GRACE_S", "Move", "State", "after_exit", "moved", "with_states"]

# Seconds after a stop was asked for, or after the load's parent is gone, from which on nothing is sent any more. The others follow:
SILENT_S = 5.0
NOTICED_S = 2.0  # of these, until the supervisor or a worker knows of it, and the kernel has ended what was killed
STOP_GRACE_S = SILENT_S - NOTICED_S  # from then until the engine is killed
STOP_DRAIN_S = STOP_GRACE_S - 1.0  # of these, for hits in flight


class State(Enum):
    """Of one engine, or of one of its shares of the load."""

    WAITING = "waiting"
    READY = "ready"
    GOING = "going"
    STOPPING = "stopping"
    DRAINED = "drained"
    DONE = "done"
    LOST = "lost"


class Move(NamedTuple):
    """`why`: what moves it, in words; `told`: who learns of it, and how."""

    before: State
    event: str
    after: State
    why: str
    told: str


_LOST = "the process ends by itself, fails or is killed"
_LOST_TOLD = "the supervisor by the exit code, the parent by `failed` or the supervisor's `end`"
_EARLY = "a stop comes before the load has begun"
_EARLY_TOLD = "the supervisor by the exit code 0"

MOVES: tuple[Move, ...] = (
    Move(State.WAITING, "ready", State.READY, "the plan is compiled", "the parent by `ready`"),
    Move(State.READY, "go", State.GOING, "all engines are ready", "every engine by `go`, with one start for all"),
    Move(State.GOING, "over", State.STOPPING, "the time is over, the users are done, or a stop comes", "the parent by ticks with `ran_s`"),
    Move(State.STOPPING, "drained", State.DRAINED, "no hit is in flight, or the drain is over", "the log, by its last rows"),
    Move(State.DRAINED, "done", State.DONE, "the log is complete", "the parent by `done`"),
    Move(State.WAITING, "stop", State.DONE, _EARLY, _EARLY_TOLD),
    Move(State.READY, "stop", State.DONE, _EARLY, _EARLY_TOLD),
    *(Move(one, "lost", State.LOST, _LOST, _LOST_TOLD) for one in (State.WAITING, State.READY, State.GOING, State.STOPPING, State.DRAINED)),
)
BEGIN, END = "<!-- states: made by make docs -->", "<!-- end of states -->"  # marks in the page
FINAL = frozenset({State.DONE, State.LOST})
_AFTER = {(move.before, move.event): move.after for move in MOVES}


def moved(state: State, *events: str) -> State:
    """The state after these events; one that has no move from where it is changes nothing.

    >>> moved(State.READY, "go", "over"), moved(State.DONE, "lost")
    (<State.STOPPING: 'stopping'>, <State.DONE: 'done'>)
    """
    for event in events:
        state = _AFTER.get((state, event), state)
    return state


def after_exit(code: int) -> State:
    """What an engine's exit code says; negative ones are signals."""
    return State.DONE if code == 0 else State.LOST


def with_states(page: str) -> str:
    """The page with the picture and the rows of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{_picture()}\n\n{_rows()}\n\n{END}{after}"


def _picture() -> str:
    """A state diagram of Mermaid."""
    arrows = [f"    {move.before.value} --> {move.after.value}: {move.event}" for move in MOVES]
    ends = [f"    {state.value} --> [*]" for state in State if state in FINAL]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {State.WAITING.value}", *arrows, *ends, "```"])


def _rows() -> str:
    """One for each way to move; what leads from several states to one in the same way is one row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for move in MOVES:
        rows.setdefault((move.event, move.after.value, move.why, move.told), []).append(move.before.value)
    lines = ["| from | event | to | what moves it | who hears of it |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {', '.join(befores)} | `{row[0]}` | {' | '.join(row[1:])} |" for row, befores in rows.items())])


if __name__ == "__main__":
    from pathlib import Path

    path = Path(sys.argv[1])
    path.write_text(with_states(path.read_text(encoding="utf-8")), encoding="utf-8")
