"""`loadflow compare`: whether one run was better or worse than another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import echo, echo_json

if TYPE_CHECKING:
    from rich.table import Table

    from loadflow.engine.history.kept_runs import KeptRun
    from loadflow.engine.records.compare import Change, Comparison, NameChanges
    from loadflow.engine.store.place import Place

__all__ = ["MARKS", "STYLES", "compare", "place_option"]

EXIT_CODES = {"better": 0, "same": 0, "worse": 1, "unclear": 3}
MARKS = {"better": "▼ better", "same": "= same", "worse": "▲ worse", "unclear": "? unclear"}
STYLES = {"better": "green", "same": "", "worse": "bold red", "unclear": "yellow"}
MOST_NAMES = 40


@click.command(short_help="Compare two runs: better, worse, the same, or unclear.")
@click.argument("baseline")
@click.argument("current")
@click.option(
    "--runs-dir",
    type=click.Path(file_okay=False),
    help="Folder in which run ids are looked up. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]",
)
@click.option("--db", metavar="PATH|URL", help="Look up both runs in this database.")
@click.option("--relative", default="10%", show_default=True, help="Ignore changes that are smaller than this.")
@click.option("--absolute-ms", default=1.0, show_default=True, type=float, help="Ignore changes of times that are smaller than this.")
@click.option(
    "--absolute-failure-rate", default="0.1%", show_default=True, help="Ignore changes of the failure rate that are smaller than this."
)
@click.option("--confidence", default=0.95, show_default=True, type=float, help="Confidence level of the intervals.")
@click.option("--force", is_flag=True, help="Compare runs even if their plan, engine or machine differ.")
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
    """Compare the run CURRENT with the run BASELINE. Each is a run folder, a run's id, `latest`, `previous`, or with --db a number.

    Exit codes: 0 the same or better; 1 something is worse; 2 the runs can't be compared, or one does not exist; 3 unclear.
    """
    from loadflow.engine.history.comparing import compare_kept, limits_of
    from loadflow.engine.history.kept_runs import find_pair
    from loadflow.engine.session.session import Session

    limits = limits_of(relative, absolute_ms, absolute_failure_rate, confidence)
    ours, theirs = find_pair(baseline, current, Session(runs_dir=runs_dir).runs_dir, place_option(db))
    document, comparison = compare_kept(ours, theirs, limits, allow_unlike=force, way_out="--force compares them anyway")
    match form:
        case "json":
            echo_json(document)
        case "markdown":
            for line in markdown(comparison, ours, theirs).split("\n"):
                echo(line)
        case _:
            for line in document["unlike"]:
                echo(f"unlike in {line}", err=True)
            print_comparison(comparison, ours, theirs)
    ctx.exit(EXIT_CODES[str(comparison.verdict)])


def place_option(db: str | None) -> Place | None:
    """The place that --db names; None without it."""
    if db is None:
        return None
    from loadflow.engine.store.place import place_of

    return place_of(None, db) if "://" in db else place_of(db, None)


def print_comparison(comparison: Comparison, baseline: KeptRun, current: KeptRun) -> None:
    from rich.text import Text

    from loadflow.cli.console import console_for

    console = console_for()
    console.print(Text(f"{baseline.name} → {current.name}", style="dim"), soft_wrap=True)
    for line in _revisions(baseline, current):
        console.print(Text(line, style="dim"), soft_wrap=True)
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
            style = STYLES[str(change.verdict)]
            table.add_row(Text("" if number else _where(one)), change.metric, *_cells(change), Text(_mark(change), style=style))
    return table


def markdown(comparison: Comparison, baseline: KeptRun, current: KeptRun) -> str:
    """For a comment on a change, or a job's summary."""
    lines = [
        f"**{MARKS[str(comparison.verdict)]}**: `{current.name}` against `{baseline.name}`",
        "",
        "| name | metric | baseline | current | change | interval | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for one in _shown(comparison):
        for change in one.changes:
            lines.append(f"| {' | '.join([_escaped(_where(one)), change.metric, *_cells(change), _mark(change)])} |")
    return "\n".join([*lines, *(f"\n{_escaped(line)}" for line in [*_revisions(baseline, current), *notes(comparison)])])


def _revisions(baseline: KeptRun, current: KeptRun) -> list[str]:
    """The target's revision of both, where one is known."""
    ours, theirs = baseline.facts.revision, current.facts.revision
    return [f"revision: {ours or '–'} → {theirs or '–'}"] if ours or theirs else []


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
    from loadflow.engine.history.comparing import change_text, interval_text, value_text

    return (
        value_text(change.metric, change.baseline),
        value_text(change.metric, change.current),
        change_text(change),
        interval_text(change),
    )


def _mark(change: Change) -> str:
    """The verdict, why it is unclear, and what would have been seen."""
    from loadflow.engine.history.comparing import seen_text

    why = "; ".join(filter(None, (change.why, seen_text(change))))
    return f"{MARKS[str(change.verdict)]}: {why}" if why else MARKS[str(change.verdict)]


def _where(one: NameChanges) -> str:
    from loadflow.engine.history.comparing import where_text

    return where_text(one)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;")
