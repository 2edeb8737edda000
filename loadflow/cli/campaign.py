"""`loadflow campaign`: a matrix of loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.console import echo, echo_json
from loadflow.cli.many_loads import many_loads_options, session_of
from loadflow.cli.variables import assignments
from loadflow.engine.base.json_value import JsonObject

if TYPE_CHECKING:
    from rich.table import Table

    from loadflow.engine.history.campaign_result import CampaignResult

__all__ = ["campaign"]

CAMPAIGN = "LD_campaign"


@click.command(short_help="Make a matrix of loads, and compare them.", epilog=EXIT_CODE_HELP)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--rate", "rates", multiple=True, type=click.FloatRange(min=0, min_open=True), help="Of an axis, per second; repeatable.")
@click.option("--target", "targets", multiple=True, metavar="URL", help="Of an axis: where requests go; repeatable.")
@click.option(
    "--values", multiple=True, metavar="NAME=[…]", callback=assignments, help="An axis: a JSON list of values of ${var.NAME}; repeatable."
)
@click.option("--metric", default="p95", show_default=True, help="What the heat map shows.")
@click.option("--at-once", default=1, show_default=True, type=click.IntRange(1, 64), help="Loads at a time, each of another target.")
@click.option("--budget", default=14_400.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Seconds of load at most.")
@click.option("--max-age", default=86_400.0, show_default=True, type=click.FloatRange(min=0), help="Seconds for which a cell is kept.")
@click.option("--label", default="", help="Name of the campaign. [default: the load's label]")
@many_loads_options
@click.pass_context
def campaign(
    ctx: click.Context,
    files: tuple[str, ...],
    rates: tuple[float, ...],
    targets: tuple[str, ...],
    values: JsonObject,
    metric: str,
    at_once: int,
    budget: float,
    max_age: float,
    label: str,
    variables: dict[str, object],
    runs_dir: str | None,
    as_json: bool,
) -> None:
    """Make the campaign of the script FILE, its first LD_campaign; or the loads of the scripts FILE..., with the axes that options give.

    Each cell is a run. A campaign that was cut off goes on with the cells that it has, when it is started again the same way. The exit code
    is that of the worst cell.
    """
    from loadflow.engine.base.verdict import EXIT_CODES, VerdictKind
    from loadflow.engine.load.campaign import campaign as make
    from loadflow.engine.load.campaign import with_host
    from loadflow.engine.script.arguments import named
    from loadflow.engine.script.document import parse_script, read_script
    from loadflow.engine.session.checking import Checking

    wrong = next((name for name, one in values.items() if not isinstance(one, list) or not one), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong} needs a JSON list of values, such as {wrong}=[1,2]", param_hint="--values")
    with session_of("campaign", runs_dir, variables, "cells that are finished are kept") as session:
        scripts = [parse_script(read_script(one), commands=with_host(session, targets).commands, source=one) for one in files]
        written = next((one for script in scripts for one in script.actions if one.name == CAMPAIGN), None)
        axes = {"variables": values, "targets": targets, "rates": rates}
        if written is None:
            given: dict[str, Any] = {**axes, "script_files": files, "metric": metric, "budget": budget, "max_age": max_age, "label": label}
        elif len(files) > 1 or any(axes.values()):
            raise click.UsageError(f"{files[0]} has an {CAMPAIGN}, which says all there is to make: name no other file, and no axis")
        else:
            Checking(session).file(files[0])
            given = dict(named(session.commands[CAMPAIGN], written.arguments))
        result = make(**{"at_once": at_once, **given, "fail_on_failed": False})
    if as_json:
        echo_json(result)
    else:
        print_campaign(result)
    ctx.exit(EXIT_CODES[VerdictKind(result["verdict"])])


def print_campaign(result: CampaignResult) -> None:
    from rich.text import Text

    from loadflow.cli.console import console_for
    from loadflow.engine.reports.campaign_page import campaign_words

    console = console_for()
    console.print(_table(result))
    console.print(Text(campaign_words(result)), soft_wrap=True)
    echo(result["page"])


def _table(result: CampaignResult) -> Table:
    from rich.table import Table
    from rich.text import Text

    from loadflow.engine.reports.campaign_page import campaign_heads, campaign_row

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in campaign_heads:
        table.add_column(head, overflow="fold")
    for one in result["cells"]:
        table.add_row(*map(Text, campaign_row(one)))
    return table
