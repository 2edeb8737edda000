"""`loadflow doctor --hostile`: what each engine makes of answers that mean harm, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loadflow.cli.console import Styled, console_for, echo, echo_json
from loadflow.engine.base.counted import counted

if TYPE_CHECKING:
    from loadflow.engine.hostile.play import Played

__all__ = ["print_hostile", "rows_of"]

WRONG = "bold red"
SHOWN = 60  # characters of what a failure says


def print_hostile(as_json: bool) -> bool:
    """Plays all of them; whether each ended as it has to, no loop stood, and no memory filled."""
    from loadflow.engine.hostile.play import LOADS, MOST_MEMORY_MB, hostile_target, play_all, why_not
    from loadflow.errors import RunError

    found: list[Played] = []
    lost: list[str] = []
    not_played: dict[str, str] = {}
    with hostile_target() as target:
        not_played = {load: why for load in LOADS if (why := why_not(load, target))}
        for load, playing in play_all(LOADS, target):
            try:
                played = playing.result()
            except RunError as error:
                lost.append(f"{load}: {error}")
                played = []
            found += played
            if played and not as_json:
                _print_table(load, played)
    if as_json:
        echo_json({"answers": rows_of(found), "lost": lost, "not_played": not_played})
        return _all_right(found) and not lost
    for text in lost:
        echo(Styled("broken", fg="red", bold=True), f" {text}")
    for load, why in not_played.items():
        echo(Styled("note  ", fg="yellow"), f" {load}: not played: {why}")
    wrong = sum(not one.is_right for one in found)
    late = sum(one.is_late for one in found)
    large = sum(one.is_large for one in found)
    echo(
        f"{counted(len(found), 'answer')}: {wrong or 'none'} ended wrongly, at {late or 'none'} the loop was over a second late, "
        f"at {large or 'none'} the engine took over {MOST_MEMORY_MB:g} MB more"
    )
    return _all_right(found) and not lost


def rows_of(played: Sequence[Played]) -> list[dict[str, object]]:
    """As JSON; `got` is null where the step was not made."""
    return [
        {
            "load": one.load,
            "answer": one.answer.name,
            "expected": one.answer.outcome.label,
            "got": None if one.got is None else one.got.label,
            "error": one.error,
            "took_ms": round(one.took_ms, 1),
            "lag_ms": round(one.lag_ms, 1),
            "memory_mb": round(one.memory_mb, 1),
            "right": is_well(one),
        }
        for one in played
    ]


def is_well(one: Played) -> bool:
    return one.is_right and not one.is_late and not one.is_large


def _all_right(played: Sequence[Played]) -> bool:
    return all(map(is_well, played))


def _print_table(load: str, played: Sequence[Played]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=load, title_justify="left", box=None, pad_edge=False)
    for name in ("answer", "expected", "got"):
        table.add_column(name)
    table.add_column("lag ms", justify="right")
    table.add_column("MB more", justify="right")
    table.add_column("it says")
    for one in played:
        got = "not played" if one.got is None else one.got.label
        lag = f"{one.lag_ms:,.0f}"
        table.add_row(
            Text(one.answer.name),
            Text(one.answer.outcome.label),
            Text(got, "" if one.is_right else WRONG),
            Text(lag, WRONG if one.is_late else ""),
            Text(f"{one.memory_mb:,.0f}", WRONG if one.is_large else ""),
            Text(one.error[:SHOWN]),
        )
    console_for().print(table)
