"""`loadflow run --save-baseline` and `--baseline FILE`: a run's numbers, kept in a file and held against those of a later run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from loadflow.engine.base.figures import percent_text
from loadflow.engine.base.verdict import EXIT_CODES, VerdictKind

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BASELINE", "baseline_options", "compare_with", "save_baseline"]

F = TypeVar("F", bound=Callable[..., object])
BASELINE = Path(".loadflow/baseline.json")


def baseline_options(function: F) -> F:
    """Adds both options."""
    file = click.Path(dir_okay=False)
    function = click.option("--save-baseline", is_flag=True, help=f"If the run passes, write the numbers of its last load to {BASELINE}.")(
        function
    )
    return click.option(
        "--baseline",
        "baseline_file",
        type=file,
        metavar="FILE",
        help="Compare the last load with the numbers in FILE, which --save-baseline or --results-json wrote; exit code 1 if any is worse "
        "by 10 %.",
    )(function)


def save_baseline(console: Console, results: Mapping[str, object]) -> None:
    """Keep the results, unless the run did not pass: the next one would be compared with what was broken."""
    from rich.text import Text

    from loadflow.engine.history.plain_results import write_results

    if results["verdict"] != str(VerdictKind.PASSED):
        console.print(Text(f"baseline: not saved, as the verdict is {results['verdict']}", style="yellow"), soft_wrap=True)
        return
    write_results(results, BASELINE)
    console.print(Text.assemble(("baseline: ", "dim"), str(BASELINE)), soft_wrap=True)


def compare_with(console: Console, baseline: Mapping[str, object], results: Mapping[str, object], code: int) -> int:
    """Print a row for each figure, and the exit code: `code`, or that of a failure where the run passed and something is worse."""
    from rich.table import Table
    from rich.text import Text

    from loadflow.engine.history.plain_results import RELATIVE, changes_of

    changes = list(changes_of(baseline, results))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("compared with the baseline", no_wrap=True)
    for heading in ("baseline", "current", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in changes:
        mark = Text("▲ worse", style="bold red") if one.is_worse else Text("")
        table.add_row(one.title, f"{one.baseline:,.2f}", f"{one.current:,.2f}", one.text, mark)
    console.print(table)
    if baseline.get("scenario") not in (None, results["scenario"]):
        text = f"the baseline is of {baseline['scenario']!r}, and this is {results['scenario']!r}"
        console.print(Text.assemble(("warning: ", "yellow"), text), soft_wrap=True)
    worse = [f"{one.title} {one.text}" for one in changes if one.is_worse]
    if worse:
        console.print(Text.assemble(("worse", "bold red"), f" by {percent_text(RELATIVE)} or more: {', '.join(worse)}"), soft_wrap=True)
        return code or EXIT_CODES[VerdictKind.FAILED]
    return code
