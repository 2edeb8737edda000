"""`loadflow compare`: whether one run was better or worse than another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from loadflow.engine.records.compare import Change, Comparison, NameChanges

__all__ = ["MARKS", "STYLES", "compare", "place_option"]

EXIT_CODES = {"better": 0, "same": 0, "worse": 1, "unclear": 3}
MARKS = {"better": "▼ better", "same": "= same", "worse": "▲ worse", "unclear": "? unclear"}
STYLES = {"better": "green", "same": "", "worse": "bold red", "unclear": "yellow"}
MOST_NAMES = 40


@click.command(short_help="Compare two runs: better, worse, the same, or unclear.")
@click.argument("baseline")
@click.argument("current")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Where ids are looked up. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--db", metavar="PATH|URL", help="Look both up in this database.")
@click.option("--relative", default="10%", show_default=True, help="Smaller changes than this are none.")
@click.option("--absolute-ms", default=1.0, show_default=True, type=float, help="Smaller changes of times than this are none.")
@click.option("--absolute-failure-rate", default="0.1%", show_default=True, help="Smaller changes of the failure rate than this are none.")
@click.option("--confidence", default=0.95, show_default=True, type=float, help="How sure an interval is.")
@click.option("--force", is_flag=True, help="Compare runs of unlike plan, engine or machine too.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print a Markdown table.")
@click.pass_context
def compare(
    ctx: click.Context,
    baseline: str,
    current: str,
    runs_dir: str | None,
    db: str | None,
    relative: str,
    absolute_ms: float,
    absolute_failure_rate: str,
    confidence: float,
    force: bool,
    form: str | None,
) -> None:
    """Compare the run CURRENT with the run BASELINE: a run folder, a run's id, `latest`, `previous`, or with --db a number.

    Exit codes: 0 the same or better; 1 something is worse; 2 unlike runs, or a run that is not there; 3 unclear.
    """
    from loadflow.engine.comparing import compare_kept, limits_of
    from loadflow.engine.kept_runs import find_pair
    from loadflow.engine.session import Session

    limits = limits_of(relative, absolute_ms, absolute_failure_rate, confidence)
    ours, theirs = find_pair(baseline, current, Session(runs_dir=runs_dir).runs_dir, place_option(db))
    document, comparison = compare_kept(ours, theirs, limits, allow_unlike=force, way_out="--force compares them all the same")
    match form:
        case "json":
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        case "markdown":
            click.echo(markdown(comparison, ours.name, theirs.name))
        case _:
            for line in document["unlike"]:
                click.echo(f"unlike in {line}", err=True)
            print_comparison(comparison, ours.name, theirs.name)
    ctx.exit(EXIT_CODES[str(comparison.verdict)])


def place_option(db: str | None) -> Any:
    """The place that --db names; None without it."""
    if db is None:
        return None
    from loadflow.engine.store.place import place_of

    return place_of(None, db) if "://" in db else place_of(db, None)


def print_comparison(comparison: Comparison, baseline: str, current: str) -> None:
    from rich.text import Text

    from loadflow.cli.console import console_for

    console = console_for()
    console.print(Text(f"{baseline} → {current}", style="dim"), soft_wrap=True)
    console.print(_table(comparison))
    for line in notes(comparison):
        console.print(Text(line, style="dim"), soft_wrap=True)
    word = str(comparison.verdict)
    console.print(Text(MARKS[word], style=STYLES[word] or "bold"))


def _table(comparison: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for heading in ("baseline", "current", "change", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in _shown(comparison):
        for number, change in enumerate(one.changes):
            word = str(change.verdict)
            mark = f"{MARKS[word]}: {change.why}" if change.why else MARKS[word]
            table.add_row(Text("" if number else _where(one)), change.metric, *_cells(change), Text(mark, style=STYLES[word]))
    return table


def markdown(comparison: Comparison, baseline: str, current: str) -> str:
    """For a comment on a change, or a job's summary."""
    lines = [
        f"**{MARKS[str(comparison.verdict)]}**: `{current}` against `{baseline}`",
        "",
        "| name | metric | baseline | current | change | interval | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for one in _shown(comparison):
        for change in one.changes:
            lines.append(f"| {' | '.join([_escaped(_where(one)), change.metric, *_cells(change), MARKS[str(change.verdict)]])} |")
    return "\n".join([*lines, *(f"\n{_escaped(line)}" for line in notes(comparison))])


def notes(comparison: Comparison) -> Iterator[str]:
    """What the table does not say."""
    for names, where in ((comparison.only_baseline, "baseline"), (comparison.only_current, "current")):
        if names:
            more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
            yield f"only in the {where}: {', '.join(str(name) for name in names[:MOST_NAMES])}{more}"
    if len(comparison.names) > MOST_NAMES:
        yield f"{len(comparison.names) - MOST_NAMES:,} more names, of fewer changes, are in --json"
    if not comparison.overall.changes:
        yield "one of the runs has no hits, so nothing can be compared"
    limits = comparison.limits
    margin = f"{limits.relative * 100:g} %, {limits.absolute_ms:g} ms, {limits.absolute_failure_rate * 100:g} points of failures"
    yield f"interval: {limits.confidence * 100:g} % confidence; limits: {margin}"


def _shown(comparison: Comparison) -> list[NameChanges]:
    """All hits, then the names: with one name alone there is nothing to add; of many, first those that changed."""
    if len(comparison.names) == 1 and not comparison.only_baseline and not comparison.only_current:
        return [comparison.overall]
    names = list(comparison.names)
    if len(names) > MOST_NAMES:
        order = {"worse": 0, "better": 1, "unclear": 2, "same": 3}
        names.sort(key=lambda one: min((order[str(change.verdict)] for change in one.changes), default=3))
    return [comparison.overall, *names[:MOST_NAMES]]


def _cells(change: Change) -> tuple[str, str, str, str]:
    from loadflow.engine.comparing import change_text, interval_text, value_text

    return (
        value_text(change.metric, change.baseline),
        value_text(change.metric, change.current),
        change_text(change),
        interval_text(change),
    )


def _where(one: NameChanges) -> str:
    from loadflow.engine.comparing import where_text

    return where_text(one)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;")
